"""What is wished, what is known, and the answer of the guardrails: the words that `engine.guardrails` speaks.

Rules of this file: data only; money in micros of the account currency, times in ms; None is "not known", which bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.config import Level
from engine.velocity import Change


class Action(StrEnum):
    """What a command does to its budget entity."""

    SET_BUDGET = "set_budget"
    PAUSE = "pause"
    RESUME = "resume"


class Hold(StrEnum):
    """Why a change is held, and which limit bound a value: stable words, stored and shown."""

    BAD_PROPOSAL = "bad_proposal"
    STOPPED = "stopped"
    UNKNOWN_SWITCH = "unknown_switch"
    PROTECTED = "protected"
    HOLDOUT = "holdout"
    UNKNOWN_HOLDOUT = "unknown_holdout"
    STALE_SPEND = "stale_spend"
    STALE_CONVERSIONS = "stale_conversions"
    ZONE = "ignorance_zone"
    UNKNOWN_ZONE = "unknown_zone"
    IN_FLIGHT = "in_flight"
    UNKNOWN_FLIGHT = "unknown_flight"
    UNKNOWN_BUDGET = "unknown_budget"
    CONFLICT = "conflict"
    UNKNOWN_HISTORY = "unknown_history"
    COOLDOWN = "cooldown"
    UNKNOWN_WRITES = "unknown_writes"
    RATE_ENTITY = "rate_entity"
    RATE_CAMPAIGN = "rate_campaign"
    RATE_ACCOUNT = "rate_account"
    UNKNOWN_TOTAL = "unknown_total"
    CHANGE_MIN = "change_min"
    VELOCITY = "velocity"
    BUDGET_MIN = "budget_min"
    BUDGET_MAX = "budget_max"
    CAP_POOL = "cap_pool"
    CAP_CAMPAIGN = "cap_campaign"
    CAP_ACCOUNT = "cap_account"
    ROUNDING = "rounding"
    AUTONOMY_OBSERVE = "autonomy_observe"
    AUTONOMY_PROPOSE = "autonomy_propose"
    AWAITING_APPROVAL = "awaiting_approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is wished.

    Attributes
    ----------
    budget_entity : str, "ad_set:ID" and the like.
    action : what to do.
    value_micros : int, the absolute daily budget wished for (set_budget; otherwise carried through unread).
    fuzz_ppm : int, the drawn perturbation, within +- ``limits.fuzz_ppm``; 0 where the value is final already.
    expected_micros : int or None, the budget the wish was made for; another current budget bars it.
    """

    budget_entity: str
    action: Action
    value_micros: int
    fuzz_ppm: int = 0
    expected_micros: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of daily budgets, micros, this entity and paused ones included; None where not known.

    An entity counts with the greater of what the platform shows and what any open command asks for, so that no order
    in which commands land can break a cap.
    """

    campaign_micros: int | None = None
    account_micros: int | None = None
    pool_micros: int | None = None
    pool_cap_micros: int | None = None
    """Configuration, not knowledge: None where the pool has no total of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when the wish is judged; None is "not known" throughout.

    Attributes
    ----------
    now_ms : int.
    autonomy, approved : what the owner granted, and whether a person approved this very command.
    stopped : bool, whether a kill switch (global, tenant, account, file) is on.
    current_micros : int, the entity's daily budget now.
    changes : the entity's changes, oldest first, at least as far back as velocity window and cooldown reach.
    entity_writes, campaign_writes, account_writes : int, own writes inside the closed rate window that ends now, those
        in flight, refused or of unknown fate included; None also where the campaign is not known.
    in_flight : actions of this entity that were sent or are about to be, and whose fate is open.
    spend_seen_ms, conversion_seen_ms : int, the newest spend and conversion evidence of the account.
    in_zone : bool, whether any ad behind this entity is in the ignorance zone.
    holdout : bool, whether the entity is held out of every change.
    totals : sums of budgets, for the caps.
    """

    now_ms: int
    autonomy: Level
    stopped: bool | None
    current_micros: int | None
    changes: tuple[Change, ...] | None
    entity_writes: int | None
    campaign_writes: int | None
    account_writes: int | None
    in_flight: tuple[Action, ...] | None
    spend_seen_ms: int | None
    conversion_seen_ms: int | None
    in_zone: bool | None
    holdout: bool | None
    approved: bool = False
    totals: Totals = Totals()


@dataclass(frozen=True, slots=True)
class Permitted:
    """The value that may be sent, and the limits that moved it there (none: it is the wish itself)."""

    value_micros: int
    binding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing may be sent; ``reason`` is a `Hold`."""

    reason: str


Verdict = Permitted | Held
