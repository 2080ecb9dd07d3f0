"""The event log as everybody else sees it: ordered entries per shard, read from a position, appended once.

Rules of this file: no vendor; an entry's number says where it stands in its stream and never changes; what was
appended before is recognised, so an append may be made again after any failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

ENTRY_BYTES: Final = 65_536
ENTRY_LINES: Final = 500


class Mark(NamedTuple):
    """A point in time as a log entry.

    ``tick``: engine time is ``now_ms``, and what is "in the future" is judged against ``clock_ms``.
    ``end``: like a tick, and closes all waits (the feed has ended).
    """

    kind: Literal["tick", "end"]
    now_ms: int
    clock_ms: int


class Entry(NamedTuple):
    """One log entry as read.

    Attributes
    ----------
    stream : str, its stream.
    offset : int, its number in that stream.
    lines : bytes or None, one or many lines with LF between them; None for a mark.
    mark : Mark or None.
    trusted : whether the lines came from a role that may write `outcome` and `control` events.
    """

    stream: str
    offset: int
    lines: bytes | None
    mark: Mark | None
    trusted: bool = False


class LogError(Exception):
    """Any failure of the event log; the message is one line for people."""


class LogUnavailable(LogError):
    """The log's server does not answer or refuses to write; the same call may be made again."""


class LogTruncated(LogError):
    """An offset was asked that the log does not hold: trimmed away, or lost when the log's server lost its tail."""


class SequenceGap(LogError):
    """A producer's sequence number does not follow the last one the log has: the log lost appends."""


class EventLog(Protocol):
    """What a log can do."""

    shards: int

    def read(self, positions: Mapping[int, Mapping[str, int]], max_bytes: int) -> dict[int, list[Entry]]:
        """Read what follows, for all given shards in one round trip, without waiting.

        Parameters
        ----------
        positions : shard -> {stream: last consumed offset}; a stream that is missing is read from its start.
        max_bytes : int, about how much to read.

        Returns
        -------
        shard -> its next entries in order; shards without news are absent.

        Raises
        ------
        LogTruncated, LogUnavailable.
        """

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes | Mark], *, trusted: bool = False
    ) -> bool:
        """Append entries, all or none, once.

        Parameters
        ----------
        shard : int.
        producer : str, not empty; its sequence numbers per shard are 1, 2, 3, ...
        sequence : int.
        entries : lines (one or many, LF between them) or marks.
        trusted : whether the lines may hold `outcome` and `control` events.

        Returns
        -------
        False if this producer's sequence number was appended before (nothing is done).

        Raises
        ------
        SequenceGap, LogUnavailable.
        """

    def last_sequence(self, shard: int, producer: str) -> int:
        """The last sequence number appended by a producer; 0: none."""

    def end_offsets(self) -> dict[int, dict[str, int]]:
        """Per shard {stream: number of its last entry}; 0: it is empty."""


def cut(lines: Iterable[bytes], max_bytes: int = ENTRY_BYTES, max_lines: int = ENTRY_LINES) -> Iterator[bytes]:
    """Join lines to entries of about ``max_bytes`` and at most ``max_lines``; a longer line is an entry of its own.

    Parameters
    ----------
    lines : lines without their LF, in order.
    """
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and (size + len(line) + 1 > max_bytes or len(held) >= max_lines):
            yield b"\n".join(held)
            held, size = [], 0
        held.append(line)
        size += len(line) + 1
    if held:
        yield b"\n".join(held)
