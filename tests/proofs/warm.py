"""Everything a role loads and compiles, done once in the nursery before it forks.

Rules of this file: no server, no thread; what is run here is thrown away.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.memory_log import MemoryLog
from bench.workload import CLOCK_MS
from connectors.feed import Feed, feed
from flows.shard_logic import ShardEngine
from state.scripts import Reply
from tests.proofs import workload

SHARDS = 2
MODULES = (
    "bytewax.run", "bytewax.testing", "connectors.embedded_redis", "connectors.redis_log",
    "connectors.simulated_platform", "flows.decide", "flows.execute", "headgate.__main__", "headgate.commands.roles",
    "headgate.feeding", "headgate.flow_settings", "headgate.output", "headgate.roles", "headgate.settings",
    "state.kill_switch", "state.ledger", "state.manifest", "state.outbox", "state.outcomes", "state.store",
)  # fmt: skip


class _Store:
    """A store that keeps nothing."""

    def __init__(self, shard: int) -> None:
        self.shard, self.lease, self.tables = shard, None, {}

    def acquire(self, wait_s: float) -> None:
        pass

    def load(self, tables: Any) -> Any:
        return SimpleNamespace(seq=0, offsets={})

    def commit(self, *args: Any) -> Reply:
        from state.commit import Place, pack

        changes = tuple(c for c in (table.change() for table in self.tables.values()) if c is not None)
        pack(changes, Place(0, 0, 0), {}, (), (), {})
        return Reply.OK

    def checkpoint(self) -> Reply:
        return Reply.OK


def run() -> None:
    """Load it all, and feed a small workload through the real feeder and engine, in memory."""
    for name in MODULES:
        import_module(name)
    with tempfile.TemporaryDirectory(prefix="hg-warm-") as name:
        folder = Path(name)
        (folder / "headgate.toml").write_text(workload.toml(autonomy="act", shards=SHARDS))
        config = workload.config_of(folder / "headgate.toml")
        log = MemoryLog(SHARDS)
        for path in workload.make(1500, 2).write(folder):
            feed(log, Feed([path], "warm"), CLOCK_MS)
    for shard, entries in log.read({shard: {} for shard in range(SHARDS)}, 0).items():
        engine = ShardEngine(_Store(shard), config)
        for _ in engine.take(entries):
            pass
        engine.commit()
