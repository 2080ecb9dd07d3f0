"""``headgate bench commit``: what one guarded commit of 1,000 changed ad rows costs, at the client and at the server.

Rules of this file: it is the shard's own store on a real redis-server with the state's own setting (``everysec``);
making the rows differ is not counted, everything between them and the server's answer is. The server's CPU includes
what it writes to its append-only file.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Final

import numpy as np

from bench.harness import fine_cpu_of, in_child, machine, workplace
from connectors.embedded_redis import connect_or_start
from engine.config import EngineConfig
from engine.shard import Shard
from state import manifest
from state.redis_client import connect
from state.store import ShardStore

STREAM: Final = "headgate.events.00"
WARM_COMMITS: Final = 20


def measure(rows: int = 1_000, ads: int = 10_000, commits: int = 400) -> dict[str, Any]:
    """Commit again and again.

    Parameters
    ----------
    rows : changed ad rows in one commit. ads : ads in the shard. commits : how many commits to take the mean of.

    Returns
    -------
    ``client_ms_per_1000_rows`` and ``server_ms_per_1000_rows`` (CPU), the wall of a commit, the bytes of its delta, the
    machine.
    """
    return in_child("bench.commit:run", rows=rows, ads=ads, commits=commits) | {"machine": machine()}


def run(rows: int, ads: int, commits: int) -> dict[str, Any]:
    """Measure it in this process."""
    rng = np.random.default_rng(1)
    with workplace() as folder, connect_or_start(folder) as server, closing(connect(server.url)) as client:
        manifest.ensure(client, 1)
        store, shard = _opened(ShardStore(client, 0), ads)
        places = [rng.choice(ads, rows, replace=False) for _ in range(commits + WARM_COMMITS)]
        client_s, walls_s, sizes = 0.0, [], []
        server_s = 0.0
        for number, changed in enumerate(places):
            if number == WARM_COMMITS:
                client_s, walls_s, server_s = 0.0, [], fine_cpu_of(server.pid)
            _change(shard, changed, number)
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            reply = store.commit({STREAM: number + 2})
            client_s += time.process_time() - cpu_s
            walls_s.append(time.perf_counter() - wall_s)
            assert reply.landed
            sizes.append(store.checkpoints.delta_bytes)
        server_s = fine_cpu_of(server.pid) - server_s
    scale = 1_000 * 1_000 / rows / commits
    return {
        "client_ms_per_1000_rows": round(client_s * scale, 4),
        "server_ms_per_1000_rows": round(server_s * scale, 4),
        "wall_p50_ms": round(float(np.median(walls_s)) * 1e3, 3),
        "delta_bytes": sizes[-1] - sizes[-2],
        "rows": rows,
        "commits": commits,
    }


def _opened(store: ShardStore, ads: int) -> tuple[ShardStore, Shard]:
    """A shard with ads, acquired, loaded and stored once."""
    store.acquire()
    shard = Shard(0, EngineConfig())
    store.load(shard.tables)
    shard.rebuild()
    table = shard.tables["ads"]
    table.reserve(ads, ads)
    table.rows["hash"][:ads] = np.arange(1, ads + 1)
    table.used = ads
    store.commit({STREAM: 1})
    return store, shard


def _change(shard: Shard, places: np.ndarray[Any, np.dtype[np.int64]], number: int) -> None:
    """Change the rows at these places as the kernels would."""
    table = shard.tables["ads"]
    table.reserve(0, places.size)
    table.rows["clicks"][places] += number + 1
    table.stamps[places] = 1
    table.touched[: places.size] = places
    table.n_touched = places.size
