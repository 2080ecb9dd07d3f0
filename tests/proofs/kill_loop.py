"""The kill loop: every role and both servers at work at once, killed again and again, begun again at once.

Rules of this file: what is killed when follows from the seed and the machine's timing, never what must come of it; each
end that was no kill of ours has to have a reason (a server that we took away), or it is a fault.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.workload import CLOCK_MS, START_MS
from engine.events import MS_PER_DAY
from tests.proofs import workload
from tests.proofs.processes import Child, Nursery, RedisServer

WALL_MS = START_MS + 5 * MS_PER_DAY
"""Where the children's wall clocks begin: just after the events, so that commands are still to be carried out."""
SETTLE_S = 2
PATIENCE_S = {"feeder": 0.5, "decide": 0.4, "executor": 1.5}
"""How long a role may take to come to the point at which it is to die; then it is killed where it is."""
FED_AGAIN = 3
"""How many files are fed again after a cut: more than it can have taken from the log."""
PHASES = ("before", "half", "sent", "read")
POINTS = {
    "feeder": (("append", PHASES, 9),),
    "decide": (("acquire", PHASES, 2), *3 * (("commit", PHASES, 3),)),
    "executor": (("record", PHASES, 2),),
}
CHECKPOINT_POINTS = (("write_chunks", PHASES, 1), ("finish_checkpoint", PHASES, 1))
ACTING_POINTS = (
    ("move", PHASES, 4), ("apply", ("before", "half", "after"), 1), ("append", PHASES, 1),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One kill loop.

    Attributes
    ----------
    kills : how many processes are to be killed. seed : of who, when and where.
    events, ads, pieces : size of the workload, and the number of files it is fed in.
    autonomy : of all accounts: "observe" or "act".
    deciders : the shards that each decide process serves.
    executors : how many executor processes there are.
    redis_every : a redis-server is among so many kills; 0: never.
    cut_bytes : how much of its file's tail the state's server loses at most when it is killed.
    guarded : whether the store is the product's.
    """

    kills: int
    seed: int = 1
    events: int = 4000
    ads: int = 36
    pieces: int = 40
    autonomy: str = "observe"
    shards: int = 4
    deciders: tuple[str, ...] = ("0-1", "2-3")
    executors: int = 1
    redis_every: int = 10
    cut_bytes: int = 0
    guarded: bool = True


@dataclass
class Role:
    """A role that is begun again whenever it ended."""

    name: str
    kind: str
    argv: list[str]
    child: Child | None = None
    deadline_s: float = 0.0
    how: str = "random"


@dataclass
class Tally:
    """What was done, and what ended without our doing."""

    kills: Counter[str] = field(default_factory=Counter)
    unasked: list[str] = field(default_factory=list)
    bytes_cut: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.kills.values())


class KillLoop:
    """A workload, two servers and the roles between them."""

    def __init__(self, plan: Plan, nursery: Nursery, folder: Path) -> None:
        self.plan, self.nursery, self.folder = plan, nursery, folder
        self.random = random.Random(plan.seed)
        self.tally = Tally()
        self.state = RedisServer(folder / "a", "everysec")
        self.ledger = RedisServer(folder / "b", "always")
        self.work = workload.make(plan.events, plan.pieces, seed=plan.seed, ads=plan.ads)
        self.files = self.work.write(folder / "w")
        self.config = write_config(folder, plan, self.state, self.ledger)
        self.data = folder / "d"
        self.fed = self.fed_once = 0
        self.last_server_kill_s = 0.0
        self.roles = [Role("feeder", "feeder", [])]
        self.roles += [Role(f"executor {n}", "executor", ["execute"]) for n in range(plan.executors)]
        self.roles += [Role(f"decide {own}", "decide", ["decide", "--shards", own]) for own in plan.deciders]

    def run(self) -> Tally:
        """Kill as often as planned while all is fed, then let everything come to rest."""
        began = time.monotonic()
        self.state.start()
        self.ledger.start()
        while self.tally.total < self.plan.kills or self.fed < len(self.files):
            self.nursery.poll(0.002)
            for role in self.roles:
                self._tend(role)
            if self._server_is_due():
                self._kill_server()
        self._rest()
        self.tally.seconds = time.monotonic() - began
        return self.tally

    def close(self) -> None:
        """End the servers; the children end with their nursery."""
        for role in self.roles:
            if role.child is not None:
                role.child.kill()
        self.state.kill()
        self.ledger.kill()

    # --- the roles ----------------------------------------------------------------------------------------------------

    def _tend(self, role: Role) -> None:
        child = role.child
        if child is None:
            if role.kind != "feeder" or self._may_feed():
                self._begin(role)
        elif child.code is not None:
            role.child = None
            self._note_end(role, child)
        elif role.deadline_s and time.monotonic() > role.deadline_s:
            role.how = "random"
            child.kill()
            role.deadline_s = 0.0

    def _may_feed(self) -> bool:
        """Whether the next file is to be fed by now: new work must be left for the kills to come."""
        if self.fed >= len(self.files):
            return False
        return self.fed * self.plan.kills <= (self.tally.total + 1) * len(self.files)

    def _begin(self, role: Role) -> None:
        is_killing = self.tally.total < self.plan.kills and not (role.kind == "feeder" and self.fed < self.fed_once)
        point = self._point(role.kind) if is_killing and self.random.random() < 0.8 else None
        if role.kind == "feeder":
            role.argv = ["ingest", "--as-of", str(CLOCK_MS), "--events", str(self.files[self.fed])]
        role.how = "random" if point is None else f"{point[0]} {point[1]}"
        role.child = self.spawn(*role.argv, point=point)
        left_s = self.random.uniform(0.01, 0.15) if point is None else PATIENCE_S[role.kind]
        role.deadline_s = time.monotonic() + left_s if is_killing else 0.0

    def _point(self, kind: str) -> tuple[str, str, int]:
        choice: list[Any] = list(POINTS[kind])
        if kind == "decide" and self.plan.guarded:
            choice += CHECKPOINT_POINTS
        if kind == "decide" and not self.plan.guarded:
            choice = [("split", ("offsets", "state"), 3)]
        if kind == "executor" and self.plan.autonomy == "act":
            choice += 2 * ACTING_POINTS
        call, phases, most = self.random.choice(choice)
        return call, self.random.choice(phases), self.random.randint(1, most)

    def spawn(self, *argv: str, **how: Any) -> Child:
        """Fork a role on this loop's servers."""
        words = [*argv, "--config", str(self.config), "--data", str(self.data), "--json"]
        wall_ms = WALL_MS + int(time.monotonic() * 1000) % MS_PER_DAY
        return self.nursery.spawn(
            *words, wall_ms=wall_ms, small_checkpoints=True, guarded=self.plan.guarded, out=os.devnull, **how
        )

    def _note_end(self, role: Role, child: Child) -> None:
        if child.code == -signal.SIGKILL:
            self.tally.kills[f"{role.kind}: {role.how}"] += 1
        elif child.code == 0 and role.kind == "feeder":
            self.fed += 1
            self.fed_once = max(self.fed, self.fed_once)
        elif child.code != 1 or child.born_s > self.last_server_kill_s:
            self.tally.unasked.append(f"{role.name} ended with {child.code}: {child.said()}")
            if len(self.tally.unasked) > 20:
                raise AssertionError("\n".join(self.tally.unasked))

    # --- the servers --------------------------------------------------------------------------------------------------

    def _server_is_due(self) -> bool:
        every, total = self.plan.redis_every, self.tally.total
        done = self.tally.kills["redis-server: everysec"] + self.tally.kills["redis-server: always"]
        return bool(every) and total < self.plan.kills and total >= (done + 1) * every

    def _kill_server(self) -> None:
        server = self.ledger if self.random.random() < 0.3 else self.state
        server.kill()
        if server is self.state and self.plan.cut_bytes:
            self._cut(server)
        server.start()
        self.last_server_kill_s = time.monotonic()
        self.tally.kills[f"redis-server: {server.fsync}"] += 1

    def _cut(self, server: RedisServer) -> None:
        """Lose the file's tail; what was acknowledged may be gone with it, so the feeding of it is asked for again."""
        for role in self.roles:
            if role.kind == "feeder" and role.child is not None:
                role.child.kill()
                self.nursery.wait(role.child)
                role.child = None
        self.tally.bytes_cut += server.cut(self.random.randint(0, self.plan.cut_bytes))
        self.fed = max(0, self.fed - FED_AGAIN)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Stop the roles as an operator would; then decide and execute until neither has anything left."""
        running = [role for role in self.roles if role.child is not None]
        for role in running:
            role.child.signal(signal.SIGTERM)
        for role in running:
            code = self.nursery.wait(role.child)
            if code not in {0, -signal.SIGKILL}:
                self._note_end(role, role.child)
            role.child = None
        while True:
            for argv in (["decide", "--until-idle"], ["execute", "--until-idle"]):
                child = self.spawn(*argv)
                code = self.nursery.wait(child)
                assert code == 0, child.said()
            if self._is_idle():
                return

    def _is_idle(self) -> bool:
        client = self.state.client()
        rows = [
            (client.hgetall(f"{{s{n:02d}}}:offsets"), client.hget(f"{{s{n:02d}}}:producers", "")) for n in self.shards
        ]
        client.close()
        return all(set(offsets.values()) == {end} for offsets, end in rows)

    @property
    def shards(self) -> range:
        """All shards."""
        return range(self.plan.shards)


def write_config(folder: Path, plan: Plan, state: RedisServer, ledger: RedisServer) -> Path:
    """Write the ``headgate.toml`` of a plan on these servers."""
    urls = {"log": state.url, "state": state.url, "ledger": ledger.url}
    expiry = 60 if plan.autonomy == "observe" else 14 * 24 * 60
    text = workload.toml(autonomy=plan.autonomy, shards=plan.shards, expiry_minutes=expiry, urls=urls)
    path = folder / "headgate.toml"
    path.write_text(text + f"[platforms.simulated]\nsettle_s = {SETTLE_S}\n")
    return path
