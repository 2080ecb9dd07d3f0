"""The processes of a proof: roles forked by a nursery, redis-servers, all of them ended by their ids.

Rules of this file: nothing is ended by name; whoever opened something here ends it in a ``with``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.embedded_process import binary, mend
from tests.proofs.nursery import Order

ROOT = Path(__file__).parents[2]
START_S = 180.0
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl


def die_with_parent() -> None:
    """What a child does first, so that nothing outlives a test run that was itself killed."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(slots=True)
class Child:
    """A forked role."""

    pid: int
    order: Order
    born_s: float
    code: int | None = None

    def signal(self, number: int) -> None:
        """Send it a signal; nothing if it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """As a power cut for one process."""
        self.signal(signal.SIGKILL)

    def said(self) -> str:
        """What it wrote to its standard error."""
        path = Path(self.order.err)
        return path.read_text() if path.exists() else ""


class Nursery:
    """A running `tests.proofs.nursery`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[int, Child] = {}
        self._early: dict[int, int] = {}
        self._count = 0
        self._rest = b""
        folder.mkdir(parents=True, exist_ok=True)
        keep = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
        self._log = (folder / "nursery.err").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.nursery"],
            cwd=ROOT,
            env=keep | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
        )
        self._answer("ready", START_S)

    def spawn(self, *argv: str | Path, **how: Any) -> Child:
        """Fork a role; see `Order` for what else can be said."""
        self._count += 1
        out, err = (str(self.folder / f"{self._count:05d}.{name}") for name in ("out", "err"))
        order = Order([str(word) for word in argv], how.pop("out", out), err, **how)
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        pid = self._answer("born", 10.0)
        child = Child(pid, order, time.monotonic(), self._early.pop(pid, None))
        if child.code is None:
            self.children[pid] = child
        return child

    def wait(self, child: Child, timeout_s: float = 60.0) -> int:
        """Wait for a child's end; its exit code, negative for a signal."""
        end = time.monotonic() + timeout_s
        while child.code is None:
            left = end - time.monotonic()
            if left <= 0:
                message = f"{child.order.argv} did not end within {timeout_s} s: {child.said()[-400:]}"
                raise AssertionError(message)
            self.poll(left)
        return child.code

    def run(self, *argv: str | Path, **how: Any) -> Child:
        """Fork a role and wait for its end."""
        child = self.spawn(*argv, **how)
        self.wait(child)
        return child

    def poll(self, timeout_s: float = 0.0) -> None:
        """Take note of children that ended."""
        for words in self._read(timeout_s):
            self._note(words)

    def _note(self, words: dict[str, Any]) -> None:
        if words["pid"] in self.children:
            self.children.pop(words["pid"]).code = words["code"]
        else:  # it ended before its birth was read to the end
            self._early[words["pid"]] = words["code"]

    def _answer(self, name: str, timeout_s: float) -> Any:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            found = None
            for words in self._read(end - time.monotonic()):
                if name in words:
                    found = words[name]
                else:
                    self._note(words)
            if found is not None:
                return found
            if self._process.poll() is not None:
                break
        message = f"the nursery ended or is silent: {(self.folder / 'nursery.err').read_text()[-2000:]}"
        raise AssertionError(message)

    def _read(self, timeout_s: float) -> list[dict[str, Any]]:
        pipe = self._process.stdout
        if not select.select([pipe], [], [], max(0.0, timeout_s))[0]:
            return []
        *lines, self._rest = (self._rest + os.read(pipe.fileno(), 1 << 16)).split(b"\n")
        return [json.loads(line) for line in lines]

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, kind: type | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._process.stdin.close()  # it ends its children and itself
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


class RedisServer:
    """A redis-server of its own folder, on a unix socket, with an append-only file.

    Parameters
    ----------
    folder : Path, short: a socket's path has 100 bytes at most. fsync : "everysec" or "always".
    """

    def __init__(self, folder: Path, fsync: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.fsync = folder, fsync
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on what its file holds, and wait until it answers; a torn end of the file is mended first."""
        log = self.folder / "log"
        while not self._comes_up(log):
            assert mend(self.folder, log), log.read_text()[-2000:]

    def _comes_up(self, log: Path) -> bool:
        self.socket.unlink(missing_ok=True)
        options = {
            "port": "0", "unixsocket": str(self.socket), "dir": str(self.folder), "save": "", "appendonly": "yes",
            "appendfsync": self.fsync, "logfile": str(log), "aof-load-truncated": "no",
        }  # fmt: skip
        words = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [binary(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        client = self.client()
        end = time.monotonic() + 20
        while True:
            if self._process.poll() is not None:
                return False
            try:
                client.ping()
            except (redis.ConnectionError, redis.BusyLoadingError):
                assert time.monotonic() < end, "redis-server did not start"
                time.sleep(0.005)
            else:
                client.close()
                return True

    def client(self) -> redis.Redis:
        """A client of the harness."""
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2, retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cut(self, most: int, at_least: int = 20_000) -> int:
        """While it is down: lose up to ``most`` bytes of the file's tail, as a power cut would; gives how many."""
        file = next(path for path in sorted(self.folder.rglob("appendonly*")) if path.is_file())
        size = file.stat().st_size
        lost = max(0, min(most, size - at_least))
        os.truncate(file, size - lost)
        return lost

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, kind: type | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
