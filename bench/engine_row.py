"""The engine alone: decode and step over entries in memory, cut and routed as the feeder does, with its hourly ticks.

Rules of this file: no Bytewax, no Redis, no commit; what a shard takes at a time is what the decide flow would give it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from bench import workload
from bench.flow import digest_of, write_workload
from bench.harness import peak_mb, timed, workplace
from bench.memory_log import MemoryLog
from bench.plain import Answer
from connectors.feed import Feed, feed
from connectors.log import Entry
from engine.shard import Shard
from engine.step import step
from flows.shard_logic import items_of

SHARDS: Final = 16
WARM_EVENTS: Final = 5_000
CHUNK_ENTRIES: Final = 4


def run(path: str, accounts: int) -> dict[str, Any]:
    """Measure it on a file of the workload."""
    with workplace() as folder:
        small = folder / "warm.ndjson"
        write_workload(small, WARM_EVENTS, 50, 4, 1)
        drive(chunks_of(fed(small)), accounts)
    chunks = chunks_of(fed(Path(path)))
    with timed() as took:
        shards = drive(chunks, accounts)
    events = sum(int(shard.row["lines"]) for shard in shards)
    peak = peak_mb()
    return {
        "answer": digest_of(answer_of(shards)),
        "events": events,
        "cpu_s": took.cpu_s,
        "wall_s": took.wall_s,
        "peak_mb": peak,
    }


def fed(path: Path) -> MemoryLog:
    """A file's lines as the feeder would append them."""
    log = MemoryLog(SHARDS)
    feed(log, Feed([path], "bench"), workload.CLOCK_MS)
    return log


def chunks_of(log: MemoryLog) -> list[tuple[int, list[Entry]]]:
    """The log cut into what a shard takes at a time: a few entries of one shard, shards in turn as they were fed."""
    positions = dict.fromkeys(range(log.shards), 0)
    entries = log.read({shard: {} for shard in positions}, 0)
    chunks = []
    while entries:
        for shard in list(entries):
            at = positions[shard]
            chunks.append((shard, entries[shard][at : at + CHUNK_ENTRIES]))
            positions[shard] = at + CHUNK_ENTRIES
            if positions[shard] >= len(entries[shard]):
                del entries[shard]
    return chunks


def drive(chunks: Iterable[tuple[int, list[Entry]]], accounts: int) -> list[Shard]:
    """Take all chunks; returns the shards as they stand at the end."""
    config = workload.config(accounts)
    shards = [Shard(number, config) for number in range(SHARDS)]
    for number, run_of in groupby(chunks, key=lambda chunk: chunk[0]):
        for _, entries in run_of:
            for item in items_of(entries):
                step(shards[number], [item])
    return shards


def answer_of(shards: Iterable[Shard]) -> Answer:
    """The seven numbers of every ad."""
    answer: Answer = {}
    for shard in shards:
        for ad in shard.tables["ads"].live():
            tenant, account = shard.account_name(int(ad["account"]))
            answer[tenant, account, shard.text(int(ad["name"]))[0]] = (
                int(ad["clicks"]),
                int(ad["platform_clicks"]),
                int(ad["impressions"]),
                int(ad["conversions"]),
                int(ad["revenue_micros"]),
                int(ad["pipeline_micros"]),
                int(ad["spend_micros"]),
            )
    return answer
