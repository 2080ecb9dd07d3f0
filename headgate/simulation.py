"""``headgate simulate``: the same engine, guardrails and executor core against a world, in virtual time.

Rules of this file: time is a number that the driver moves; no clock is read but the processor's, for the bill. The
autonomy is ``act``: a simulation has no owner to protect. What the world emits crosses the wire format like any feed.
Theory of operation: an hour (a tick) at a time: commands go out at their own moments, the world lives up to the tick,
its events and the outcomes become lines, the engine takes the lines and the tick, new commands wait for their moment.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from connectors.wire.decode import decode, line_fields
from connectors.worlds.protocol import CheckedWorld, World, WorldError, as_line
from engine.config import EngineConfig
from engine.decision import hold_word
from engine.events import MS_PER_DAY, MS_PER_HOUR, Kind, Refusal
from engine.plan import Tick
from engine.shard import Shard
from engine.step import Lines, Output, step
from engine.verdict import verdict_word
from headgate.breaches import Breaches
from headgate.settings import Settings
from headgate.virtual_executor import VirtualExecutor

STREAM: Final = "simulation"
_KEEP_MS: Final = 8 * MS_PER_DAY

Step = Callable[[Sequence[Lines | Tick]], Output]
OnProgress = Callable[[float, "Simulation"], None]
OnEnd = Callable[["Simulation"], None]


class Simulation:
    """A world, an engine and an executor, and the hour they have reached.

    Parameters
    ----------
    world : who plays the platform and its customers. config : of the engine; autonomy becomes ``act``.
    tick_ms : virtual time between two ticks. take : the engine's step; by default that of a fresh shard.

    Attributes
    ----------
    now_ms : int, virtual time. verdicts, refusals : Counters of decisions by verdict, of dead letters by reason.
    """

    def __init__(self, world: World, config: EngineConfig, tick_ms: int, take: Step | None = None) -> None:
        self.config = acting(config)
        self.now_ms = world.start_ms
        self._world = world
        self._take = take or _fresh_engine(self.config)
        self.breaches = Breaches(self.config)
        self.executor = VirtualExecutor(world, self.config, self.breaches.wrote)
        self.verdicts: Counter[str] = Counter()
        self.holds: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.events = 0
        self.engine_cpu_s = 0.0
        self._ad_births_ms: dict[str, int] = {}
        self._number = 0
        self._tick_ms = tick_ms
        self._take([self._tick(world.start_ms)])

    def tick(self, until_ms: int) -> Output:
        """Let everything happen up to ``until_ms``, then let the engine decide.

        Returns
        -------
        Output of the engine; its commands are with the executor already.
        """
        items = self._live(until_ms)
        self.now_ms = until_ms
        began = time.process_time()
        output = self._take([*items, self._tick(until_ms)])
        self.engine_cpu_s += time.process_time() - began
        self._count(output)
        for _, command in output.commands:
            self.executor.take(command)
        self.executor.ledger.forget(until_ms - _KEEP_MS)
        return output

    def counts(self) -> dict[str, Any]:
        """What the engine and the executor did so far."""
        ad_days = sum(self.now_ms - born for born in self._ad_births_ms.values()) / MS_PER_DAY
        records = self.executor.ledger.records.values()
        results = Counter("open" if record.result is None else record.result.value for record in records)
        return {
            "days": round((self.now_ms - self._world.start_ms) / MS_PER_DAY, 3),
            "events": self.events,
            "decisions": dict(sorted(self.verdicts.items())),
            "commands": dict(sorted(results.items())),
            "holds": dict(sorted((self.holds + self.executor.holds).items())),
            "writes": self.executor.sends,
            "writes_per_ad_day": round(self.executor.sends / ad_days, 4) if ad_days else 0.0,
            "velocity_breaches": self.breaches.velocity,
            "cap_breaches": self.breaches.caps,
            "breach_examples": self.breaches.examples,
            "dead_letters": dict(sorted(self.refusals.items())),
        }

    def _tick(self, now_ms: int) -> Tick:
        """The engine's time is ``now_ms``; what will be seen before the next tick is not from the future."""
        self._number += 1
        return Tick(now_ms, now_ms + self._tick_ms, False, STREAM, self._number)

    def _live(self, until_ms: int) -> list[Lines | Tick]:
        """The world's events and the executor's outcomes up to ``until_ms``, in the order in which they are seen."""
        items: list[Lines | Tick] = []
        while (due_ms := self.executor.next_ms()) is not None and due_ms <= until_ms:
            now_ms = max(due_ms, self.now_ms)
            items += self._lines(self._seen(now_ms), trusted=False)
            items += self._lines(self.executor.visit(now_ms), trusted=True)
        return items + self._lines(self._seen(until_ms), trusted=False)

    def _seen(self, now_ms: int) -> list[bytes]:
        return [as_line(event) for event in self._world.advance(now_ms)]

    def _lines(self, lines: list[bytes], *, trusted: bool) -> list[Lines]:
        """Lines across the wire format; what the catalog shows is learned on the way."""
        if not lines:
            return []
        self.events += len(lines)
        decoded = decode(lines, trusted=trusted)
        rows = decoded.events
        told = np.flatnonzero((rows["kind"] >= Kind.CATALOG) & (rows["refusal"] == Refusal.ACCEPTED)).tolist()
        details = {place: line_fields(decoded.data, rows[place]) for place in told}
        for fields in details.values():
            if fields["kind"] == "catalog":
                self.breaches.saw(fields)
                self.executor.ledger.saw(fields)
                ad = "/".join((fields["tenant"], fields["account"], fields["ad_id"]))
                self._ad_births_ms.setdefault(ad, max(fields["launched_at_ms"], self._world.start_ms))
        self._number += 1
        return [Lines(decoded.data, rows, STREAM, np.full(len(lines), self._number, np.int64), details=details)]

    def _count(self, output: Output) -> None:
        for _, rows, _ in output.decisions:
            self.verdicts.update(verdict_word(code) or "none" for code in rows["verdict"].tolist())
            self.holds.update(word for code in rows["hold"].tolist() if (word := hold_word(code)))
        self.refusals.update(letter.reason for letter in output.dead_letters)


