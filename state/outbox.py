"""Reading the outbox: what the shards decided, for executors, recorders and the command line.

Rules of this file: it only reads (and trims what every reader is done with); numbers of a shard are 1, 2, 3, ...
without a gap, so a reader that remembers its last number misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import redis

from state.caller import Caller
from state.errors import CorruptState
from state.keys import ShardKeys
from state.redis_client import command

BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One entry: its shard, its number, its fields."""

    shard: int
    number: int
    fields: dict[bytes, bytes]


class Outbox:
    """The outboxes of all shards.

    Parameters
    ----------
    client : redis.Redis from `state.redis_client.connect`.
    patience_s : float, seconds to wait for a Redis that is away.
    """

    def __init__(self, client: redis.Redis, *, patience_s: float = 10.0) -> None:
        self.caller = Caller(client, patience_s=patience_s)

    def read(self, after: Mapping[int, int], count: int = BATCH) -> list[OutboxEntry]:
        """Read what follows, of all given shards in one round trip, without waiting.

        Parameters
        ----------
        after : shard -> number of the last entry seen; 0: none.
        count : int, at most so many per shard.

        Raises
        ------
        CorruptState if an entry that follows was trimmed away; StateUnavailable.
        """
        if not after:
            return []
        keys = {ShardKeys.of(shard).out.encode(): shard for shard in after}
        ids = [f"{number}-0" for number in after.values()]
        parts: list[bytes | str | int] = ["XREAD", "COUNT", count, "STREAMS", *keys, *ids]
        reply = self.caller.patiently(lambda: command(self.caller.client, *parts)) or []
        return [entry for key, raw in reply for entry in _entries(keys[key], after[keys[key]], raw)]

    def read_outbox(self, shard: int, after_number: int, count: int) -> list[tuple[int, dict[bytes, bytes]]]:
        """Up to ``count`` entries of one shard behind ``after_number``, as (number, fields)."""
        return [(entry.number, entry.fields) for entry in self.read({shard: after_number}, count)]

    def trim(self, shard: int, through: int) -> None:
        """Forget the entries up to and including ``through``; every reader must be done with them."""
        key = ShardKeys.of(shard).out
        self.caller.patiently(lambda: command(self.caller.client, "XTRIM", key, "MINID", f"{through + 1}-0"))


def _entries(shard: int, after: int, raw: list[tuple[bytes, list[bytes]]]) -> Iterator[OutboxEntry]:
    for entry_id, fields in raw:
        after += 1
        if entry_id != b"%d-0" % after:
            message = f"outbox entry {after} of shard {shard} is gone; continue behind it, or restore Redis from a copy"
            raise CorruptState(message)
        yield OutboxEntry(shard, after, dict(zip(fields[::2], fields[1::2], strict=True)))
