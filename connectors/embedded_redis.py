"""The Redis of the embedded default: a redis-server process for a data directory.

Rules of this file: one server per directory, whoever comes first starts it, others attach; it listens on a unix socket
only, in a directory only its user may enter; it dies with its owner, and one that did not is adopted.

Theory of operation: the server inherits an open file that carries an exclusive lock on the directory, so the lock
lasts exactly as long as the server (or a child of it that still rewrites its append-only file) lives, whatever becomes
of the process that started it. Whoever does not get the lock waits for the socket to answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors import embedded_process
from connectors.embedded_process import EmbeddedRedisError

START_S: Final = 10.0
LOAD_S: Final = 300.0
_POLL_S: Final = 0.02

__all__ = ["EmbeddedRedis", "EmbeddedRedisError", "connect_or_start"]


class EmbeddedRedis:
    """A handle on the embedded server of a data directory.

    Attributes
    ----------
    url : str, ``unix:///.../redis.sock``.
    data : Path, the server's own directory.
    pid : int, its process.
    started : bool, whether this handle started it.
    """

    def __init__(
        self, socket: Path, data: Path, users: int, process: subprocess.Popen[bytes] | None, *, dies_with_owner: bool
    ) -> None:
        self.url = f"unix://{socket}"
        self.data = data
        self.started = process is not None
        self._socket = socket
        self._users = users
        self._process = process
        self._dies_with_owner = dies_with_owner
        self.pid = process.pid if process is not None else _pid(socket)

    def alive(self) -> bool:
        """Whether the server answers."""
        return _answers(self._socket) == "yes"

    def stop(self) -> None:
        """Let go: the server is shut down, its file synced, unless others still use it and may keep it.

        The owner it would die with shuts it down in any case; others then start it anew.
        """
        if self._users < 0:
            return
        last = _lock(self._users, fcntl.LOCK_EX)
        if last or (self.started and self._dies_with_owner):
            self._shut_down()
        os.close(self._users)
        self._users = -1

    def __enter__(self) -> EmbeddedRedis:
        """Use it in a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it at the end of the block."""
        self.stop()

    def _shut_down(self) -> None:
        # It may be gone already, or go before it can answer: what counts is checked next.
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            _client(self._socket).shutdown(nosave=True)
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._running():
            time.sleep(_POLL_S)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return embedded_process.alive(self.pid)


def connect_or_start(
    data_dir: Path | str,
    name: Literal["redis", "ledger"] = "redis",
    fsync: Literal["everysec", "always"] = "everysec",
    *,
    dies_with_owner: bool = True,
) -> EmbeddedRedis:
    """Attach to the embedded server of a data directory, or start it.

    Parameters
    ----------
    data_dir : the data directory (``--data``); the server lives in ``data_dir/name``.
    name : which server: the state and the log, or the executor's ledger.
    fsync : when the append-only file is synced; of effect for the one who starts the server.
    dies_with_owner : whether a server started here ends if this process is killed (Linux, main thread only).

    Raises
    ------
    EmbeddedRedisError with one line that says how to mend.
    """
    data = _directory(Path(data_dir) / name)
    socket = embedded_process.socket_path(data)
    with contextlib.ExitStack() as undo:
        users = _open(data / "users.lock")
        undo.callback(os.close, users)
        leaving = f"the embedded Redis in {data} is shutting down; try again"
        _until(lambda: _lock(users, fcntl.LOCK_SH), START_S, leaving)
        process = _attach_or_start(data, socket, fsync, dies_with_owner=dies_with_owner)
        handle = EmbeddedRedis(socket, data, users, process, dies_with_owner=dies_with_owner)
        undo.pop_all()
    return handle


def _attach_or_start(data: Path, socket: Path, fsync: str, *, dies_with_owner: bool) -> subprocess.Popen[bytes] | None:
    end = time.monotonic() + START_S
    loading_end = time.monotonic() + LOAD_S
    while True:
        answer = _answers(socket)
        if answer == "yes":
            return None
        if answer == "no":
            lock = _open(data / "server.lock")
            try:
                if _lock(lock, fcntl.LOCK_EX):
                    return _start(data, socket, fsync, lock, dies_with_owner=dies_with_owner)
            finally:
                os.close(lock)
            embedded_process.end_orphans(data)
        if time.monotonic() > (loading_end if answer == "loading" else end):
            message = f"another process holds {data} but its Redis does not answer; end that process, then try again"
            raise EmbeddedRedisError(message)
        time.sleep(_POLL_S)


def _start(data: Path, socket: Path, fsync: str, lock: int, *, dies_with_owner: bool) -> subprocess.Popen[bytes]:
    log = data / "server.log"
    for is_mended in (False, True):
        process = embedded_process.launch(data, socket, fsync, lock, log, dies_with_owner=dies_with_owner)
        if _comes_up(process, socket, log):
            embedded_process.remove_leftovers(data)
            return process
        if is_mended or not embedded_process.mend(data, log):
            break
    message = f"the embedded Redis cannot use {data}: {embedded_process.last_words(log)}; {log} says more"
    raise EmbeddedRedisError(message)


def _comes_up(process: subprocess.Popen[bytes], socket: Path, log: Path) -> bool:
    """Wait until a server answers; False if it ended instead."""
    end = time.monotonic() + START_S
    loading_end = time.monotonic() + LOAD_S
    while process.poll() is None:
        answer = _answers(socket)
        if answer == "yes":
            return True
        if time.monotonic() > (loading_end if answer == "loading" else end):
            process.kill()
            process.wait()
            message = f"the embedded Redis in {log.parent} did not come up in {START_S:.0f} s; see {log}"
            raise EmbeddedRedisError(message)
        time.sleep(_POLL_S)
    return False


def _directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable")
        return path.resolve()
    except OSError as error:
        message = f"the data directory {path} cannot be used ({error.strerror}); choose another with --data"
        raise EmbeddedRedisError(message) from error


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); choose another directory with --data"
        raise EmbeddedRedisError(message) from error


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(done: Callable[[], bool], seconds: float, message: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise EmbeddedRedisError(message)
        time.sleep(_POLL_S)


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket), protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5.0, driver_info=None
    )


def _answers(socket: Path) -> Literal["yes", "loading", "no"]:
    if not socket.exists():
        return "no"
    client = _client(socket)
    try:
        client.ping()
    except redis.BusyLoadingError:
        return "loading"
    except (redis.ConnectionError, redis.TimeoutError):
        return "no"
    finally:
        client.close()
    return "yes"


def _pid(socket: Path) -> int:
    client = _client(socket)
    try:
        return int(client.info("server")["process_id"])
    finally:
        client.close()
