"""The decide flow's source: one partition per shard, one read of the log for all of them.

Rules of this file: offsets come from the shard's committed state, never from Bytewax; an item is a chunk of raw entries
with their offsets; when told to stop, every partition ends, so that what was read is decided and committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.log import Entry, EventLog
from flows.halt import EXPECTED, Halt

READ_BYTES: Final = 16 << 20
FULL_BYTES: Final = 64 << 10
IDLE_S: Final = 0.003


@dataclass(frozen=True, slots=True)
class Chunk:
    """Entries of one shard, in the order of its log; ``is_full``: there is probably more behind them."""

    shard: int
    entries: list[Entry]
    is_full: bool


Item = tuple[str, Chunk]


class LogReader:
    """Reads the log for all shards of one worker and hands each its share.

    Parameters
    ----------
    log : EventLog. ends : shard -> {stream: offset} at which to end, None to go on for ever.
    """

    def __init__(self, log: EventLog, ends: dict[int, dict[str, int]] | None, read_bytes: int = READ_BYTES) -> None:
        self._log = log
        self._ends = ends
        self._read_bytes = read_bytes
        self._positions: dict[int, dict[str, int]] = {}
        self._waiting: dict[int, list[Entry]] = {}
        self._next_read_s = 0.0

    def add(self, shard: int, positions: dict[str, int]) -> None:
        """Read a shard from its committed offsets on."""
        self._positions[shard] = dict(positions)

    def drop(self, shard: int) -> None:
        """Read a shard no more."""
        self._positions.pop(shard, None)
        self._waiting.pop(shard, None)

    def take(self, shard: int) -> list[Entry]:
        """The shard's next entries, none if there are none now."""
        if shard not in self._waiting and time.monotonic() >= self._next_read_s:
            self._read()
        return self._waiting.pop(shard, [])

    def at_end(self, shard: int) -> bool:
        """Whether a shard has come to where it was to end."""
        if self._ends is None:
            return False
        at = self._positions[shard]
        return shard not in self._waiting and all(at.get(stream, 0) >= end for stream, end in self._ends[shard].items())

    def _read(self) -> None:
        # Only shards whose last entries were taken: memory stays bounded by one read.
        wanted = {shard: at for shard, at in self._positions.items() if shard not in self._waiting}
        found = self._log.read(wanted, self._read_bytes)
        for shard, entries in found.items():
            self._waiting[shard] = entries
            for entry in entries:
                self._positions[shard][entry.stream] = entry.offset
        if not found:
            self._next_read_s = time.monotonic() + IDLE_S


class ShardPartition(StatefulSourcePartition[Item, None]):
    """One shard's entries as items."""

    def __init__(self, shard: int, key: str, reader: LogReader, stopped: Callable[[], bool], halt: Halt) -> None:
        self._shard = shard
        self._key = key
        self._reader = reader
        self._stopped = stopped
        self._halt = halt
        self._idle = False

    def next_batch(self) -> list[Item]:
        """The next chunk; ends when stopped, when any shard stands down, or at the end that was set."""
        if self._stopped() or self._halt.fault or self._reader.at_end(self._shard):
            self._reader.drop(self._shard)
            raise StopIteration
        try:
            entries = self._reader.take(self._shard)
        except EXPECTED as fault:
            self._halt.note(fault)
            raise StopIteration from fault
        self._idle = not entries
        is_full = sum(len(entry.lines or b"") for entry in entries) >= FULL_BYTES
        return [(self._key, Chunk(self._shard, entries, is_full))] if entries else []

    def next_awake(self) -> datetime | None:
        """Look again a little later while there is nothing to read."""
        return datetime.now(UTC) + timedelta(seconds=IDLE_S) if self._idle else None

    def snapshot(self) -> None:
        """Nothing: Redis holds the offsets."""


class ShardSource(FixedPartitionedSource[Item, None]):
    """All shards that this process serves.

    Parameters
    ----------
    shards : their numbers. positions : shard -> committed offsets (asked when its partition is built).
    make_log : opens the log, once per worker that has partitions.
    ends : where to end, None never. stopped : whether to stop now. halt : why the flow stands down.
    """

    def __init__(
        self,
        shards: list[int],
        positions: Callable[[int], dict[str, int]],
        make_log: Callable[[], EventLog],
        ends: dict[int, dict[str, int]] | None,
        stopped: Callable[[], bool],
        halt: Halt,
    ) -> None:
        self._shards = shards
        self._halt = halt
        self._positions = positions
        self._make_log = make_log
        self._ends = ends
        self._stopped = stopped
        self._readers: dict[int, LogReader] = {}

    def list_parts(self) -> list[str]:
        """The shards' keys; zero-padded, as partitions are dealt out in the order of their names."""
        return [key_of(shard) for shard in self._shards]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> ShardPartition:
        """Begin a shard where its state ends."""
        import threading

        shard = int(for_part)
        reader = self._readers.setdefault(threading.get_ident(), LogReader(self._make_log(), self._ends))
        try:
            reader.add(shard, self._positions(shard))
        except EXPECTED as fault:
            self._halt.note(fault)
        return ShardPartition(shard, for_part, reader, self._stopped, self._halt)


def key_of(shard: int) -> str:
    """The key of a shard in the flow."""
    return f"{shard:03d}"