def simulate(
    world: World,
    engine_config: EngineConfig,
    days: float,
    policy: str | None = None,
    tick_ms: int = MS_PER_HOUR,
    on_progress: OnProgress | None = None,
    take: Step | None = None,
    on_end: OnEnd | None = None,
) -> dict[str, Any]:
    """Run a world for some days.

    Parameters
    ----------
    world : see `connectors.worlds.protocol`. engine_config : see `engine.config`; its autonomy becomes ``act``.
    days : virtual days. policy : the policy of all accounts, or None for the configured ones.
    tick_ms : how often the engine is asked, virtual milliseconds.
    on_progress : told of the share done and the simulation after every tick.
    take : another engine step: one that keeps what it does, or a stand-in. on_end : told of the simulation at its end.

    Returns
    -------
    dict with ``world`` (the world's report) and ``engine`` (see `Simulation.counts`, and CPU seconds).
    """
    began = time.process_time()
    simulation = Simulation(world, with_policy(engine_config, policy), tick_ms, take)
    end_ms = world.start_ms + round(days * MS_PER_DAY)
    while simulation.now_ms < end_ms:
        simulation.tick(min(simulation.now_ms + tick_ms, end_ms))
        if on_progress is not None:
            on_progress((simulation.now_ms - world.start_ms) / (end_ms - world.start_ms), simulation)
    report = world.report()
    if on_end is not None:
        on_end(simulation)
    bill = {
        "policy": policy,
        "cpu_seconds": round(time.process_time() - began, 3),
        "engine_cpu_seconds": round(simulation.engine_cpu_s, 3),
    }
    return {"world": report, "engine": simulation.counts() | bill}


def acting(config: EngineConfig) -> EngineConfig:
    """The same configuration with autonomy ``act`` for every account."""
    accounts = {scope: replace(account, autonomy="act") for scope, account in config.accounts.items()}
    return replace(config, defaults=replace(config.defaults, autonomy="act"), accounts=accounts)


def with_policy(config: EngineConfig, policy: str | None) -> EngineConfig:
    """The same configuration with one policy for every account; None changes nothing."""
    if policy is None:
        return config
    accounts = {scope: replace(account, policy=policy) for scope, account in config.accounts.items()}
    return replace(config, defaults=replace(config.defaults, policy=policy), accounts=accounts)


def _fresh_engine(config: EngineConfig) -> Step:
    shard = Shard(0, config)
    return lambda items: step(shard, items)


def fitting(world: CheckedWorld, settings: Settings) -> Settings:
    """The settings as read from a file; without a file, those that the world recommends, if it does.

    Raises
    ------
    WorldError where the world recommends what is no settings.
    """
    recommended = world.settings() if settings.origin is None else None
    if recommended is None:
        return settings
    try:
        return Settings.model_validate(recommended)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"the world's settings() are no headgate.toml: {place}: {first['msg']}"
        raise WorldError(message) from fault


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[OnProgress]:
    """A progress bar on the standard error where that is a terminal, else silence."""
    if not shown or not sys.stderr.isatty():
        yield lambda share, simulation: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=1.0)
        yield lambda share, simulation: bar.update(task, completed=share)
