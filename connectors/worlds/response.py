"""How money becomes clicks, and what the best split of it is.

Rules of this file: pure functions of arrays; money per day in units of the account currency.
Theory: clicks a day = s0 / cpc * ln(1 + s / s0) for a spend s a day: concave, first click at price cpc, half as
productive at s = s0. Water-filling equalises marginal returns (Karush-Kuhn-Tucker) under a budget.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def clicks_per_day(spend: Floats, s0: Floats, cpc: Floats) -> Floats:
    """Expected clicks a day at a daily spend.

    Parameters
    ----------
    spend, s0, cpc : float64[n], units of the account currency; s0 and cpc > 0.
    """
    return s0 / cpc * np.log1p(spend / s0)


def wear(spent: Floats, scale: Floats, strength: float) -> Floats:
    """What is left of an ad's conversion rate after it has spent ``spent``: from 1 down to 1 - 0.75 strength."""
    return 1.0 - 0.75 * strength * (1.0 - np.exp(-spent / scale))


def week_factor(day: float, swing: float, phase: float) -> float:
    """The weekly season of the conversion rate at ``day`` (days since the start, fractional), mean 1."""
    return 1.0 + swing * math.sin(2.0 * math.pi * day / 7.0 + phase)


def hour_weight(hour: int, swing: float) -> float:
    """Share of a day's money that goes out in this hour of the day, times 24; the mean over a day is 1."""
    return 1.0 + swing * math.sin(2.0 * math.pi * (hour - 8.5) / 24.0)


def waterfill(roas: Floats, s0: Floats, budget: float, margin: float) -> Floats:
    """The daily spends that maximise sum(margin * roas * s0 * ln(1 + s / s0) - s) with sum(s) <= budget.

    Parameters
    ----------
    roas : float64[n], revenue per unit of spend at the first unit (0 for an ad that cannot spend).
    s0 : float64[n], saturation, units of the account currency a day.
    budget : what may be spent a day. margin : profit per unit of revenue.

    Returns
    -------
    float64[n], >= 0; less than the budget is spent where the last unit would not pay for itself.
    """
    gain = margin * roas
    low, high = 1.0, max(1.0, float(gain.max(initial=0.0)))
    spends = s0 * np.maximum(gain - 1.0, 0.0)
    if float(spends.sum()) <= budget:
        return spends
    for _ in range(40):
        price = 0.5 * (low + high)
        if float((s0 * np.maximum(gain / price - 1.0, 0.0)).sum()) > budget:
            low = price
        else:
            high = price
    return s0 * np.maximum(gain / high - 1.0, 0.0)
