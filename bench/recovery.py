"""``headgate bench recovery``: how long a fresh process needs to own, load and index all shards.

Rules of this file: the state is made in the shards' own tables (ads with names, clicks with their ids, other keys and
dedup rows, as the workload has them), stored by the store's own checkpoints with commits behind them, and read back
with the functions of the decide flow. Kernels are loaded before the clock starts (``start_s`` tells what importing and
loading them took); the recovered tables are compared with what was stored after it has stopped. On a virtual machine
the first touch of memory that no process has used before costs the host more than all of recovery, so several fresh
processes recover in turn and the median counts; ``all_seconds`` shows them in order.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.harness import cpu_of, in_child, machine, peak_mb, timed, workplace
from connectors.embedded_redis import connect_or_start
from engine.config import EngineConfig
from engine.index import find
from engine.shard import Shard
from engine.table import Change, Table
from flows.shard_logic import ShardEngine
from state import manifest
from state.redis_client import command, connect
from state.store import ShardStore

SHARDS: Final = 16
KEYED: Final = 0.7
"""Share of clicks with another key beside their click id."""
TAIL_COMMITS: Final = 32
TAIL_ADS: Final = 1_000
STREAM: Final = "headgate.events"
START_MS: Final = 1_772_409_600_000


def measure(ads: int = 1_000_000, clicks: int = 10_000_000, runs: int = 3) -> dict[str, Any]:
    """Store a state and recover it.

    Parameters
    ----------
    ads, clicks : int, in all 16 shards together.
    runs : int, how many fresh processes recover it, one after the other; the figures are those of the median one.

    Returns
    -------
    ``ads``, ``clicks``, ``seconds`` (wall), ``cpu_s``, ``server_cpu_s``, ``peak_mb``, ``state_mb`` (rows read),
    ``start_s``, ``exact`` (of all runs), ``all_seconds``, the machine.
    """
    from headgate.output import progress_bar

    with workplace() as folder, connect_or_start(folder) as server, progress_bar("bench recovery", quiet=False) as tell:
        tell(0, runs + 2)
        with closing(connect(server.url)) as client:
            manifest.ensure(client, SHARDS)
            # Only filling is hurried by this: recovery reads, and reading writes nothing but leases.
            command(client, "CONFIG", "SET", "appendonly", "no")
        stored = in_child("bench.recovery:store", url=server.url, ads=ads, clicks=clicks)
        tries = []
        for number in range(runs):
            tell(2 + number, runs + 2)
            tries.append(in_child("bench.recovery:recover", url=server.url, pid=server.pid))
    digests = [found.pop("digests") for found in tries]
    indexed = [found.pop("indexed") for found in tries]
    seconds = [found["seconds"] for found in tries]
    return {
        "ads": ads,
        "clicks": clicks,
        **sorted(tries, key=lambda found: found["seconds"])[runs // 2],
        "exact": all(indexed) and all(found == stored["digests"] for found in digests),
        "all_seconds": seconds,
        "machine": machine(),
    }


def store(url: str, ads: int, clicks: int) -> dict[str, Any]:
    """Fill and store all shards; returns their digests."""
    digests = []
    with closing(connect(url)) as client:
        for number in range(SHARDS):
            owner = ShardStore(client, number)
            owner.acquire()
            shard = Shard(number, EngineConfig())
            owner.load(shard.tables)
            shard.rebuild()
            fill(shard, _share(ads, number), _share(clicks, number))
            _store_whole(owner)
            for turn in range(TAIL_COMMITS):
                _touch_ads(shard.tables["ads"], turn)
                owner.commit({_stream(number): turn + 2})
            digests.append(shard.digest())
            owner.release()
    return {"digests": digests}


def recover(url: str, pid: int) -> dict[str, Any]:
    """Own, load and index all shards in this process, which has done nothing before."""
    warm = Shard(0, EngineConfig())
    fill(warm, 100, 1_000)
    warm.rebuild()
    del warm
    start_s = time.process_time()
    with closing(connect(url)) as client:
        server_s = cpu_of(pid)
        with timed() as took:
            shards = [ShardEngine(ShardStore(client, number), EngineConfig()).shard for number in range(SHARDS)]
        server_s = cpu_of(pid) - server_s
        peak = peak_mb()
    return {
        "seconds": round(took.wall_s, 3),
        "cpu_s": round(took.cpu_s, 3),
        "server_cpu_s": round(server_s, 3),
        "peak_mb": peak,
        "state_mb": round(sum(table.live().nbytes for shard in shards for table in shard.tables.values()) / 1e6, 1),
        "start_s": round(start_s, 3),
        "digests": [shard.digest() for shard in shards],
        "indexed": all(_is_indexed(shard) for shard in shards),
    }


def fill(shard: Shard, ads: int, clicks: int) -> None:
    """Put ads and clicks into the tables of an empty shard; they count as saved."""
    rng = np.random.default_rng(shard.number)
    shard.add_account(1 + shard.number, "north", f"act_{shard.number:03d}")
    names = _append(shard.tables["texts"], _texts(b"ad_", np.arange(ads)))
    table = shard.tables["ads"]
    rows = np.zeros(ads, table.dtype)
    rows["hash"] = _hashes(np.arange(ads), 1)
    rows["name"] = names + np.arange(ads) * (1 + 3 + 8)
    rows["entity"], rows["clicks"] = -1, rng.poisson(clicks / max(1, ads), ads)
    _append(table, rows)
    _fill_clicks(shard, rng, ads, clicks)
    for table in shard.tables.values():
        table.mark_saved()


def _fill_clicks(shard: Shard, rng: np.random.Generator, ads: int, clicks: int) -> None:
    numbers = np.arange(clicks)
    pairs = np.concatenate(
        [_texts(b"k", numbers).reshape(clicks, -1), _texts(b"", numbers).reshape(clicks, -1)], axis=1
    )
    texts = _append(shard.tables["click_texts"], pairs.reshape(-1))
    keyed = np.flatnonzero(rng.random(clicks) < KEYED)
    keys = np.zeros(keyed.size, shard.tables["keys"].dtype)
    keys["hash"], keys["click"], keys["next"] = _hashes(keyed, 2), keyed, -1
    _append(shard.tables["keys"], keys)
    rows = np.zeros(clicks, shard.tables["clicks"].dtype)
    rows["hash"] = _hashes(numbers, 3)
    rows["occurred_at_ms"] = START_MS + np.sort(rng.integers(0, 7 * 86_400_000, clicks))
    rows["text"] = texts + numbers * pairs.shape[1]
    rows["keys"] = -1
    rows["keys"][keyed] = np.arange(keyed.size)
    rows["ad"] = rng.integers(0, max(1, ads), clicks)
    _append(shard.tables["clicks"], rows)
    seen = np.zeros(clicks, shard.tables["seen"].dtype)
    seen["hash"] = _hashes(numbers, 4)
    seen["stamp"] = rows["occurred_at_ms"].astype(np.uint64) << np.uint64(22)
    _append(shard.tables["seen"], seen)


def _texts(head: bytes, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Stored texts of one length: the length, the head, eight hex digits."""
    digits = numbers[:, None] >> np.arange(28, -4, -4) & 15
    found = np.empty((numbers.size, 1 + len(head) + 8), np.uint8)
    found[:, 0] = len(head) + 8
    found[:, 1 : 1 + len(head)] = np.frombuffer(head, np.uint8)
    found[:, 1 + len(head) :] = np.frombuffer(b"0123456789abcdef", np.uint8)[digits]
    return found.reshape(-1)


