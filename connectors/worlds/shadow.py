"""Shadows: other hands on the same market, followed in expectation beside the real one.

Rules of this file: a shadow sees the hidden truth, draws no chance, and lives under the same season, wear, launches and
account limit. Its profit is an expectation, comparable with the expected profit of the market's own ads.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from connectors.worlds.conditions import Conditions
from connectors.worlds.response import clicks_per_day, waterfill, wear
from connectors.worlds.traits import Traits

MS_PER_DAY = 86_400_000
_STEP_H = 6
_STEP = 0.2
Floats = NDArray[np.float64]


class Hand(Enum):
    """Who sets the shadow's budgets.

    ORACLE : knows every current response curve and water-fills each day, and at launches; myopic: it maximises the
        profit of today, not of all days. THROTTLED : wants the same, but moves at most 20 % in six hours.
    EQUAL : leaves every ad its share.
    """

    ORACLE = "oracle"
    THROTTLED = "throttled_oracle"
    EQUAL = "equal"


class Shadow:
    """One hand's course through the market.

    Attributes
    ----------
    spent : float64[n], currency units. profit : currency units, up to the last hour begun.
    """

    def __init__(self, hand: Hand, traits: Traits, conditions: Conditions) -> None:
        self._hand = hand
        self._traits = traits
        self._conditions = conditions
        self._daily = np.zeros(conditions.ads)
        self._launched = np.zeros(conditions.ads, np.bool_)
        self._gain = np.zeros(conditions.ads)
        self._weight = 0.0
        self._start_ms = 0
        self.spent = np.zeros(conditions.ads)
        self.profit = 0.0

    def begin_hour(
        self,
        at_ms: int,
        hour: int,
        launched: NDArray[np.bool_],
        weight: float,
        season: float,
    ) -> None:
        """Go on to the next hour, number ``hour`` since the start, and move money if this hand does now."""
        self.spent, self.profit = self._at(at_ms)
        self._start_ms = at_ms
        self._weight = weight
        traits, conditions = self._traits, self._conditions
        self._gain = traits.roas * wear(self.spent, traits.wear_scale, conditions.fatigue) * season
        fresh = launched & ~self._launched
        self._daily[fresh] = conditions.share
        self._launched = launched.copy()
        if self._hand is Hand.ORACLE and (hour % 24 == 0 or fresh.any()):
            self._daily = self._wanted()
        elif self._hand is Hand.THROTTLED and (hour % _STEP_H == 0):
            limit = conditions.share * float(launched.sum())
            stepped = np.clip(self._wanted(), self._daily * (1 - _STEP), self._daily * (1 + _STEP))
            stepped = np.where(
                launched,
                np.maximum(stepped, min(conditions.budget_min, conditions.share)),
                0.0,
            )
            self._daily = stepped * min(1.0, limit / max(float(stepped.sum()), 1e-9))

    def profit_at(self, at_ms: int) -> float:
        """Profit up to a moment of the present hour, currency units."""
        return self._at(at_ms)[1]

    def spent_at(self, at_ms: int) -> Floats:
        """float64[n], spent up to a moment of the present hour, currency units."""
        return self._at(at_ms)[0]

    def _wanted(self) -> Floats:
        limit = self._conditions.share * float(self._launched.sum())
        gain = np.where(self._launched, self._gain, 0.0)
        return waterfill(gain, self._traits.s0, limit, self._conditions.margin)

    def _at(self, at_ms: int) -> tuple[Floats, float]:
        days = (at_ms - self._start_ms) / MS_PER_DAY * self._weight
        traits = self._traits
        fresh_clicks = clicks_per_day(self._daily, traits.s0, traits.cpc) * traits.cpc
        earned = self._conditions.margin * float((self._gain * fresh_clicks).sum()) - float(self._daily.sum())
        return self.spent + self._daily * days, self.profit + earned * days
