"""Feeding files: NDJSON files merged by event time into the log, once, however often it is tried.

Rules of this file: what is appended, and under which number, is a function of the files' bytes alone; so a feed that
was killed is begun anew and skips what the log has. A file keeps its own order; between files the line that happened
first goes first, ties to the file named first; a line without a readable time goes as soon as its turn in its file
comes. Ticks follow the greatest event time so far; a mark at the end closes all waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors.log import EventLog, Mark
from connectors.wire.route import index_lines
from engine.events import FUTURE_SLACK_MS, MS_PER_HOUR, TIME_MAX_MS, TIME_MIN_MS
from engine.kernel import kernel

TICK_MS: Final = MS_PER_HOUR
"""Engine time between two ticks of a feed."""
RUN_LINES: Final = 8192
"""Lines merged between two appends; part of what decides where entries are cut."""
ENTRY_LINES: Final = 500
_BOM: Final = b"\xef\xbb\xbf"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fed:
    """What a feed came to: lines read, entries appended now, and whether the log had all of it before."""

    lines: int
    appended: int
    resumed: bool


class FeedError(Exception):
    """A file cannot be fed; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class _Merged:
    """The files' lines in one order."""

    data: list[NDArray[np.uint8]]
    file: NDArray[np.int32]
    at: NDArray[np.int64]
    size: NDArray[np.int64]
    shard: NDArray[np.int64]
    tick: NDArray[np.int64]  # the tick due before this line, 0 none


class Feed:
    """Files that are to be fed.

    Parameters
    ----------
    files : NDJSON, in this order. terms : whatever else makes this feed another one (its clock, if one was asked for).

    Attributes
    ----------
    name : str, equal for equal files and terms: under it the log knows what it has.

    Raises
    ------
    FeedError for a file that cannot be read.
    """

    def __init__(self, files: Sequence[Path], terms: str) -> None:
        self.datas = [_read(path) for path in files]
        digest = blake2b(terms.encode(), digest_size=12)
        for data in self.datas:
            digest.update(blake2b(data.data, digest_size=16).digest())
        self.name = "feed." + digest.hexdigest()


def feed(
    log: EventLog,
    what: Feed,
    clock_ms: int,
    progress: Progress = lambda done, all_: None,
    *,
    trusted: bool = False,
) -> Fed:
    """Append files to the log.

    Parameters
    ----------
    clock_ms : what `future` is judged against; the same whenever the feed is tried again.
    progress : told of (lines done, all lines).
    trusted : whether outcome and control events are taken from the files.

    Raises
    ------
    The log's errors.
    """
    datas, producer = what.datas, what.name
    last = {shard: log.last_sequence(shard, producer) for shard in range(log.shards)}
    resumed = any(last.values())
    merged = _merge(datas, log.shards, clock_ms)
    sequences = dict.fromkeys(range(log.shards), 0)
    appended = 0
    lines = merged.shard.size
    for done, batch in _batches(merged, log.shards, clock_ms):
        for shard, entries in batch.items():
            sequences[shard] += 1
            if sequences[shard] > last[shard]:
                appended += log.append(shard, producer, sequences[shard], entries, trusted=trusted)
        progress(done, lines)
    return Fed(lines, appended, resumed)


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror or error}; name an NDJSON file that can be read"
        raise FeedError(message) from error
    return np.frombuffer(raw, np.uint8)[len(_BOM) if raw.startswith(_BOM) else 0 :]


def _merge(datas: list[NDArray[np.uint8]], shards: int, clock_ms: int) -> _Merged:
    indexes = [index_lines(data, shards) for data in datas]
    total = sum(index.size for index in indexes)
    starts = np.cumsum([0] + [index.size for index in indexes])
    times = np.concatenate([index["occurred_at_ms"] for index in indexes]) if indexes else np.zeros(0, np.int64)
    times = np.where((times < TIME_MIN_MS) | (times > min(TIME_MAX_MS, clock_ms + FUTURE_SLACK_MS)), -1, times)
    order = np.zeros(total, np.int64)
    _merge_heads(times, starts[:-1].copy(), starts[1:], order)
    file = np.repeat(np.arange(len(indexes), dtype=np.int32), [index.size for index in indexes])
    columns = {name: np.concatenate([index[name] for index in indexes])[order] for name in ("at", "size", "shard")}
    due = np.zeros(total, np.int64)
    _due_ticks(times[order], due)
    return _Merged(datas, file[order], columns["at"], columns["size"], columns["shard"].astype(np.int64), due)


@kernel
def _merge_heads(
    times: NDArray[np.int64], heads: NDArray[np.int64], ends: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    """Merge runs ``heads[i] .. ends[i]`` by their heads' times, earlier runs first on ties; ``heads`` is used up."""
    for place in range(order.size):
        best = -1
        for run in range(heads.size):
            if heads[run] < ends[run] and (best < 0 or times[heads[run]] < times[heads[best]]):
                best = run
        order[place] = heads[best]
        heads[best] += 1


@kernel
def _due_ticks(times: NDArray[np.int64], due: NDArray[np.int64]) -> None:
    """Mark the lines before which a tick is due: the first of each hour that the greatest time so far enters."""
    reached = np.int64(-1)
    for place in range(times.size):
        hour = times[place] // TICK_MS
        if times[place] >= 0 and hour > reached:
            due[place] = hour * TICK_MS
            reached = hour


def _batches(merged: _Merged, shards: int, clock_ms: int) -> Iterator[tuple[int, dict[int, list[bytes | Mark]]]]:
    """Yield (lines done, entries by shard) in order: runs of lines, the ticks between them, the end."""
    lines = merged.shard.size
    newest = 0
    begin = 0
    yield 0, {shard: [Mark("tick", 0, clock_ms)] for shard in range(shards)}
    while begin < lines:
        batch: dict[int, list[bytes | Mark]] = {}
        stop = min(lines, begin + RUN_LINES)
        at = begin
        for tick in (*(begin + np.flatnonzero(merged.tick[begin:stop])).tolist(), stop):
            _add_lines(merged, at, tick, batch)
            at = tick
            if tick < stop:
                newest = int(merged.tick[tick])
                for shard in range(shards):
                    batch.setdefault(shard, []).append(Mark("tick", newest, clock_ms))
        begin = stop
        yield begin, batch
    end = newest + TICK_MS if newest else 0
    yield lines, {shard: [Mark("end", end, clock_ms)] for shard in range(shards)}


def _add_lines(merged: _Merged, start: int, stop: int, batch: dict[int, list[bytes | Mark]]) -> None:
    shards = merged.shard[start:stop]
    for shard in np.unique(shards).tolist():
        places = start + np.flatnonzero(shards == shard)
        for first in range(0, places.size, ENTRY_LINES):
            batch.setdefault(shard, []).append(_joined(merged, places[first : first + ENTRY_LINES]))


def _joined(merged: _Merged, places: NDArray[np.int64]) -> bytes:
    """The lines at these places, LF between them."""
    sizes = merged.size[places]
    out = np.full(int(sizes.sum()) + places.size, 0x0A, np.uint8)
    begin = 0
    files = merged.file[places]
    for run in np.split(np.arange(places.size), np.flatnonzero(np.diff(files)) + 1):
        _gather(merged.data[files[run[0]]], merged.at[places[run]], sizes[run], out, begin)
        begin += int(sizes[run].sum()) + run.size
    return out[:-1].tobytes()


@kernel
def _gather(
    data: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64], out: NDArray[np.uint8], begin: int
) -> None:
    for line in range(at.size):
        for i in range(size[line]):
            out[begin + i] = data[at[line] + i]
        begin += size[line] + 1
