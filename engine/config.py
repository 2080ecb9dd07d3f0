"""What an account's owner decided, as plain data: the engine's only view of the configuration.

Rules of this file: values are exact (micros, parts per million, milliseconds); defaults live in the settings of the
command line, not here; nothing here is read from a file or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Literal

from engine.events import MS_PER_DAY, MS_PER_HOUR

Mode = Literal["direct", "pipeline"]
Autonomy = Literal["observe", "propose", "approve", "act"]
Granularity = Literal["any", "hour", "day"]
ZoneRule = Literal["or", "and", "days"]


class Level(IntEnum):
    """Autonomy as an order: what may be done without asking."""

    OBSERVE = 0
    PROPOSE = 1
    APPROVE = 2
    ACT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StageValue:
    """What a deal in a stage is worth: ``value_micros``, or the deal's own value where ``uses_value``."""

    value_micros: int
    uses_value: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneConfig:
    """The ignorance zone: an ad is protected while it is young, or has spent little, as ``rule`` says."""

    rule: ZoneRule = "or"
    days_ms: int = 2 * MS_PER_DAY
    spend_micros: int = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsConfig:
    """The literal rule: kill above ``kill_spend_micros`` below ``kill_roas_ppm``, scale above ``scale_roas_ppm``."""

    kill_spend_micros: int = 200_000_000
    kill_roas_ppm: int = 500_000
    scale_roas_ppm: int = 3_000_000
    step_ppm: int = 200_000
    """How much a scale verdict asks for, as a share of the current budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailConfig:
    """Limits that no command passes, whatever the policy wants (design, section 4, item 7)."""

    velocity_ppm: int = 200_000
    velocity_window_ms: int = 6 * MS_PER_HOUR
    max_changes_entity: int = 2
    max_changes_campaign: int = 15
    max_changes_account: int = 100
    entity_window_ms: int = MS_PER_HOUR
    campaign_window_ms: int = MS_PER_HOUR
    account_window_ms: int = MS_PER_DAY
    budget_min_micros: int = 1_000_000
    budget_max_micros: int = 10_000_000_000
    change_min_ppm: int = 30_000
    round_micros: int = 10_000
    fuzz_ppm: int = 30_000
    cooldown_ms: int = 6 * MS_PER_HOUR
    stale_spend_ms: int = 36 * MS_PER_HOUR
    stale_conversions_ms: int = 7 * MS_PER_DAY
    expiry_ms: int = MS_PER_HOUR
    jitter_min_ms: int = 3_000
    jitter_max_ms: int = 18_000
    cap_campaign_micros: int | None = None
    """The most the budgets of a campaign may sum to; None where the owner set no cap."""
    cap_account_micros: int | None = None
    protected: tuple[str, ...] = ()
    """Budget entities that nothing may touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """Everything that concerns one account, or the defaults for those that are not listed."""

    currency: str = "USD"
    mode: Mode = "direct"
    stages: dict[str, StageValue] = field(default_factory=dict)
    policy: str = "thresholds"
    autonomy: Autonomy = "observe"
    spend_granularity: Granularity = "any"
    break_even_ppm: int = 1_000_000
    lookback_ms: int = 7 * MS_PER_DAY
    platform: str = "simulated"
    pool_daily_budget_micros: int | None = None
    zone: ZoneConfig = field(default_factory=ZoneConfig)
    thresholds: ThresholdsConfig = field(default_factory=ThresholdsConfig)
    guardrails: GuardrailConfig = field(default_factory=GuardrailConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The whole of it: defaults, listed accounts, and whether others are refused."""

    defaults: AccountConfig = field(default_factory=AccountConfig)
    accounts: dict[tuple[str, str], AccountConfig] = field(default_factory=dict)
    strict_accounts: bool = False
    policy_seed: int = 1

    def of(self, tenant: str, account: str) -> AccountConfig:
        """The configuration that serves an account."""
        return self.accounts.get((tenant, account), self.defaults)

    def is_known(self, tenant: str, account: str) -> bool:
        """Whether events of this account may be taken at all."""
        return not self.strict_accounts or (tenant, account) in self.accounts

    def digest(self) -> str:
        """A digest of all that may change a decision: 16 hex digits."""
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()
