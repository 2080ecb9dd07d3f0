"""What the executor touches: the outboxes, the ledger, the platforms, the event log, time.

Rules of this file: shapes only; the demo and the simulation fill them with virtual time and a simulated platform.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.record import Answer, Reading, Request
from state.kill_switch import KillSwitch
from state.ledger import Ledger
from state.outcomes import Outcomes


class Outbox(Protocol):
    """Where commands are read from."""

    def read_outbox(self, shard: int, after_number: int, count: int) -> list[tuple[int, dict[bytes, bytes]]]:
        """Up to ``count`` entries of a shard behind ``after_number``, in order."""


class OutcomeLog(Protocol):
    """The part of the event log that the executor needs."""

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes], *, trusted: bool = False
    ) -> bool:
        """Append under a producer's sequence number; False if that number was appended before."""

    def last_sequence(self, shard: int, producer: str) -> int:
        """The producer's last number; 0 before the first."""


class Platform(Protocol):
    """An ad platform; it raises nothing: what it cannot tell is None or `Result.UNKNOWN`."""

    def read(self, request: Request) -> Reading | None:
        """What the platform shows of the request's entity; None if it cannot be read."""

    def apply(self, request: Request, now_ms: int) -> Answer:
        """Send a request, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything the executor touches.

    Attributes
    ----------
    ledger, outcomes, switch : on the ledger's Redis.
    outbox, log : the shards' outboxes and the event log.
    platforms : by name, as commands name them.
    clock : the time in ms, wall or virtual.
    sleep : pauses for some ms of that time.
    monotonic : seconds that pass even where ``clock`` stands still; only differences are used.
    """

    ledger: Ledger
    outcomes: Outcomes
    switch: KillSwitch
    outbox: Outbox
    log: OutcomeLog
    platforms: Mapping[str, Platform]
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[int], None] = lambda ms: time.sleep(ms / 1000)
    monotonic: Callable[[], float] = time.monotonic
