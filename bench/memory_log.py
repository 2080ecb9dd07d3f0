"""An event log in memory: what the feeder appended, in the order in which it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.log import Entry, Mark


class MemoryLog:
    """An `connectors.log.EventLog` that forgets everything with its process.

    Attributes
    ----------
    appended : list of (shard, entries): the appends of all shards in one order.
    """

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.appended: list[tuple[int, list[Entry]]] = []
        self._entries: dict[int, list[Entry]] = {shard: [] for shard in range(shards)}
        self._sequences: dict[tuple[int, str], int] = {}

    def read(self, positions: Mapping[int, Mapping[str, int]], max_bytes: int) -> dict[int, list[Entry]]:
        """All that follows, however much it is."""
        found = {shard: self._entries[shard][at.get(_name(shard), 0) :] for shard, at in positions.items()}
        return {shard: entries for shard, entries in found.items() if entries}

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes | Mark], *, trusted: bool = False
    ) -> bool:
        """Append once."""
        if sequence <= self.last_sequence(shard, producer):
            return False
        held = self._entries[shard]
        fresh = [
            Entry(_name(shard), number, None, entry)
            if isinstance(entry, Mark)
            else Entry(_name(shard), number, entry, None, trusted)
            for number, entry in enumerate(entries, len(held) + 1)
        ]
        held += fresh
        self.appended.append((shard, fresh))
        self._sequences[shard, producer] = sequence
        return True

    def last_sequence(self, shard: int, producer: str) -> int:
        """The producer's last number."""
        return self._sequences.get((shard, producer), 0)

    def end_offsets(self) -> dict[int, dict[str, int]]:
        """Where each shard ends."""
        return {shard: {_name(shard): len(entries)} for shard, entries in self._entries.items()}


def _name(shard: int) -> str:
    return f"headgate.events.{shard:02d}"
