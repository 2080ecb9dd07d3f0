"""Who owns a shard: a random nonce with a lease, and whether its process still lives.

Rules of this file: the nonce, not the process, is the fence; a lease runs by the clock of one Redis server, and by this
process's monotonic clock for its owner. A holder is judged dead only from inside the same kernel and process
namespace, so two machines or containers never judge each other.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Lease:
    """Ownership of one shard until ``expires_s`` (monotonic seconds), unless renewed.

    Attributes
    ----------
    nonce : str, 32 hex digits, drawn anew at every acquisition.
    ttl_s : float, seconds.
    """

    nonce: str
    ttl_s: float
    expires_s: float

    def held(self) -> bool:
        """Whether the lease has surely not run out; False means: it may have, ask Redis."""
        return time.monotonic() < self.expires_s


@dataclass(frozen=True, slots=True)
class Holder:
    """Which process holds a lease, in words and in terms that its own machine can check."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def me(cls) -> Holder:
        """The calling process."""
        return cls(socket.gethostname(), _kernel(), os.getpid(), _started(os.getpid()))

    @classmethod
    def decode(cls, text: bytes) -> Holder:
        """From meta; an unreadable text is a holder about whom nothing is known."""
        parts = text.decode(errors="replace").split("|")
        if len(parts) != 4 or not parts[2].isdigit():
            return cls("unknown", "", 0, "")
        return cls(parts[0], parts[1], int(parts[2]), parts[3])

    def encode(self) -> str:
        """As stored in meta."""
        return f"{self.host.replace('|', '_')}|{self.boot}|{self.pid}|{self.started}"

    def is_dead(self) -> bool:
        """Whether the process surely lives no more; False also when that cannot be known from here."""
        if not self.boot or self.boot != _kernel() or not self.pid:
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def new_nonce() -> str:
    """A random 128-bit nonce, 32 hex digits."""
    return secrets.token_hex(16)


@lru_cache(maxsize=1)
def _kernel() -> str:
    """The boot of the kernel and the process namespace we run in; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in kernel ticks; empty if it is gone (a zombie is gone: it runs no more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
