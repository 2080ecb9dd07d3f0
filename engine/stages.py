"""The stage presets: what a deal in a stage is worth, for three kinds of business.

Rules of this file: data only; values are micros of the account currency; `closed_won` takes the deal's own value where
it has one, `closed_lost` is worth nothing in every preset. Sources of the values: a service business closes 60 % of
its shows and 15 % of its appointments of $15,000 deals; the others are the shares of their average order or deal.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.config import StageValue

UNIT: Final = 1_000_000
LOST: Final = StageValue(value_micros=0, aliases=("closedlost",))


def _won(units: int) -> StageValue:
    return StageValue(value_micros=units * UNIT, uses_value=True, aliases=("closedwon",))


def _stage(units: int) -> StageValue:
    return StageValue(value_micros=units * UNIT)


SERVICE: Final[Mapping[str, StageValue]] = MappingProxyType(
    {
        "lead": _stage(0),
        "appointment_scheduled": _stage(2_250),
        "show_up": _stage(9_000),
        "closed_won": _won(15_000),
        "closed_lost": LOST,
    }
)
ECOMMERCE: Final[Mapping[str, StageValue]] = MappingProxyType(
    {
        "add_to_cart": _stage(15),
        "initiated_checkout": _stage(45),
        "purchase": _stage(60),
        "closed_lost": LOST,
    }
)
B2B_SAAS: Final[Mapping[str, StageValue]] = MappingProxyType(
    {
        "marketing_qualified_lead": _stage(100),
        "sales_qualified_lead": _stage(2_000),
        "demo_scheduled": _stage(3_500),
        "proposal_sent": _stage(6_000),
        "closed_won": _won(10_000),
        "closed_lost": LOST,
    }
)
PRESETS: Final[Mapping[str, Mapping[str, StageValue]]] = MappingProxyType(
    {"none": MappingProxyType({}), "service": SERVICE, "ecommerce": ECOMMERCE, "b2b_saas": B2B_SAAS}
)
"""Every name that ``stages`` may carry without a table of its own."""
