"""What the executor's tests stand on: an outbox and a log in memory, virtual time, and ports that fail on order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import orjson

from connectors.simulated_platform import SimulatedPlatform
from engine.command import Command, Evidence
from engine.config import AccountConfig, EngineConfig, GuardrailConfig
from engine.execution import Terms
from engine.record import Answer, Reading, Request, Result
from flows.execute import Executor
from flows.execute_ports import Ports
from state.caller import Caller
from state.kill_switch import KillSwitch
from state.ledger import Ledger
from state.outcomes import Outcomes
from tests.engine.test_command import COMMAND

START = COMMAND.created_at_ms
UNIT = 1_000_000
WIDE = GuardrailConfig(
    velocity_ppm=50_000_000,
    max_changes_entity=100,
    max_changes_campaign=1000,
    max_changes_account=1000,
    cooldown_ms=0,
    change_min_ppm=1,
)
ACTING = EngineConfig(defaults=AccountConfig(autonomy="act", guardrails=WIDE))
KNOWN = Evidence(spend_seen_ms=START, conversion_seen_ms=START, in_zone=False, holdout=False)


def command(number: int, **more: Any) -> Command:
    fresh = {"command_id": f"c-{number:032x}", "decision_number": number, "evidence": KNOWN}
    return replace(COMMAND, **(fresh | more))


class Time:
    """Virtual time; every look at it costs a millisecond."""

    def __init__(self, now_ms: int = START) -> None:
        self.now_ms = now_ms

    def clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def sleep(self, ms: int) -> None:
        self.now_ms += ms

    def monotonic(self) -> float:
        return self.now_ms / 1000


@dataclass
class MemoryOutbox:
    """Outboxes of all shards, as the engine numbers them."""

    entries: dict[int, list[dict[bytes, bytes]]] = field(default_factory=dict)

    def put(self, shard: int, *commands: Command) -> None:
        found = self.entries.setdefault(shard, [])
        for one in commands:
            found += [{b"d": b"decisions"}, {b"c": orjson.dumps(one.to_row())}]

    def read_outbox(self, shard: int, after_number: int, count: int) -> list[tuple[int, dict[bytes, bytes]]]:
        found = self.entries.get(shard, [])[after_number : after_number + count]
        return [(after_number + 1 + i, fields) for i, fields in enumerate(found)]


@dataclass
class MemoryLog:
    """An event log with an idempotent producer."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    sequences: dict[tuple[int, str], int] = field(default_factory=dict)

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes], *, trusted: bool = False
    ) -> bool:
        last = self.sequences.get((shard, producer), 0)
        if sequence <= last:
            return False
        assert sequence == last + 1, "a producer's numbers have no gaps"
        self.sequences[shard, producer] = sequence
        self.lines += [orjson.loads(entry) for entry in entries]
        return True

    def last_sequence(self, shard: int, producer: str) -> int:
        return self.sequences.get((shard, producer), 0)

    def results(self) -> list[tuple[str, str]]:
        return [(line["command_id"], line["result"]) for line in self.lines]


class Crash(BaseException):
    """The process died here."""


class Failing:
    """Any port, whose calls meet ``fate`` before and after they do their work."""

    def __init__(self, inner: Any, fate: Callable[[str], None]) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fate(f"before {name}")
            reply = found(*args, **kwargs)
            self._fate(f"after {name}")
            return reply

        return call


class UnreliablePlatform:
    """A platform over a bad line: replies get lost, requests get lost, some land only after the line has died.

    ``late_ms`` bounds how late; a platform that is later than the settle time breaks what the executor relies on.
    """

    def __init__(self, inner: SimulatedPlatform, time: Time, random: Random, late_ms: int) -> None:
        self._inner, self._time, self._random, self._late_ms = inner, time, random, late_ms
        self._pending: list[tuple[int, Request]] = []

    def read(self, request: Request) -> Reading | None:
        self.land()
        return None if self._random.random() < 0.1 else self._inner.read(request)

    def apply(self, request: Request, now_ms: int) -> Answer:
        self.land()
        chance = self._random.random()
        if chance < 0.1:
            return Answer(Result.UNKNOWN, None, "lost_request")
        if chance < 0.2:
            self._inner.apply(request, now_ms)
            return Answer(Result.UNKNOWN, None, "lost_reply")
        if chance < 0.3:
            self._pending.append((now_ms + self._random.randrange(self._late_ms), request))
            return Answer(Result.UNKNOWN, None, "late")
        if chance < 0.35:
            return Answer(Result.CONFIRMED, request.value_micros)  # a lie
        return self._inner.apply(request, now_ms)

    def land(self, *, all_of_them: bool = False) -> None:
        for item in sorted(self._pending, key=lambda item: item[0]):
            if all_of_them or item[0] <= self._time.now_ms:
                self._inner.apply(item[1], item[0])
                self._pending.remove(item)


class House:
    """All the parts of one case, over which executors come and go."""

    def __init__(self, caller: Caller, folder: Path, *, config: EngineConfig = ACTING, settle_ms: int = 20_000) -> None:
        self.time = Time()
        self.outbox = MemoryOutbox()
        self.log = MemoryLog()
        self.file = folder / "platform.ndjson"
        self.platform: Any = SimulatedPlatform(self.file)
        self.ledger = Ledger(caller)
        self.outcomes = Outcomes(caller)
        self.switch = KillSwitch(caller, folder)
        self.config = config
        self.settle_ms = settle_ms
        self.owners = 0

    def executor(self, fate: Callable[[str], None] | None = None) -> Executor:
        def port(inner: Any) -> Any:
            return inner if fate is None else Failing(inner, fate)

        self.owners += 1
        ports = Ports(
            ledger=port(self.ledger),
            outcomes=port(self.outcomes),
            switch=self.switch,
            outbox=port(self.outbox),
            log=port(self.log),
            platforms={"simulated": port(self.platform)},
            clock=self.time.clock,
            sleep=self.time.sleep,
            monotonic=self.time.monotonic,
        )
        terms = Terms(owner=f"owner-{self.owners}", settle_ms=self.settle_ms, attempts_max=50)
        return Executor(ports, self.config, (0, 1), terms)
