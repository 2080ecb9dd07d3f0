"""The conditions of the shipped market: everything that ``--set key=value`` can change.

Rules of this file: defaults live here only; shares are 0 .. 1; money is in units of the account currency.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

MarketMode = Literal["direct", "pipeline", "both"]
_SHARES = (
    "tracking_loss",
    "duplicates",
    "late_share",
    "refunds",
    "click_loss",
    "restated",
    "fatigue",
    "season",
    "day_shape",
    "refused_share",
    "unknown_share",
)

_UP_TO_ONE = ("fatigue", "refused_share", "unknown_share")
_RANGES = {
    "ads": (1, 100_000),
    "days": (1, 3_650),
    "daily_budget": (0.01, 1e8),
    "margin": (0.001, 1.0),
    "roas": (0.001, 1000.0),
    "spread": (0.0, 10.0),
    "deal_value": (1.0, 1e7),
    "budget_min": (0.0, 1e8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a market is like.

    Attributes
    ----------
    mode : "direct" (orders), "pipeline" (service deals through a CRM) or "both" (one account of each).
    ads : ads of each account, once all are launched.
    daily_budget : what the ads of one account may spend a day when all are launched; every ad brings an equal share.
    margin : profit per unit of revenue; the break-even ROAS is 1 / margin.
    days : how long the market is expected to run; only the launches depend on it.
    launches : how many ads start later, spread over the first two thirds of ``days``; None is half of them.
    roas, spread : median first-dollar ROAS of an account, and the spread of its ads (standard deviation of the log).
    deal_value : mean value of a won deal (pipeline), as the account median; the sparser the deals, the less is known.
    tracking_loss : share of conversions and leads that carry no click key (differs by ad).
    click_loss : share of clicks that reach the platform's counts but not the tracker.
    duplicates, late_share : share of events delivered twice, and share delivered 1 .. 72 hours late.
    refunds : share of orders that are reversed later; a quarter of it is the share of won deals that are cancelled.
    fatigue : 0 no wear, 1 the full wear (an ad that has spent much keeps a quarter of its conversion rate).
    season, day_shape : weekly swing of the conversion rate, and swing of spend over the hours of a day.
    restated : share of the last three hours' spend that a running snapshot does not show yet.
    refused_share, unknown_share : how often the platform refuses a command, or leaves its fate open.
    budget_min : the platform's least daily budget.
    tenant, account, currency : names; ``account`` replaces the built-in name where there is one account only.
    """

    mode: MarketMode = "direct"
    ads: int = 20
    daily_budget: float = 500.0
    margin: float = 0.5
    days: int = 60
    launches: int | None = None
    roas: float = 3.2
    spread: float = 0.65
    deal_value: float = 1500.0
    tracking_loss: float = 0.3
    click_loss: float = 0.01
    duplicates: float = 0.02
    late_share: float = 0.01
    refunds: float = 0.08
    fatigue: float = 1.0
    season: float = 0.2
    day_shape: float = 0.5
    restated: float = 0.04
    refused_share: float = 0.0
    unknown_share: float = 0.0
    budget_min: float = 1.0
    tenant: str = "sim"
    account: str = ""
    currency: str = "USD"

    def __post_init__(self) -> None:
        """Refuse conditions no market can have.

        Raises
        ------
        ValueError naming the parameter and what it must be.
        """
        for item in fields(self):
            _check_type(item.name, getattr(self, item.name))
        if self.mode not in ("direct", "pipeline", "both"):
            message = f"mode must be direct, pipeline or both, not {self.mode!r}"
            raise ValueError(message)
        if self.account and self.mode == "both":
            message = "account names one account; with mode=both the accounts are called shop and service"
            raise ValueError(message)
        self._check_shares()
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                message = f"{name} must be between {least:g} and {most:g}, not {getattr(self, name)!r}"
                raise ValueError(message)
        if not 0 <= self.later <= self.ads:
            message = f"launches must be between 0 and ads ({self.ads}), not {self.launches}"
            raise ValueError(message)

    def _check_shares(self) -> None:
        for name in _SHARES:
            most = 1.0 if name in _UP_TO_ONE else 0.99
            if not 0.0 <= getattr(self, name) <= most:
                message = f"{name} must be a share between 0 and {most:g}, not {getattr(self, name)!r}"
                raise ValueError(message)
        if self.refused_share + self.unknown_share > 1.0:
            message = "refused_share and unknown_share together must be at most 1"
            raise ValueError(message)

    @property
    def later(self) -> int:
        """How many ads start after the first day."""
        return self.ads // 2 if self.launches is None else self.launches

    @property
    def share(self) -> float:
        """The daily budget that every ad brings, in units of the account currency."""
        return self.daily_budget / self.ads

    @property
    def accounts(self) -> tuple[tuple[str, Literal["direct", "pipeline"]], ...]:
        """Name and mode of every account."""
        if self.mode == "both":
            return ("shop", "direct"), ("service", "pipeline")
        if self.mode == "direct":
            return ((self.account or "shop", "direct"),)
        return ((self.account or "service", "pipeline"),)


_TEXTS = ("mode", "tenant", "account", "currency")
_COUNTS = ("ads", "days", "launches")


def _check_type(name: str, value: object) -> None:
    if name in _TEXTS:
        wanted, fits = "a text", isinstance(value, str)
    elif name in _COUNTS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        wanted, fits = "a whole number", whole or (name == "launches" and value is None)
    else:
        wanted, fits = (
            "a number",
            isinstance(value, int | float) and not isinstance(value, bool),
        )
    if not fits:
        message = f"{name} must be {wanted}, not {value!r}"
        raise ValueError(message)
