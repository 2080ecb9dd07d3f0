"""The producer of ``bench latency``, in a process of its own: lines every 5 ms, ticks every 10 ms, at a steady rate.

Rules of this file: all lines are made and cut before the clock starts; a turn that comes late is made up for at once,
so the rate holds on the whole; every append is noted with when it was called.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import workload
from bench.flow import write_workload
from bench.harness import timed
from bench.latency import ACCOUNTS, ADS, TICK_MS
from connectors.log import Mark, cut
from connectors.redis_log import RedisLog
from connectors.wire.route import index_lines
from headgate.asked import Asked
from headgate.session import open_session

TURN_MS: Final = 5
PRODUCER: Final = "bench.latency"
LEAST_LINES: Final = 1_000


@dataclass(slots=True)
class Turn:
    """What is appended at one time: (shard, lines, how many), and the engine time it brings."""

    lines: list[tuple[int, bytes, int]] = field(default_factory=list)
    now_ms: int = 0


class Feeder:
    """Appends to the log and notes it.

    Attributes
    ----------
    notes : (shard, number in its log, lines or 0, when) of every entry.
    """

    def __init__(self, log: RedisLog) -> None:
        self._log = log
        self._numbers = dict.fromkeys(range(log.shards), 0)
        self.notes: list[tuple[int, int, int, int]] = []

    def append(self, shard: int, entry: bytes | Mark, lines: int) -> None:
        """Append one entry: lines, or a mark with 0 lines."""
        self._numbers[shard] = number = self._numbers[shard] + 1
        self.notes.append((shard, number, lines, time.monotonic_ns()))
        self._log.append(shard, PRODUCER, number, [entry])

    def tick(self, now_ms: int) -> None:
        """Append a tick to every shard."""
        mark = Mark("tick", now_ms, workload.CLOCK_MS)
        for shard in self._numbers:
            self.append(shard, mark, 0)


def run(folder: str, rate: int, seconds: float) -> dict[str, Any]:
    """Feed the log at this rate for so long; the notes go to ``appended.npy``."""
    place = Path(folder)
    asked = Asked(config=place / "data" / "headgate.toml", data=place / "data", as_json=True)
    with open_session(asked) as session:
        turns = list(turns_of(place, rate, seconds, len(session.shards)))
        feeder = Feeder(RedisLog(session.log_url, len(session.shards)))
        feeder.tick(0)
        begin_ns = time.monotonic_ns()
        with timed() as took:
            _pace(feeder, turns)
        feeder.tick(turns[-1].now_ms)
    np.save(place / "appended.npy", np.array(feeder.notes, np.int64))
    events = sum(lines for _, _, lines, _ in feeder.notes)
    return {"begin_ns": begin_ns, "events": events, "wall_s": took.wall_s, "cpu_s": took.cpu_s}


def _pace(feeder: Feeder, turns: list[Turn]) -> None:
    begin_s = time.monotonic()
    for number, turn in enumerate(turns):
        left_s = begin_s + number * TURN_MS / 1000 - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        if number and number % (TICK_MS // TURN_MS) == 0:
            feeder.tick(turns[number - 1].now_ms)
        for shard, lines, count in turn.lines:
            feeder.append(shard, lines, count)


def turns_of(folder: Path, rate: int, seconds: float, shards: int) -> Iterator[Turn]:
    """The workload's lines dealt out to turns, routed to their shards."""
    path = folder / "events.ndjson"
    count = max(LEAST_LINES, int(rate * seconds))
    write_workload(path, count, max(ACCOUNTS, min(ADS, count // 20)), ACCOUNTS, 1)
    raw = path.read_bytes()
    index = index_lines(np.frombuffer(raw, np.uint8), shards)[: int(rate * seconds)]
    newest = np.maximum.accumulate(index["occurred_at_ms"])
    turns = max(1, round(seconds * 1000 / TURN_MS))
    edges = np.linspace(0, index.size, turns + 1).astype(np.int64)
    at, size, shard = index["at"].tolist(), index["size"].tolist(), index["shard"].tolist()
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        held: dict[int, list[bytes]] = {}
        for i in range(first, stop):
            held.setdefault(shard[i], []).append(raw[at[i] : at[i] + size[i]])
        turn = Turn(now_ms=int(newest[max(0, stop - 1)]))
        for number, lines in held.items():
            turn.lines += [(number, entry, entry.count(b"\n") + 1) for entry in cut(lines)]
        yield turn
