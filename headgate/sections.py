"""The sections of ``headgate.toml`` that concern accounts: their keys, their defaults, what is allowed.

Rules of this file: a key's default stands here and nowhere else, written as a person would write it; values are exact
integers after reading (`headgate.amounts`); unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from engine.config import Autonomy, GuardrailConfig, Mode, StageValue, ThresholdsConfig, ZoneConfig
from headgate.amounts import Days, Hours, Lookback, Minutes, Money, PositiveRatio, Ratio, Seconds, Share

ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,128}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Policy = Literal["headgate", "thresholds"]
Platform = Literal["simulated", "meta", "google", "tiktok", "webhook"]


def written(text: str) -> Any:
    """Give a key the default ``text``, converted as if it stood in the file."""
    return Field(default=text, validate_default=True)


class Section(BaseModel):
    """A table of the file: closed, strict, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class GuardrailSettings(Section):
    """``[guardrails]``: the limits that no command passes."""

    velocity: Share = written("0.2")
    velocity_hours: Hours = written("6")
    max_changes_entity: int = Field(default=2, ge=0, le=1000)
    max_changes_campaign: int = Field(default=15, ge=0, le=10_000)
    max_changes_account: int = Field(default=100, ge=0, le=100_000)
    entity_window_hours: Hours = written("1")
    campaign_window_hours: Hours = written("1")
    account_window_hours: Hours = written("24")
    budget_min: Money = written("1")
    budget_max: Money = written("10000")
    change_min: Share = written("0.03")
    round_to: Money = written("0.01")
    fuzz: Share = written("0.03")
    cooldown_hours: Hours = written("6")
    stale_spend_hours: Hours = written("36")
    stale_conversions_hours: Hours = written("168")
    expiry_minutes: Minutes = written("60")
    jitter_min_s: Seconds = written("3")
    jitter_max_s: Seconds = written("18")
    cap_campaign: Money | None = None
    cap_account: Money | None = None
    protected: list[Id] = []

    @model_validator(mode="after")
    def _in_order(self) -> GuardrailSettings:
        wrong = [
            (self.budget_min > self.budget_max, "budget_min is above budget_max"),
            (self.jitter_min_s > self.jitter_max_s, "jitter_min_s is above jitter_max_s"),
            (self.round_to == 0, "round_to must be above 0"),
        ]
        for is_wrong, message in wrong:
            if is_wrong:
                raise ValueError(message)
        return self

    def config(self) -> GuardrailConfig:
        """The same limits as the engine takes them."""
        return GuardrailConfig(
            velocity_ppm=self.velocity,
            velocity_window_ms=self.velocity_hours,
            max_changes_entity=self.max_changes_entity,
            max_changes_campaign=self.max_changes_campaign,
            max_changes_account=self.max_changes_account,
            entity_window_ms=self.entity_window_hours,
            campaign_window_ms=self.campaign_window_hours,
            account_window_ms=self.account_window_hours,
            budget_min_micros=self.budget_min,
            budget_max_micros=self.budget_max,
            change_min_ppm=self.change_min,
            round_micros=self.round_to,
            fuzz_ppm=self.fuzz,
            cooldown_ms=self.cooldown_hours,
            stale_spend_ms=self.stale_spend_hours,
            stale_conversions_ms=self.stale_conversions_hours,
            expiry_ms=self.expiry_minutes,
            jitter_min_ms=self.jitter_min_s,
            jitter_max_ms=self.jitter_max_s,
            cap_campaign_micros=self.cap_campaign,
            cap_account_micros=self.cap_account,
            protected=tuple(self.protected),
        )


class AccountSettings(Section):
    """What the owner of an account decides; ``[defaults]`` serves the accounts that are not listed."""

    currency: Currency = "USD"
    mode: Mode = "direct"
    stages: str = "none"
    policy: Policy = "headgate"
    autonomy: Autonomy = "observe"
    spend_granularity: Literal["hour", "day", "any"] = "any"
    break_even_roas: PositiveRatio = written("1")
    platform: Platform = "simulated"
    pool_daily_budget: Money | None = None
    lookback_days: Lookback = written("7")
    ignorance_zone: Literal["or", "and", "days"] = "or"
    zone_days: Days = written("2")
    zone_spend: Money = written("100")
    kill_spend: Money = written("200")
    kill_roas: Ratio = written("0.5")
    scale_roas: Ratio = written("3")
    scale_step: Share = written("0.2")

    def zone(self) -> ZoneConfig:
        """The ignorance zone as the engine takes it."""
        return ZoneConfig(rule=self.ignorance_zone, days_ms=self.zone_days, spend_micros=self.zone_spend)

    def thresholds(self) -> ThresholdsConfig:
        """The literal rule as the engine takes it."""
        return ThresholdsConfig(
            kill_spend_micros=self.kill_spend,
            kill_roas_ppm=self.kill_roas,
            scale_roas_ppm=self.scale_roas,
            step_ppm=self.scale_step,
        )


class DefaultSettings(AccountSettings):
    """``[defaults]``, and what concerns all accounts together."""

    strict_accounts: bool = False
    policy_seed: int = Field(default=1, ge=0, lt=2**63)


class ListedAccount(AccountSettings):
    """``[tenants.T.accounts."A"]``: any of the defaults, and guardrails of its own."""

    guardrails: GuardrailSettings | None = None


class TenantSettings(Section):
    """``[tenants.T]``: the tenant's accounts."""

    accounts: dict[Id, ListedAccount] = {}


class StageRow(Section):
    """One stage of a table under ``[stages]``."""

    value: Money
    uses_value: bool = False
    aliases: list[Id] = []

    def config(self) -> StageValue:
        """The stage as the engine takes it."""
        return StageValue(value_micros=self.value, uses_value=self.uses_value, aliases=tuple(self.aliases))


def _as_row(value: object) -> object:
    return value if isinstance(value, dict) else {"value": value}


StageSettings = Annotated[StageRow, BeforeValidator(_as_row)]
"""A stage, or its bare value: ``lead = 0`` is ``lead = { value = 0 }``."""
