"""The hidden truth of an account's ads: what they cost, convert and earn, and when they start.

Rules of this file: drawn once from the account's own stream; nothing here ever reaches a wire event.
Every scale of money follows the share of budget an ad brings, so larger accounts are larger, not only richer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from connectors.worlds.chance import Purpose, stream
from connectors.worlds.conditions import Conditions

Floats = NDArray[np.float64]
_SHARE_OF_REFERENCE = 25.0  # currency units a day and ad at which the scales below hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Arrays over the ads of one account, and what they share.

    Attributes
    ----------
    s0, cpc, wear_scale : float64[n], saturation per day, price of the first click, spend at which wear sets in.
    cvr : float64[n], probability that a fresh click converts (orders, or becomes a lead).
    value_log, value_sigma : mean (float64[n]) and standard deviation of the log of an order's or a won deal's value.
    net_value : float64[n], expected revenue of one conversion, refunds and lost deals counted.
    p_appointment, p_show, p_won : float64[n], rates of the funnel (1 in direct accounts).
    refund : probability that an order is refunded, or a won deal cancelled.
    tracked : float64[n], share of conversions that carry a click key. ctr : float64[n].
    launch_h : int64[n], hour at which each ad starts. phase : of the weekly season.
    """

    s0: Floats
    cpc: Floats
    wear_scale: Floats
    cvr: Floats
    value_log: Floats
    value_sigma: float
    net_value: Floats
    p_appointment: Floats
    p_show: Floats
    p_won: Floats
    refund: float
    tracked: Floats
    ctr: Floats
    launch_h: NDArray[np.int64]
    phase: float

    @property
    def roas(self) -> Floats:
        """Revenue per unit of spend of a fresh ad's first unit."""
        return self.cvr * self.net_value / self.cpc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Money:
    """The part of the traits that differs between orders and deals."""

    cpc: Floats
    value_log: Floats
    value_sigma: float
    p_appointment: Floats
    p_show: Floats
    p_won: Floats
    refund: float

    def net_value(self) -> Floats:
        mean = np.exp(self.value_log + self.value_sigma**2 / 2)
        return mean * self.p_appointment * self.p_show * self.p_won * (1.0 - self.refund)


def draw(seed: int, account: int, mode: Literal["direct", "pipeline"], conditions: Conditions) -> Traits:
    """Draw the traits of one account.

    Parameters
    ----------
    seed, account : which market, and which of its accounts.
    mode : what its ads lead to. conditions : what the market is like.
    """
    rng = stream(seed, account, Purpose.TRAITS)
    ads = conditions.ads
    scale = conditions.share / _SHARE_OF_REFERENCE
    level = conditions.roas * np.exp(0.35 * rng.standard_normal())
    likeness = rng.standard_normal(ads)
    roas = level * np.exp(conditions.spread * likeness - conditions.spread**2 / 2)
    s0 = scale * 120.0 * np.exp(0.5 * rng.standard_normal(ads))
    wear_scale = scale * 6000.0 * np.exp(0.6 * rng.standard_normal(ads))
    ctr = np.clip(0.012 * np.exp(0.1 * likeness + 0.39 * rng.standard_normal(ads)), 0.001, 0.08)
    money = _orders(rng, conditions) if mode == "direct" else _deals(rng, conditions)
    net_value = money.net_value()
    return Traits(
        s0=s0,
        wear_scale=wear_scale,
        cvr=np.clip(roas * money.cpc / net_value, 1e-5, 0.4),
        net_value=net_value,
        tracked=_tracked(rng, conditions),
        ctr=ctr,
        launch_h=_launches(conditions),
        phase=float(rng.random() * 2 * np.pi),
        cpc=money.cpc,
        value_log=money.value_log,
        value_sigma=money.value_sigma,
        p_appointment=money.p_appointment,
        p_show=money.p_show,
        p_won=money.p_won,
        refund=money.refund,
    )


def _orders(rng: np.random.Generator, conditions: Conditions) -> _Money:
    ads = conditions.ads
    sigma = 0.8 * float(np.exp(0.15 * rng.standard_normal()))
    mean = 65.0 * np.exp(0.3 * rng.standard_normal() + 0.25 * rng.standard_normal(ads))
    whole = np.ones(ads)
    return _Money(
        cpc=np.exp(0.3 * rng.standard_normal(ads)),
        value_log=np.log(mean) - sigma**2 / 2,
        value_sigma=sigma,
        p_appointment=whole,
        p_show=whole,
        p_won=whole,
        refund=conditions.refunds,
    )


def _deals(rng: np.random.Generator, conditions: Conditions) -> _Money:
    ads = conditions.ads
    sigma = 0.6
    mean = conditions.deal_value * np.exp(0.5 * rng.standard_normal() + 0.1 * rng.standard_normal(ads))
    return _Money(
        cpc=2.5 * np.exp(0.3 * rng.standard_normal(ads)),
        value_log=np.log(mean) - sigma**2 / 2,
        value_sigma=sigma,
        p_appointment=np.clip(rng.beta(8, 12) + 0.08 * rng.standard_normal(ads), 0.05, 0.9),
        p_show=np.clip(rng.beta(15, 5) + 0.05 * rng.standard_normal(ads), 0.2, 0.98),
        p_won=np.clip(rng.beta(8, 12) + 0.07 * rng.standard_normal(ads), 0.05, 0.9),
        refund=conditions.refunds / 4,
    )


def _tracked(rng: np.random.Generator, conditions: Conditions) -> Floats:
    loss = conditions.tracking_loss
    if loss == 0.0:
        return np.ones(conditions.ads)
    return rng.beta(50 * (1 - loss), 50 * loss, conditions.ads)


def _launches(conditions: Conditions) -> NDArray[np.int64]:
    later = conditions.later
    hours = np.zeros(conditions.ads, np.int64)
    if later:
        steps = np.arange(1, later + 1)
        hours[conditions.ads - later :] = steps * conditions.days * 16 // later
    return hours
