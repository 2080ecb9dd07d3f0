"""The decide flow of ``bench latency``, in a process of its own: the real one, its store noting when commits land."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import workload
from bench.engine_row import WARM_EVENTS
from bench.flow import write_workload
from bench.flow_row import drain, session_of
from bench.harness import timed
from bench.latency import ACCOUNTS, COMMIT_MS
from flows.decide import build
from flows.shard_logic import ShardEngine
from headgate.asked import Asked
from headgate.roles import run_flow, stop_on_signal
from headgate.session import open_session
from state.commit import Numbered
from state.scripts import Reply
from state.store import ShardStore

Notes = list[tuple[int, int, int]]


class NotingStore(ShardStore):
    """A shard's store that notes (shard, offset, when it was durable) of each commit."""

    notes: Notes

    def commit(
        self,
        offsets: Mapping[str, int],
        outbox: Sequence[Numbered] = (),
        dead_letters: Sequence[Numbered] = (),
        summaries: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        """Commit, then look at the clock."""
        reply = super().commit(offsets, outbox, dead_letters, summaries)
        self.notes.append((self.shard, max(offsets.values()), time.monotonic_ns()))
        return reply


def run(folder: str) -> dict[str, Any]:
    """Decide until told to end; says "ready" on the standard output once it is."""
    place = Path(folder)
    small = place / "warm.ndjson"
    write_workload(small, WARM_EVENTS, 50, 4, 1)
    _, warm = session_of(place / "warm", 4)
    with open_session(warm, begin=True) as session:
        drain(session, small, 0)
    asked = Asked(config=place / "data" / "headgate.toml", data=place / "data", as_json=True)
    notes: Notes = []
    with open_session(asked, begin=True) as session, stop_on_signal() as stopped:

        def engine_of(shard: int) -> ShardEngine:
            store = NotingStore(session.caller.client, shard)
            store.notes = notes
            return ShardEngine(store, workload.config(ACCOUNTS))

        flow = build(
            list(session.shards),
            make_log=session.log,
            make_engine=engine_of,
            positions=lambda shard: dict(session.store(shard).standing().offsets),
            stopped=stopped,
            commit_every_s=COMMIT_MS / 1000,
        )
        print("ready", flush=True)
        with timed() as took:
            run_flow(flow)
    np.save(place / "committed.npy", np.array(notes, np.int64).reshape(-1, 3))
    return {"commits": len(notes), "cpu_s": took.cpu_s}
