"""Dying at a chosen instant of a protocol: before a call, with half of it sent, before or after its reply was read.

A process may stand still there instead, as one that is starved or swapped out: that makes a zombie.

Rules of this file: it is armed in a child process only, from outside the product, which has no hook for it; a call that
does not exist is an error, so a renamed one cannot silently make a proof empty.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

import orjson
import redis.connection

from connectors import redis_log, simulated_platform
from state import ledger_scripts, scripts

CALLS = {
    "acquire": scripts.ACQUIRE.sha,
    "commit": scripts.COMMIT.sha,
    "write_chunks": scripts.WRITE_CHUNKS.sha,
    "finish_checkpoint": scripts.FINISH_CHECKPOINT.sha,
    "append": redis_log._APPEND_SHA,
    "record": ledger_scripts.RECORD.sha,
    "move": ledger_scripts.MOVE.sha,
}
PHASES = ("before", "half", "sent", "read")


@dataclass(frozen=True)
class Point:
    """Die at the ``count``-th ``call``, in this phase of it.

    ``call`` is one of `CALLS`, or "apply" (a request to the platform; its "half" is half a line in its file), or
    "split" (only the unguarded store of these tests has it). ``stands`` : stand still (SIGSTOP) instead of dying.
    """

    call: str
    phase: str
    count: int = 1
    stands: bool = False


def die() -> None:
    """As ``kill -9`` from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


def stand_still() -> None:
    """As ``kill -STOP`` from outside, until somebody says go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def arm(point: Point) -> None:
    """Make this process die at the point."""
    left = [point.count]

    def reached() -> bool:
        left[0] -= 1
        return left[0] == 0

    if point.call == "apply":
        _arm_platform(point.phase, reached)
    elif point.call == "split":
        _SPLIT.append((point.phase, reached))
    else:
        _arm_wire(CALLS[point.call], point.phase, reached, stand_still if point.stands else die)


def here(phase: str) -> None:
    """A point of the tests' own code, between two calls."""
    for armed, reached in _SPLIT:
        if armed == phase and reached():
            die()


_SPLIT: list[Any] = []


def _arm_wire(sha: str, phase: str, reached: Any, act: Any) -> None:
    connection = redis.connection.AbstractConnection
    send, read = connection.send_command, connection.read_response
    waiting: list[Any] = []

    def send_command(self: Any, *args: Any, **more: Any) -> None:
        if args[0] != "EVALSHA" or args[1] != sha or not reached():
            send(self, *args, **more)
            return
        if phase == "half":
            data = b"".join(self.pack_command(*args))
            self._sock.sendall(data[: len(data) // 2])
            act()
        if phase == "before":
            act()
        send(self, *args, **more)
        if phase == "sent":
            act()
        if phase == "read":
            waiting.append(self)

    def read_response(self: Any, *args: Any, **more: Any) -> Any:
        reply = read(self, *args, **more)
        if self in waiting:
            waiting.clear()
            act()
        return reply

    connection.send_command, connection.read_response = send_command, read_response


class _HalfLines:
    """orjson, but for what it writes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(orjson, name)

    def dumps(self, *args: Any, **more: Any) -> bytes:
        return orjson.dumps(*args, **more)[:20]


def _arm_platform(phase: str, reached: Any) -> None:
    platform = simulated_platform.SimulatedPlatform
    apply = platform.apply

    def applying(self: Any, *args: Any) -> Any:
        is_due = reached()
        if is_due and phase == "before":
            die()
        if is_due and phase == "half":
            simulated_platform.orjson = _HalfLines()
            os.fsync = lambda number: die()
        answer = apply(self, *args)
        if is_due:
            die()
        return answer

    platform.apply = applying
