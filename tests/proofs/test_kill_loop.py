"""A crash anywhere, any number of times: no event lost or counted twice, no decision changed, no command doubled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.proofs import twin, verdict
from tests.proofs.kill_loop import KillLoop, Plan
from tests.proofs.processes import Nursery
from tests.proofs.workload import config_of

pytestmark = pytest.mark.timeout(300)
KILLS = 50
SOAK = 1000


@contextmanager
def ran(plan: Plan, nursery: Nursery, folder: Path) -> Iterator[KillLoop]:
    with closing(KillLoop(plan, nursery, folder)) as loop:
        loop.run()
        kills = ", ".join(f"{how} {count}" for how, count in sorted(loop.tally.kills.items()))
        print(f"{loop.tally.total} kills in {loop.tally.seconds:.1f} s: {kills}")  # noqa: T201 - seen with pytest -s
        yield loop


def faults_of(loop: KillLoop) -> tuple[verdict.Books, list[str]]:
    """Everything that can be said against a run without another one to compare it with."""
    books = verdict.read(loop.config, loop.data)
    told = {line["event_id"] for line in verdict.outcome_lines(loop.config, loop.data)}
    faults = verdict.against_witness(books, loop.work.witness(config_of(loop.config)), outcomes=len(told))
    faults += verdict.of_executor(loop.config, loop.data, books)
    return books, faults + verdict.of_outcomes(loop.config, loop.data) + loop.tally.unasked


def observe(kills: int, seed: int, nursery: Nursery, folder: Path) -> None:
    """Everything killed, servers with the tail of their files: all is as in a run that nobody disturbed."""
    plan = Plan(kills=kills, pieces=kills + 30, events=4000 + 4 * kills, seed=seed, redis_every=6, cut_bytes=4000)
    with ran(plan, nursery, folder / "r") as loop:
        books, faults = faults_of(loop)
        with twin.fed(folder / "t", loop.files, plan.shards) as server:
            other = twin.decided(nursery, server, loop.config, folder / "d")
        assert faults + verdict.against_twin(books, other) == []
        assert len(books.commands) > 300
        assert loop.tally.total >= kills


def act(kills: int, seed: int, nursery: Nursery, folder: Path) -> None:
    """The same while commands are carried out and their outcomes come back: each is applied once."""
    size = {"pieces": kills + 30, "events": 4000 + 4 * kills, "ads": 36 + kills // 4}
    plan = Plan(kills=kills, seed=seed, redis_every=9, cut_bytes=4000, autonomy="act", executors=2, **size)
    with ran(plan, nursery, folder / "r") as loop:
        books, faults = faults_of(loop)
        with closing(loop.state.client()) as source, twin.copied(folder / "t", source, plan.shards) as server:
            other = twin.decided(nursery, server, loop.config, folder / "d")
        assert faults + verdict.against_twin(books, other) == []
        assert len(books.commands) > 100
        assert loop.tally.total >= kills


def test_fifty_kills_change_nothing(nursery: Nursery, folder: Path) -> None:
    observe(KILLS, 1, nursery, folder)


def test_fifty_kills_while_commands_are_carried_out(nursery: Nursery, folder: Path) -> None:
    act(KILLS, 2, nursery, folder)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills_change_nothing(nursery: Nursery, folder: Path) -> None:
    observe(SOAK, 3, nursery, folder)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills_while_commands_are_carried_out(nursery: Nursery, folder: Path) -> None:
    act(SOAK, 4, nursery, folder)


def test_without_the_guard_the_same_kills_do_harm(nursery: Nursery, folder: Path) -> None:
    """The proof has teeth: without owner and sequence, and with three writes for one, events and commands are lost."""
    plan = Plan(kills=25, pieces=40, seed=5, redis_every=0, guarded=False)
    with ran(plan, nursery, folder / "r") as loop:
        _, faults = faults_of(loop)
    assert any("ad rows are wrong" in fault for fault in faults)
    assert any(fault.startswith("lines is") for fault in faults)
    assert any("decisions in the outbox" in fault or "commands in the outbox" in fault for fault in faults)
