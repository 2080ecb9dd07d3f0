"""A shard's store that keeps nothing: the engine commits to it, and what it would have stored can be looked at.

Rules of this file: no call of it reaches Redis; it begins with an empty shard, as the log does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from engine.table import Table
from state.checkpoint import Record
from state.commit import Numbered
from state.lease import Lease
from state.recovery import Loaded
from state.scripts import Reply
from state.store import STEP_BYTES, ShardStore


class UnwrittenStore(ShardStore):
    """A `ShardStore` whose commits end here.

    Attributes
    ----------
    outbox, dead : what the last commit gave out.
    """

    outbox: Sequence[Numbered] = ()
    dead: Sequence[Numbered] = ()

    def acquire(self, wait_s: float = 0.0, *, force: bool = False) -> Lease:
        """Nobody else can want it."""
        self.lease = Lease("", self.ttl_s, time.monotonic() + self.ttl_s)
        return self.lease

    def load(self, tables: Mapping[str, Table]) -> Loaded:
        """Begin with nothing."""
        self.tables = tables
        return Loaded(0, {}, 0, 0, 0, "", Record(), {})

    def commit(
        self,
        offsets: Mapping[str, int],
        outbox: Sequence[Numbered] = (),
        dead_letters: Sequence[Numbered] = (),
        summaries: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        """Hold what would be stored."""
        self.outbox, self.dead = outbox, dead_letters
        for table in self.tables.values():
            table.mark_saved()
        return Reply.OK

    def checkpoint(self, max_bytes: int = STEP_BYTES, *, force: bool = False) -> Reply:
        """There is nothing to write."""
        return Reply.OK

    def renew(self) -> Reply:
        """It is held as long as it is used."""
        return Reply.OK

    def release(self) -> Reply:
        """It ends with its process."""
        return Reply.OK