def _hashes(numbers: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """Numbers mixed well, as ids are (the finaliser of SplitMix64: Steele, Lea & Flood 2014)."""
    h = (numbers.astype(np.uint64) + np.uint64(salt << 40)) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ h >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ h >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return h ^ h >> np.uint64(31)


def _append(table: Table, rows: NDArray[Any]) -> int:
    """Append rows; returns the place of the first."""
    at = table.used
    table.reserve(rows.size)
    table.rows.view(np.uint8)[at * table.dtype.itemsize :][: rows.nbytes] = rows.view(np.uint8)
    table.used += rows.size
    return at


def _store_whole(owner: ShardStore) -> None:
    """Store full tables by a checkpoint alone: no delta could hold them."""
    nothing = np.zeros(0, np.int64)
    for name, table in owner.tables.items():
        whole = Change(name, 0, table.used, 0, table.live(), nothing, table.rows[:0])
        owner.checkpoints.note([whole], table.live().nbytes)
    owner.commit({_stream(owner.shard): 1})
    owner.checkpoint(force=True)
    while owner.checkpointing:
        owner.checkpoint()


def _touch_ads(table: Table, turn: int) -> None:
    places = np.unique(_hashes(np.arange(TAIL_ADS), 5 + turn) % np.uint64(max(1, table.used))).astype(np.int64)
    table.reserve(0, places.size)
    table.rows["clicks"][places] += 1
    table.stamps[places] = 1
    table.touched[: places.size] = places
    table.n_touched = places.size


def _is_indexed(shard: Shard) -> bool:
    """Whether every 997th row of each large table is found by its hash."""
    for name in ("ads", "clicks", "keys", "seen"):
        rows, slots = shard.tables[name].rows, shard.slots[name]
        for place in range(0, shard.tables[name].used, 997):
            if find(slots, rows, rows[place]["hash"]) != place:
                return False
    return True


def _share(total: int, number: int) -> int:
    return total // SHARDS + (number < total % SHARDS)


def _stream(number: int) -> str:
    return f"{STREAM}.{number:02d}"
