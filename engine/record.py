"""What the executor's ledger knows of a command, and what is said to and heard from a platform about it.

Rules of this file: data only. ``state`` says how far a command got, ``result`` what became of it: a held command keeps
the state in which it was held (an observed one stays proposed), a command without a result is still under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from engine.command import Command
from engine.proposal import Action
from engine.velocity import Change


class State(StrEnum):
    """How far a command got."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RESERVED = "reserved"
    SENT = "sent"
    UNKNOWN = "unknown"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    FAILED = "failed"


COLUMNS: Final = (
    "command_id",
    "decision_id",
    "tenant",
    "account",
    "budget_entity",
    "action",
    "value_micros",
    "expected_micros",
    "created_at_ms",
    "not_before_ms",
    "expires_at_ms",
    "sent_at_ms",
    "confirmed_at_ms",
    "state",
    "result",
    "observed_micros",
    "reason",
)
"""What ``headgate commands`` shows, in order."""

ENDS: Final = frozenset({State.CONFIRMED, State.REFUSED, State.FAILED})


class Result(StrEnum):
    """What became of a command."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One command in the ledger.

    Attributes
    ----------
    command : what is to be done.
    state, result, reason : see `State` and `Result`; ``reason`` is a stable word, "" where there is nothing to say.
    approved : bool, whether a person approved it.
    attempts : int, how often a send was durably intended.
    owner : str, the executor that reserved it last.
    reserved_at_ms, sent_at_ms, confirmed_at_ms : int or None.
    observed_micros : int or None, what the platform showed last.
    """

    command: Command
    state: State
    result: Result | None = None
    reason: str = ""
    approved: bool = False
    attempts: int = 0
    owner: str = ""
    reserved_at_ms: int | None = None
    sent_at_ms: int | None = None
    confirmed_at_ms: int | None = None
    observed_micros: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will ever happen to it again."""
        return self.state in ENDS or self.result in {Result.HELD, Result.CONFIRMED, Result.REFUSED}

    def to_row(self) -> dict[str, Any]:
        """The row of ``headgate commands``: `COLUMNS`, with the executor's filled in as far as they happened."""
        row = self.command.to_row() | {
            "state": self.state.value,
            "result": None if self.result is None else self.result.value,
            "reason": self.reason or self.command.reason,
            "sent_at_ms": self.sent_at_ms,
            "confirmed_at_ms": self.confirmed_at_ms,
            "observed_micros": self.observed_micros,
        }
        return {name: row[name] for name in COLUMNS}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to a platform: absolute values only.

    Attributes
    ----------
    command_id, tenant, account, budget_entity : str.
    action : what to do.
    value_micros, expected_micros : int or None, as in the command.
    """

    command_id: str
    tenant: str
    account: str
    budget_entity: str
    action: Action
    value_micros: int | None
    expected_micros: int | None

    @classmethod
    def of(cls, command: Command) -> Request:
        """The request that a command makes."""
        return cls(
            command.command_id,
            command.tenant,
            command.account,
            command.budget_entity,
            command.action,
            command.value_micros,
            command.expected_micros,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a platform shows of an entity: its daily budget, and whether it is paused (None: it does not say)."""

    micros: int | None
    paused: bool | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform replied to a request; ``observed_micros`` is what it says the budget is now, if it says so."""

    result: Result
    observed_micros: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What the ledger knows around a command, at one instant.

    Attributes
    ----------
    version : int, of the account; a reservation made on this view names it.
    stopped : bool, whether a kill switch that concerns the account is on.
    micros, paused : what was last seen of the entity, or None.
    in_flight : actions of the entity's commands whose fate is open.
    changes : of the entity, oldest first.
    entity_writes, campaign_writes, account_writes : int, writes in the rate windows; None without a campaign.
    """

    version: int
    stopped: bool
    micros: int | None
    paused: bool | None
    in_flight: tuple[Action, ...]
    changes: tuple[Change, ...]
    entity_writes: int
    campaign_writes: int | None
    account_writes: int
