"""One log, however it is cut and whoever works on it: the same bytes of state, outbox and dead letters."""

from __future__ import annotations

import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs import verdict
from tests.proofs.house import SHARDS, House
from tests.proofs.processes import Child, Nursery

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def fed(nursery: Nursery) -> Iterator[tuple[House, verdict.Books]]:
    """A fed log, and what one process makes of it."""
    with tempfile.TemporaryDirectory(prefix="hg-") as name, House(nursery, Path(name)) as house:
        house.feed()
        child = house.run("decide", "--until-idle")
        assert child.code == 0, child.said()
        books = house.books()
        assert len(books.commands) > 200
        yield house, books


@pytest.fixture
def house(fed: tuple[House, verdict.Books]) -> House:
    """The fed log without any state."""
    fed[0].forget()
    return fed[0]


@pytest.fixture
def wanted(fed: tuple[House, verdict.Books]) -> verdict.Books:
    """What every way of working on it must give."""
    return fed[1]


def all_well(house: House, *children: Child) -> None:
    for child in children:
        assert house.nursery.wait(child) == 0, child.said()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("workers", ["1", "2", "3"])
def test_workers_of_one_process(house: House, wanted: verdict.Books, workers: str) -> None:
    all_well(house, house.bytewax("-w", workers))
    assert verdict.against_twin(house.books(), wanted) == []


def test_a_cluster_of_two_processes(house: House, wanted: verdict.Books) -> None:
    peers = ";".join(f"127.0.0.1:{free_port()}" for _ in range(2))
    all_well(house, *(house.bytewax("-i", number, "-a", peers) for number in ("0", "1")))
    assert verdict.against_twin(house.books(), wanted) == []


def test_independent_processes_with_shards_of_their_own(house: House, wanted: verdict.Books) -> None:
    all_well(house, *(house.spawn("decide", "--until-idle", "--shards", own) for own in ("0", "1,3", "2")))
    assert verdict.against_twin(house.books(), wanted) == []


@pytest.mark.parametrize(
    "how",
    [
        {"read_bytes": 1},
        {"read_bytes": 3000, "commit_events": 1},
        {"commit_events": 77},
        {"read_bytes": 20_000, "commit_events": 500, "small_checkpoints": True},
    ],
    ids=["one entry a read", "one group a commit", "odd commits", "with checkpoints"],
)
def test_cuts_of_reads_and_commits(house: House, wanted: verdict.Books, how: dict) -> None:
    all_well(house, house.spawn("decide", "--until-idle", **how))
    books = house.books()
    assert verdict.against_twin(books, wanted) == []


def test_the_commit_interval_is_a_setting(house: House, wanted: verdict.Books) -> None:
    commits = []
    for interval in (1, 10_000):
        house.forget()
        own = house.config.with_name(f"interval-{interval}.toml")
        own.write_text(house.config.read_text().replace("[state]\n", f"[state]\ncommit_interval_ms = {interval}\n"))
        child = house.nursery.run("decide", "--until-idle", "--config", own, "--data", house.data, read_bytes=2000)
        assert child.code == 0, child.said()
        books = house.books()
        assert verdict.against_twin(books, wanted) == []
        commits.append(sum(shard["seq"] for shard in books.status["shards"]))
    assert commits[1] <= 2 * SHARDS < commits[0]


def test_a_term_signal_drains_and_commits(house: House, wanted: verdict.Books) -> None:
    """Told to stop in the middle of it, a process commits what it has, lets its shards go, and ends well."""
    client = house.state.client()
    child = house.spawn("decide", read_bytes=1)
    end = time.monotonic() + 30
    while not client.hget("{s00}:meta", "seq") or int(client.hget("{s00}:meta", "seq")) < 2:
        assert time.monotonic() < end
        time.sleep(0.001)
    child.signal(signal.SIGTERM)
    assert house.nursery.wait(child) == 0, child.said()
    assert child.said() == ""
    assert [client.hget(f"{{s{n:02d}}}:meta", "owner") for n in range(SHARDS)] == [None] * SHARDS
    client.close()
    middle = house.books().status
    assert 0 < middle["lines"] < wanted.status["lines"]
    all_well(house, house.spawn("decide", "--until-idle"))
    assert verdict.against_twin(house.books(), wanted) == []
