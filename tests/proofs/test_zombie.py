"""A process that stood still while another took its shards over: it is fenced, says so, and changes nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.proofs import verdict
from tests.proofs.house import SHARDS, House
from tests.proofs.processes import Child, Nursery
from tests.proofs.workload import config_of

pytestmark = pytest.mark.timeout(300)


def stands_still(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def run_out(house: House) -> None:
    """Let all leases run out, as if their time had passed."""
    client = house.state.client()
    for shard in range(SHARDS):
        client.hset(f"{{s{shard:02d}}}:meta", "lease", 0)
    client.close()


@pytest.mark.parametrize(
    ("at", "waits"),
    [(("commit", "before"), True), (("commit", "sent"), False), (("write_chunks", "before"), False)],
    ids=["before a commit, its lease really runs out", "a commit sent", "before a checkpoint"],
)
def test_a_zombie_is_fenced_and_stands_down(nursery: Nursery, folder: Path, at: tuple[str, str], waits: bool) -> None:
    with House(nursery, folder) as house:
        house.feed()
        zombie = house.spawn("decide", small_checkpoints=True, commit_events=200, point=[*at, 2, True])
        end = time.monotonic() + 30
        while not stands_still(zombie):
            assert time.monotonic() < end, zombie.said()
            time.sleep(0.005)
        if not waits:
            run_out(house)
        heir = house.run("decide", "--until-idle")
        assert heir.code == 0, heir.said()
        before = house.books()
        assert before.status["idle"]
        zombie.signal(signal.SIGCONT)
        assert nursery.wait(zombie) == 1
        assert zombie.said().startswith("headgate: shard ")
        assert zombie.said().endswith("was taken over by another process; this one stands down\n")
        assert zombie.said().count("\n") == 1
        after = house.books()
        assert verdict.against_twin(after, before) == []
        assert after.status == before.status


def test_an_idle_zombie_notices_too(nursery: Nursery, folder: Path) -> None:
    """Nothing to commit: the lease that it cannot renew tells it."""
    with House(nursery, folder, events=600, pieces=2) as house:
        first, second = house.files
        house.files = [first]
        house.feed()
        zombie = house.spawn("decide")
        wait_idle(house)
        zombie.signal(signal.SIGSTOP)
        run_out(house)
        house.files = [second]
        house.feed()
        heir = house.spawn("decide")
        wait_idle(house)
        zombie.signal(signal.SIGCONT)
        assert nursery.wait(zombie) == 1
        assert zombie.said().endswith("was taken over by another process; this one stands down\n")
        heir.signal(signal.SIGTERM)
        assert nursery.wait(heir) == 0
        assert verdict.against_witness(house.books(), house.work.witness(config_of(house.config))) == []


def wait_idle(house: House) -> None:
    end = time.monotonic() + 30
    while not house.books().status["idle"]:
        assert time.monotonic() < end


def test_two_at_once_is_one_clear_line(nursery: Nursery, folder: Path) -> None:
    """A shard that a living process holds is not taken from it."""
    with House(nursery, folder, events=300, pieces=1) as house:
        house.feed()
        first = house.spawn("decide", small_checkpoints=True, commit_events=50, point=["commit", "before", 2, True])
        end = time.monotonic() + 30
        while not stands_still(first):
            assert time.monotonic() < end, first.said()
            time.sleep(0.005)
        client = house.state.client()
        client.hset("{s00}:meta", "lease", int(time.time() * 1000) + 600_000)
        client.close()
        second = house.run("decide", "--until-idle", acquire_s=0.2)
        assert second.code == 1
        assert second.said() == (
            f"headgate: shard 0 is held by process {first.pid} on {second.said().split(' on ')[1].split(';')[0]}; "
            "stop that process, or wait until its lease runs out\n"
        )
