"""What the executor's core and its shell say to each other: facts go in, actions come out.

Rules of this file: data only; every action is one thing that the shell does, every fact one thing that it saw.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.proposal import Verdict
from engine.record import Answer, Reading, Result, State

# --- facts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Looked:
    """A visit begins."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The guardrails have spoken on what the ledger held at ``version`` and the platform showed at ``at_ms``."""

    verdict: Verdict
    version: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """The reservation was made, or the account had moved on."""

    made: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """The intent is durable (``reason`` ""), or was barred in the same breath (the kill switch, the expiry)."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The intent was durable, but the request certainly did not leave the house."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The platform replied, or the connection ended without a reply (result unknown)."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the platform shows now; None where it could not be read."""

    reading: Reading | None


Fact = Looked | Weighed | Reserved | Marked | Withdrawn | Answered | ReadBack


# --- actions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do on this visit."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back at ``until_ms``."""

    until_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Weigh:
    """Read the platform and the ledger, and ask the guardrails."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Reserve the write, if the account's ledger is still at ``version``; the lease runs from ``at_ms``."""

    version: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Make the intent to send durable, unless a kill switch is on."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, once."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read the entity back."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Record that the fate is open, and come back when it has settled."""

    until_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give the reservation back and go on from approved; ``sent``: the request did leave, its write still counts."""

    until_ms: int
    reason: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """Record the end."""

    state: State
    result: Result
    reason: str = ""
    observed_micros: int | None = None


Step = Rest | Wait | Weigh | Reserve | Mark | Send | Read | Doubt | Release | Finish
