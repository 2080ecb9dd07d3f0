"""``headgate.toml`` as a whole: what it may hold, and the exact configuration that follows from it.

Rules of this file: the file is optional, every key has a default; secrets are never read from it (URLs with a password
come from the environment, tokens from files); ``HEADGATE_<SECTION>_URL`` overrides a section's url.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr

from engine.config import AccountConfig, EngineConfig, StageValue
from engine.stages import PRESETS
from headgate.amounts import Seconds
from headgate.sections import (
    AccountSettings,
    DefaultSettings,
    GuardrailSettings,
    Id,
    Section,
    StageSettings,
    TenantSettings,
    written,
)

EMBEDDED: Final = "embedded:"
URL_SECTIONS: Final = ("log", "state", "ledger", "analytics", "alerts", "intake")
REDIS: Final = ("redis://", "rediss://", "unix://")


def _url(*allowed: str) -> AfterValidator:
    def check(value: str) -> str:
        if not any(value == form if form.endswith(":") else value.startswith(form) for form in allowed):
            shapes = ", ".join(form if form.endswith(":") else f"{form}..." for form in allowed)
            message = f'"{value}" is not a url of a kind known here: {shapes}'
            raise ValueError(message)
        _check_parts(value)
        return value

    return AfterValidator(check)


def _check_parts(value: str) -> None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as fault:
        message = f'"{value}" is not a url: {fault}'
        raise ValueError(message) from fault
    if parts.scheme in {"redis", "rediss", "kafka", "http", "https"} and not parts.hostname:
        message = f'"{value}" names no host'
        raise ValueError(message)


class LogSettings(Section):
    """``[log]``: where the event log lives."""

    url: Annotated[str, _url(EMBEDDED, *REDIS, "kafka://")] = EMBEDDED
    shards: int = Field(default=16, ge=1, le=100)


class StateSettings(Section):
    """``[state]``: where the shards' state lives."""

    url: Annotated[str, _url(EMBEDDED, *REDIS)] = EMBEDDED
    commit_interval_ms: int = Field(default=20, ge=1, le=10_000)


class LedgerSettings(Section):
    """``[ledger]``: where the executor writes what it is about to do."""

    url: Annotated[str, _url(EMBEDDED, *REDIS)] = EMBEDDED


class AnalyticsSettings(Section):
    """``[analytics]``: where decisions and attributions are recorded for analysts."""

    url: Annotated[str, _url(EMBEDDED, "http://", "https://", "clickhouse://", "chdb://")] = EMBEDDED


class AlertSettings(Section):
    """``[alerts]``: whom to tell."""

    url: Annotated[str, _url("http://", "https://")] | None = None


class IntakeSettings(Section):
    """``[intake]``: where the HTTP intake listens."""

    url: Annotated[str, _url("http://")] = "http://127.0.0.1:8080"


class PlatformSettings(Section):
    """``[platforms.NAME]``: how an ad platform is reached; its token comes from a file."""

    base_url: Annotated[str, _url("http://", "https://")] | None = None
    api_version: str | None = None
    token_file: str | None = None
    settle_s: Seconds = written("20")


class Platforms(Section):
    """``[platforms]``: a table for each ad platform."""

    simulated: PlatformSettings = PlatformSettings()
    meta: PlatformSettings = PlatformSettings()
    google: PlatformSettings = PlatformSettings()
    tiktok: PlatformSettings = PlatformSettings()
    webhook: PlatformSettings = PlatformSettings()


class Settings(Section):
    """The whole of ``headgate.toml``."""

    defaults: DefaultSettings = DefaultSettings()
    tenants: dict[Id, TenantSettings] = Field(default={})
    stages: dict[Id, dict[Id, StageSettings]] = Field(default={})
    log: LogSettings = LogSettings()
    state: StateSettings = StateSettings()
    ledger: LedgerSettings = LedgerSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    platforms: Platforms = Platforms()
    guardrails: GuardrailSettings = GuardrailSettings()
    alerts: AlertSettings = AlertSettings()
    intake: IntakeSettings = IntakeSettings()
    _origin: Path | None = PrivateAttr(default=None)

    @property
    def origin(self) -> Path | None:
        """The file it was read from, or None for the built-in defaults."""
        return self._origin

    def with_origin(self, origin: Path | None) -> Settings:
        """The same settings, knowing their file; relative paths in it start from the file's folder."""
        copy = self.model_copy()
        copy._origin = origin
        return copy

    def engine(self) -> EngineConfig:
        """The exact configuration that the engine takes: micros, parts per million, milliseconds."""
        accounts = {
            (tenant, name): self._account(account, account.guardrails)
            for tenant, listed in self.tenants.items()
            for name, account in listed.accounts.items()
        }
        return EngineConfig(
            defaults=self._account(self.defaults, None),
            accounts=accounts,
            strict_accounts=self.defaults.strict_accounts,
            policy_seed=self.defaults.policy_seed,
        )

    def stage_table(self, name: str) -> dict[str, StageValue]:
        """The stages of a preset or of a table under ``[stages]``."""
        if name in PRESETS:
            return dict(PRESETS[name])
        return {stage: row.config() for stage, row in self.stages[name].items()}

    def _account(self, account: AccountSettings, guardrails: GuardrailSettings | None) -> AccountConfig:
        own = {key: getattr(account, key) for key in account.model_fields_set if key in AccountSettings.model_fields}
        row = self.defaults.model_copy(update=own)
        limits = self.guardrails
        if guardrails is not None:
            limits = limits.model_copy(update={key: getattr(guardrails, key) for key in guardrails.model_fields_set})
        return AccountConfig(
            currency=row.currency,
            mode=row.mode,
            stages=self.stage_table(row.stages),
            policy=row.policy,
            autonomy=row.autonomy,
            spend_granularity=row.spend_granularity,
            break_even_ppm=row.break_even_roas,
            lookback_ms=row.lookback_days,
            platform=row.platform,
            pool_daily_budget_micros=row.pool_daily_budget,
            zone=row.zone(),
            thresholds=row.thresholds(),
            guardrails=limits.config(),
        )
