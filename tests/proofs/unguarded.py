"""What a store without the guard would be: no owner, no sequence, and three writes where there ought to be one.

Rules of this file: it exists to show that the proofs can fail; the product knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from state.commit import Numbered, Place, pack
from state.redis_client import command
from state.scripts import Reply
from state.store import ShardStore
from tests.proofs import crash


class UnguardedStore(ShardStore):
    """Writes offsets, state and outbox one after another, whoever owns the shard now."""

    def commit(
        self,
        offsets: Mapping[str, int],
        outbox: Sequence[Numbered] = (),
        dead_letters: Sequence[Numbered] = (),
        summaries: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        """As the guarded one, without its guard; entries are numbered on from whatever Redis holds."""
        client, keys = self.caller.client, self.keys
        changes = tuple(c for c in (table.change() for table in self.tables.values()) if c is not None)
        blob = pack(changes, Place(self.place.seq, 0, 0), {}, (), (), {}).args[6]
        for stream, offset in offsets.items():
            command(client, "HSET", keys.offsets, stream, offset)
        crash.here("offsets")
        after = Place(
            self.place.seq + 1, self.place.out_number + len(outbox), self.place.dlq_number + len(dead_letters)
        )
        command(client, "XADD", keys.delta, f"{after.seq}-0", "d", blob)
        command(client, "HSET", keys.meta, "seq", after.seq)
        if outbox:
            crash.here("state")
        self._append(keys.out, "out", self.place.out_number, outbox)
        self._append(keys.dlq, "dlq", self.place.dlq_number, dead_letters)
        self.place = after
        for table in self.tables.values():
            table.mark_saved()
        return Reply.OK

    def checkpoint(self, max_bytes: int = 0, *, force: bool = False) -> Reply:
        """None: deltas are kept for ever."""
        return Reply.OK

    def _append(self, key: str, name: str, last: int, entries: Sequence[Numbered]) -> None:
        client = self.caller.client
        for number, (_, fields) in enumerate(entries, last + 1):
            flat = [part for pair in fields.items() for part in pair]
            command(client, "XADD", key, f"{number}-0", *flat)
            command(client, "HSET", self.keys.meta, name, number)
