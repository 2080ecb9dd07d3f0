"""The decide flow: log -> shards -> committed decisions.

Rules of this file: `build` is wiring only, `flow` reads the settings and opens what it needs; importing opens nothing.
Run it with ``headgate decide``, or with ``python -m bytewax.run flows.decide`` (``-w 2``, ``-i``/``-a`` for several
processes); settings come from HEADGATE_CONFIG and HEADGATE_DATA then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.log import EventLog
from flows.halt import Halt
from flows.shard_logic import COMMIT_EVERY_S, Commit, ShardEngine, ShardLogic
from flows.shard_source import ShardSource

Watch = Callable[[Commit], None]


class _WatchPartition(StatelessSinkPartition[tuple[str, Commit]]):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def write_batch(self, items: list[tuple[str, Commit]]) -> None:
        for _, commit in items:
            self._watch(commit)


class _WatchSink(DynamicSink[tuple[str, Commit]]):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _WatchPartition:
        return _WatchPartition(self._watch)


@dataclass(frozen=True)
class DecideFlow(Dataflow):
    """The decide flow, and why it stood down, if it did."""

    halt: Halt = field(default_factory=Halt, compare=False)


def build(
    shards: list[int],
    make_log: Callable[[], EventLog],
    make_engine: Callable[[int], ShardEngine],
    positions: Callable[[int], dict[str, int]],
    *,
    stopped: Callable[[], bool] = lambda: False,
    ends: dict[int, dict[str, int]] | None = None,
    commit_every_s: float = COMMIT_EVERY_S,
    watch: Watch = lambda commit: None,
) -> DecideFlow:
    """Wire the flow.

    Parameters
    ----------
    shards : which shards this process serves.
    make_log : opens the event log. make_engine : opens a shard's engine. positions : a shard's committed offsets.
    stopped : asked often; when True the flow drains, commits and ends.
    ends : shard -> {stream: offset} at which to end; None: never.
    commit_every_s : how long what was taken may stay uncommitted.
    watch : told of each commit.
    """
    flow = DecideFlow("headgate_decide")
    source = ShardSource(shards, positions, make_log, ends, stopped, flow.halt)
    chunks = op.input("log", flow, source)
    commits = op.stateful_batch("shard", chunks, lambda state: ShardLogic(make_engine, commit_every_s, flow.halt))
    op.output("commits", commits, _WatchSink(watch))
    return flow


def run(flow: Dataflow) -> None:
    """Run a flow in this thread.

    Raises
    ------
    What made it stand down; other errors come out as what they were before Bytewax wrapped them.
    """
    from bytewax.testing import run_main

    try:
        run_main(flow)
    except BaseException as error:  # a panic of the Rust side is no Exception
        cause: BaseException | None = error
        while cause is not None and type(cause).__module__ in ("builtins", "bytewax.errors", "pyo3_runtime"):
            cause = cause.__cause__
        if cause is None or cause is error:
            raise
        raise cause from None
    if isinstance(flow, DecideFlow) and flow.halt.fault is not None:
        raise flow.halt.fault


def flow() -> Dataflow:
    """The flow of this machine's settings, for ``python -m bytewax.run flows.decide``."""
    from headgate.flow_settings import open_decide

    return open_decide()
