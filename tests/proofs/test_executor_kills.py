"""An executor killed at every step of the way of a command: each is applied once, and its outcome told once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.proofs import verdict
from tests.proofs.crash import PHASES
from tests.proofs.house import House
from tests.proofs.kill_loop import WALL_MS
from tests.proofs.processes import Nursery
from tests.proofs.workload import config_of

pytestmark = pytest.mark.timeout(300)
POINTS = (
    *(("record", phase, 1) for phase in PHASES),
    *(("move", phase, count) for count in range(1, 7) for phase in PHASES),
    *(("apply", phase, count) for count in (1, 2) for phase in ("before", "half", "after")),
    *(("append", phase, 1) for phase in PHASES),
)
"""A command moves thrice on its way: reserved, marked as sent, finished. Killed before it is marked, it is taken up
again when the lease is over; afterwards, when the platform has settled and was read."""


def test_an_executor_killed_at_every_point(nursery: Nursery, folder: Path) -> None:
    with House(nursery, folder, events=5000, pieces=2, ads=180, autonomy="act") as house:
        house.feed()
        assert house.run("decide", "--until-idle").code == 0
        commands = len(house.books().commands)
        assert commands > 2 * len(POINTS)
        for place, point in enumerate(POINTS):
            child = house.run("execute", point=point, wall_ms=WALL_MS + place * 200)
            assert child.code == -signal.SIGKILL, (point, child.said())
        wall_ms = WALL_MS + 60_000
        for argv in (["execute", "--until-idle"], ["decide", "--until-idle"], ["execute", "--until-idle"]) * 2:
            child = house.run(*argv, wall_ms=wall_ms)
            assert child.code == 0, child.said()
            wall_ms += 60_000
        books = house.books()
        told = verdict.outcome_lines(house.config, house.data)
        assert verdict.of_executor(house.config, house.data, books) == []
        assert verdict.of_outcomes(house.config, house.data) == []
        assert len({line["event_id"] for line in told}) == len(told) >= commands
        witness = house.work.witness(config_of(house.config))
        assert verdict.against_witness(books, witness, outcomes=len(told)) == []
