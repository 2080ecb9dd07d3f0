"""A place for one proof: servers, a configuration, a workload, and the roles on it.

Rules of this file: what is done here goes through the command line of the product, in processes of its own.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from bench.workload import CLOCK_MS
from tests.proofs import verdict, workload
from tests.proofs.kill_loop import Plan, write_config
from tests.proofs.processes import Child, Nursery, RedisServer

SHARDS = 4


class House:
    """Two servers and a fed log.

    Parameters
    ----------
    plan : size of the workload, and autonomy; nothing is killed here.
    """

    def __init__(self, nursery: Nursery, folder: Path, **plan: Any) -> None:
        self.nursery, self.folder = nursery, folder
        self.state = RedisServer(folder / "a", "everysec")
        self.ledger = RedisServer(folder / "b", "always")
        self.plan = Plan(kills=0, shards=SHARDS, **({"events": 3000, "pieces": 4} | plan))
        self.work = workload.make(self.plan.events, self.plan.pieces, ads=self.plan.ads)
        self.files = self.work.write(folder / "w")
        self.config = write_config(folder, self.plan, self.state, self.ledger)
        self.data = folder / "d"

    def spawn(self, *argv: str | Path, **how: Any) -> Child:
        """Fork a role."""
        return self.nursery.spawn(*argv, "--config", self.config, "--data", self.data, "--json", **how)

    def run(self, *argv: str | Path, **how: Any) -> Child:
        """Fork a role and wait for its end."""
        child = self.spawn(*argv, **how)
        self.nursery.wait(child)
        return child

    def bytewax(self, *argv: str, **env: str) -> Child:
        """``python -m bytewax.run flows.decide``."""
        names = {"HEADGATE_CONFIG": str(self.config), "HEADGATE_DATA": str(self.data), "HEADGATE_UNTIL_IDLE": "1"}
        return self.nursery.spawn("flows.decide", *argv, module="bytewax.run", env=names | env)

    def feed(self) -> None:
        """Feed all files."""
        for file in self.files:
            child = self.run("ingest", "--as-of", str(CLOCK_MS), "--events", file)
            assert child.code == 0, child.said()

    def books(self) -> verdict.Books:
        """What there is now."""
        return verdict.read(self.config, self.data)

    def forget(self) -> None:
        """Drop all state and keep the log."""
        client = self.state.client()
        log = {f"{{s{shard:02d}}}:{name}".encode() for shard in range(SHARDS) for name in ("log", "producers")}
        client.delete("-", *(key for key in client.scan_iter() if key not in log))
        client.close()

    def __enter__(self) -> House:
        self.state.start()
        self.ledger.start()
        return self

    def __exit__(self, kind: type | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.state.kill()
        self.ledger.kill()
