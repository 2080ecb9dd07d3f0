"""``headgate bench latency``: from an event in the log to the durable decision over it, at a steady rate.

Rules of this file: a process appends lines every 5 ms and a tick to every shard every 10 ms, as trackers and the live
clock would; another runs the real decide flow with its 20 ms commit interval. An event's latency begins where its
append is called and ends where the store has answered the commit that covers the first tick behind it: that tick's
evaluation has seen the event, and what came of it is durable. Both processes read one monotonic clock.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.flow_row import session_of
from bench.harness import Child, cpu_of, machine, workplace
from connectors.embedded_redis import connect_or_start
from headgate.asked import Asked
from headgate.refusal import Refused
from headgate.session import open_session

ADS: Final = 10_000
ACCOUNTS: Final = 20
COMMIT_MS: Final = 20
TICK_MS: Final = 10
DRAIN_S: Final = 60.0

Ints = NDArray[np.int64]


def measure(rate: int = 50_000, seconds: float = 10.0, warm_s: float = 2.0) -> dict[str, Any]:
    """Load the flow steadily and take every event's latency.

    Parameters
    ----------
    rate : events a second. seconds : how long. warm_s : how long at the same rate before, not counted.

    Returns
    -------
    ``rate`` asked for, ``rate_reached``, ``p50_ms``, ``p99_ms``, ``p999_ms``, ``max_ms``, ``events`` counted, commits,
    CPU seconds a second of producer, flow and server, the machine.
    """
    from headgate.output import progress_bar

    with workplace() as folder, progress_bar("bench latency", quiet=False) as tell:
        tell(0, 3)
        data, asked = session_of(folder / "data", ACCOUNTS)
        appended, committed = folder / "appended.npy", folder / "committed.npy"
        with connect_or_start(data) as server, Child("bench.latency_flow:run", folder=str(folder)) as flow:
            flow.line()
            tell(1, 3)
            server_s = cpu_of(server.pid)
            with Child("bench.latency_feed:run", folder=str(folder), rate=rate, seconds=warm_s + seconds) as producer:
                fed = producer.answer()
            _wait_decided(asked)
            flow.stop()
            tell(2, 3)
            decided = flow.answer()
            server_s = cpu_of(server.pid) - server_s
        found = latencies_ms(np.load(appended), np.load(committed), fed["begin_ns"] + int(warm_s * 1e9))
    quantiles = np.quantile(found, [0.5, 0.99, 0.999, 1.0], method="inverted_cdf").tolist()
    return {
        "rate": rate,
        **dict(zip(("p50_ms", "p99_ms", "p999_ms", "max_ms"), (round(q, 2) for q in quantiles), strict=True)),
        "rate_reached": round(fed["events"] / fed["wall_s"]),
        "events": found.size,
        "commits": decided["commits"],
        "commit_interval_ms": COMMIT_MS,
        "tick_interval_ms": TICK_MS,
        "cpu_share": {
            "producer": round(fed["cpu_s"] / fed["wall_s"], 3),
            "flow": round(decided["cpu_s"] / fed["wall_s"], 3),
            "server": round(server_s / fed["wall_s"], 3),
        },
        "machine": machine(),
    }


def _wait_decided(asked: Asked) -> None:
    """Wait until all of the log is committed: a flow that is told to end does not read what it has not read yet."""
    end_s = time.monotonic() + DRAIN_S
    with open_session(asked) as session:
        ends = session.log().end_offsets()
        stores = {shard: session.store(shard) for shard in ends}
        while any(stores[shard].standing().offsets != streams for shard, streams in ends.items()):
            if time.monotonic() > end_s:
                message = f"bench latency: the flow is more than {DRAIN_S:.0f} s behind; ask for a lower --rate"
                raise Refused(message)
            time.sleep(0.2)


def latencies_ms(appended: Ints, committed: Ints, begin_ns: int) -> NDArray[np.float64]:
    """The latency of every event.

    Parameters
    ----------
    appended : int64[n, 4], a row for each entry in the order of appending: shard, number in its log, lines (0: a tick),
        when its append was called (ns).
    committed : int64[m, 3], a row for each commit in order: shard, last number it covers, when it was durable (ns).
    begin_ns : only events appended since then count.

    Returns
    -------
    float64[events].

    Raises
    ------
    ValueError if an event is not covered by any commit.
    """
    found = []
    for shard in np.unique(appended[:, 0]):
        entries = appended[appended[:, 0] == shard]
        commits = committed[committed[:, 0] == shard]
        ticks = entries[entries[:, 2] == 0, 1]
        lines = entries[(entries[:, 2] > 0) & (entries[:, 3] >= begin_ns)]
        place = np.searchsorted(ticks, lines[:, 1])
        if lines.size and place[-1] == ticks.size:
            message = f"shard {shard}: no tick follows the last event"
            raise ValueError(message)
        commit = np.searchsorted(commits[:, 1], ticks[place])
        if lines.size and commit[-1] == commits.shape[0]:
            message = f"shard {shard}: the last events were never committed"
            raise ValueError(message)
        found.append(np.repeat((commits[commit, 2] - lines[:, 3]) / 1e6, lines[:, 2]))
    return np.concatenate(found)
