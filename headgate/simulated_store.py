"""A simulation's shard and ledger, stored in a data folder as it goes, so that it can be listed afterwards.

Rules of this file: what is stored is what the simulation did, by the same commits as in service; the ledger takes the
commands at the end, when their stories are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.config import EngineConfig
from engine.plan import Tick
from engine.record import Record
from engine.shard import Shard
from engine.step import Lines, Output, step
from flows.given_out import dead_letter_entries, outbox_entries, summaries_of
from headgate.refusal import Refused
from headgate.session import Session
from state.commit import Numbered
from state.scripts import Reply

COMMIT_TICKS: Final = 24
COMMIT_ROWS: Final = 65_536
"""A commit at least so often: ticks, and events and decisions together; it bounds the memory that one takes."""


class StoredShard:
    """The one shard of a simulation.

    Parameters
    ----------
    session : on the empty folder. config : as the simulation is played.
    """

    def __init__(self, session: Session, config: EngineConfig) -> None:
        self._session = session
        self._policy_hash = config.digest()
        self._store = session.store(0)
        self._store.acquire()
        self._shard = Shard(0, config)
        self._store.load(self._shard.tables)
        self._shard.rebuild()
        self._position: dict[str, int] = {}
        self._outbox: list[Numbered] = []
        self._dead: list[Numbered] = []
        self._summaries: dict[bytes, bytes] = {}
        self._ticks = self._rows = 0

    def take(self, items: Sequence[Lines | Tick]) -> Output:
        """The engine's step; now and then what it came to is committed."""
        output = step(self._shard, items)
        self._outbox += outbox_entries(output, self._policy_hash)
        self._dead += dead_letter_entries(output)
        self._summaries |= summaries_of(output)
        self._rows += sum(len(rows) for _, rows, _ in output.decisions)
        for item in items:
            if isinstance(item, Tick):
                self._position[item.stream] = item.offset
                self._ticks += 1
            else:
                self._position[item.stream] = int(item.offsets[-1])
                self._rows += item.events.size
        if self._ticks >= COMMIT_TICKS or self._rows >= COMMIT_ROWS:
            self._commit()
        return output

    def close(self, records: Sequence[Record]) -> None:
        """Store the rest, and what became of the commands."""
        if self._position:
            self._commit()
        self._store.release()
        ledger = self._session.ledger()
        assert ledger is not None
        ledger.keep(0, records)

    def _commit(self) -> None:
        self._heed(self._store.commit(self._position, self._outbox, self._dead, self._summaries))
        self._heed(self._store.checkpoint())
        self._position, self._outbox, self._dead, self._summaries = {}, [], [], {}
        self._ticks = self._rows = 0

    def _heed(self, reply: Reply) -> None:
        if not reply.landed:
            message = f"{self._session.folder}: another process took the folder; nothing of this simulation is kept"
            raise Refused(message)
