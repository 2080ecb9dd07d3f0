"""Servers that go away, are not what they ought to be, or have lost something: one clear line, and nothing lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.workload import CLOCK_MS
from connectors.redis_log import RedisLog
from tests.proofs import crash, twin, verdict
from tests.proofs.house import SHARDS, House
from tests.proofs.processes import ROOT, Child, Nursery
from tests.proofs.workload import config_of

pytestmark = pytest.mark.timeout(300)


def refused(child: Child, *words: str) -> None:
    """It failed with one clear line that has these words."""
    assert child.code == 1, child.said()
    said = child.said()
    assert said.startswith("headgate: ")
    assert said.count("\n") == 1, said
    assert all(word in said for word in words), said


def exact(house: House) -> list[str]:
    return verdict.against_witness(house.books(), house.work.witness(config_of(house.config)))


@pytest.mark.parametrize("role", ["ingest", "decide", "execute"])
def test_redis_gone_in_the_middle(nursery: Nursery, folder: Path, role: str) -> None:
    """Each role says so in one line and fails; begun again when Redis is back, nothing is lost and nothing doubled."""
    with House(nursery, folder) as house:
        argv = {"ingest": ["--as-of", str(CLOCK_MS), "--events", house.files[0]], "decide": [], "execute": []}
        if role != "ingest":
            house.feed()
        call = {"ingest": "append", "decide": "commit", "execute": "record"}[role]
        if role == "execute":
            assert house.run("decide", "--until-idle").code == 0
        child = house.spawn(role, *argv[role], point=[call, "sent", 2, True], commit_events=100, patience_s=0.5)
        stopped(child)
        house.state.kill()
        if role == "execute":
            house.ledger.kill()
        child.signal(signal.SIGCONT)
        nursery.wait(child)
        refused(child, "Redis", "does not answer")
        house.state.start()
        if role == "execute":
            house.ledger.start()
        house.feed()
        for begun in (["decide", "--until-idle"], ["execute", "--until-idle"]):
            again = house.run(*begun)
            assert again.code == 0, again.said()
        assert exact(house) == []
        assert verdict.of_executor(house.config, house.data, house.books()) == []


def stopped(child: Child) -> None:
    end = time.monotonic() + 30
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < end, child.said()
        time.sleep(0.005)


def test_redis_begun_again_under_a_living_process(nursery: Nursery, folder: Path) -> None:
    """What a process read from a server that since lost its tail must not be committed to the next life of it."""
    with House(nursery, folder) as house:
        first, *rest = house.files
        house.files = [first]
        house.feed()
        child = house.spawn("decide", point=["commit", "before", SHARDS, True])
        stopped(child)
        house.state.kill()
        house.state.cut(2000, at_least=0)
        house.state.start()
        child.signal(signal.SIGCONT)
        nursery.wait(child)
        refused(child, "was started anew", "start this process anew")
        house.files = [first, *rest]
        house.feed()
        assert house.run("decide", "--until-idle").code == 0
        assert exact(house) == []


def test_a_lost_shard_halts_everything(nursery: Nursery, folder: Path) -> None:
    """A shard that ought to exist and does not: no role begins from zero, and nothing is written."""
    with House(nursery, folder) as house:
        house.feed()
        assert house.run("decide", "--until-idle").code == 0
        client = house.state.client()
        client.delete("{s02}:meta")
        before = {key: client.dump(key) for key in client.scan_iter()}
        for argv in (["ingest", "--events", house.files[0]], ["decide"], ["execute"], ["ads"], ["status"]):
            refused(house.run(*argv), "shards 2 ought to exist", "restore Redis from a copy")
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        client.close()


def test_a_shard_lost_while_it_is_served_halts_too(nursery: Nursery, folder: Path) -> None:
    with House(nursery, folder) as house:
        house.feed()
        child = house.spawn("decide", point=["commit", "before", 2, True], commit_events=100)
        stopped(child)
        client = house.state.client()
        for shard in range(SHARDS):
            client.delete(f"{{s{shard:02d}}}:meta")
        child.signal(signal.SIGCONT)
        nursery.wait(child)
        refused(child, "stands down")
        assert client.keys("*:meta") == []
        client.close()


def test_a_log_that_lost_its_tail_halts(nursery: Nursery, folder: Path) -> None:
    """The state is ahead of its log: nothing is decided on what is not there."""
    with House(nursery, folder) as house:
        house.feed()
        assert house.run("decide", "--until-idle").code == 0
        client = house.state.client()
        last = int(client.hget("{s01}:producers", ""))
        client.xdel("{s01}:log", f"{last}-0")
        client.hset("{s01}:producers", "", last - 1)
        client.close()
        refused(house.run("decide"), "headgate.events.01", f"position {last} is not in the log")


def test_a_feeder_killed_anywhere_goes_on_where_it_was(nursery: Nursery, folder: Path) -> None:
    """Each append of a feed, before it, in it, behind it: the log is as if nothing had been."""
    with House(nursery, folder, events=600, pieces=1) as house, twin.fed(folder / "t", house.files, SHARDS) as other:
        wanted = [entry[1] for entry in log_of(other.url)]
        client = house.state.client()
        for count in range(1, 3 * SHARDS + 1):
            client.flushall()
            argv = ["ingest", "--as-of", str(CLOCK_MS), "--events", house.files[0]]
            point = ["append", crash.PHASES[count % 4], count]
            assert house.run(*argv, point=point).code == -signal.SIGKILL
            assert house.run(*argv).code == 0
            assert [entry[1] for entry in log_of(house.state.url)] == wanted
        client.close()


def log_of(url: str) -> list[tuple[int, list[object]]]:
    log = RedisLog(url, SHARDS)
    found = []
    for shard in range(SHARDS):
        stream = f"headgate.events.{shard:02d}"
        found.append((shard, log.read({shard: {stream: 0}}, 64 << 20)[shard]))
    log.close()
    return found


class Impostor:
    """Something on a port that is no Redis."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def test_a_port_that_something_else_has(nursery: Nursery, folder: Path) -> None:
    """The url leads to a server that is no Redis, or to nothing."""
    with House(nursery, folder, events=300, pieces=1) as house:
        impostor = Impostor()
        for port in (impostor.port, 1):
            own = house.config.with_name(f"port-{port}.toml")
            own.write_text(house.config.read_text().replace(f'"{house.state.url}"', f'"redis://127.0.0.1:{port}/0"'))
            child = nursery.spawn("decide", "--config", own, "--data", house.data, patience_s=0.3)
            nursery.wait(child)
            refused(child, "Redis")
        impostor.close()


def test_the_command_itself_is_killed_and_begun_again(folder: Path) -> None:
    """``headgate run`` as a person starts it, embedded servers and all: killed in the middle, then begun again."""
    from tests.proofs import workload

    work = workload.make(2000, 1)
    (file,) = work.write(folder / "w")
    config = folder / "headgate.toml"
    config.write_text(workload.toml(autonomy="observe", shards=SHARDS))
    words = ["run", "--config", config, "--data", folder / "d", "--events", file, "--as-of", CLOCK_MS, "--until-idle"]
    line = [sys.executable, "-m", "headgate", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for lives_s in (0.8, 1.6):
        child = subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(lives_s)
        child.kill()
        child.wait()
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    books = verdict.read(config, folder / "d")
    assert verdict.against_witness(books, work.witness(config_of(config))) == []
    assert verdict.of_executor(config, folder / "d", books) == []
