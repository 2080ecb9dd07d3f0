"""Delivery: how an account's budgets turn into spend and clicks as time passes.

Rules of this file: within a span (an hour, or the part of it between two changes of a budget) every rate is constant,
and everything is computed from the span's start, so looking at a moment inside a span changes nothing.
Money spent is int64 micros; clicks live in operational time (see ``chance``).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from connectors.worlds.chance import ClickStream, Marks
from connectors.worlds.conditions import Conditions
from connectors.worlds.response import clicks_per_day, wear
from connectors.worlds.traits import Traits

MICROS = 1_000_000
MS_PER_DAY = 86_400_000
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Delivery:
    """Budgets, spend and clicks of one account's ads.

    Attributes
    ----------
    budget_micros : int64[n], what the platform holds as daily budget. active, launched : bool[n].
    clicks : int64[n], clicks so far. p_converts : float64[n], conversion rate of a click in the present hour.
    """

    def __init__(
        self,
        seed: int,
        account: int,
        traits: Traits,
        conditions: Conditions,
        start_ms: int,
    ) -> None:
        n = conditions.ads
        self._traits = traits
        self._conditions = conditions
        self._streams = [ClickStream(seed, account, ad) for ad in range(n)]
        self._next_points = np.array([s.next_point for s in self._streams])
        self.budget_micros = np.full(n, round(conditions.share * 100) * 10_000, np.int64)
        self.active = np.ones(n, np.bool_)
        self.launched = np.zeros(n, np.bool_)
        self.clicks = np.zeros(n, np.int64)
        self.p_converts = np.zeros(n)
        self._weight = 1.0
        self._start_ms = start_ms
        self._points = np.zeros(n)
        self._spent: Ints = np.zeros(n, np.int64)
        self._profit = np.zeros(n)
        self._click_rate = np.zeros(n)
        self._spend_rate = np.zeros(n)

    def spent_micros(self, at_ms: int) -> Ints:
        """int64[n], spent since launch, up to a moment of the present span."""
        return self._spent + (self._spend_rate * (at_ms - self._start_ms)).astype(np.int64)

    def points(self, at_ms: int) -> Floats:
        """float64[n], expected clicks since launch, up to a moment of the present span."""
        return self._points + self._click_rate * (at_ms - self._start_ms)

    def profit(self, at_ms: int) -> Floats:
        """float64[n], expected profit of the money spent up to a moment, in currency units: exact on average."""
        gain = self._conditions.margin * self.p_converts * self._traits.net_value
        earned = self._click_rate * gain - self._spend_rate / MICROS
        return self._profit + earned * (at_ms - self._start_ms)

    def clicks_until(self, at_ms: int) -> Iterator[tuple[int, Marks, int]]:
        """Take the clicks up to a moment of the present span: (ad, its marks, when in ms)."""
        points = self.points(at_ms)
        for ad in np.nonzero(self._next_points <= points)[0].tolist():
            source, until = self._streams[ad], float(points[ad])
            first, rate = float(self._points[ad]), float(self._click_rate[ad])
            while source.next_point <= until:
                marks = source.take()
                self.clicks[ad] += 1
                yield ad, marks, self._start_ms + int((marks.point - first) / rate)
            self._next_points[ad] = source.next_point

    def begin_hour(self, at_ms: int, weight: float, season: float) -> None:
        """Begin an hour's span; ``clicks_until(at_ms)`` has been drained.

        Parameters
        ----------
        weight : the hour's share of the day's money, times 24. season : factor on the conversion rate.
        """
        self._close(at_ms)
        traits = self._traits
        worn = wear(self._spent / MICROS, traits.wear_scale, self._conditions.fatigue)
        self.p_converts = np.minimum(traits.cvr * worn * season, 0.9)
        self._weight = weight
        self.set_rates()

    def change(self, at_ms: int) -> None:
        """Begin a new span at ``at_ms``; the caller then changes budgets or status and calls `set_rates`."""
        self._close(at_ms)

    def set_rates(self) -> None:
        """Rates of the span that begins, from the budgets as they are now.

        The account never spends more a day than the shares of its launched ads: beyond that all are scaled down.
        """
        live = self.active & self.launched
        daily = np.where(live, self.budget_micros, 0).astype(np.float64)
        total = float(daily.sum())
        limit = self.limit() * MICROS
        if total > limit > 0:
            daily *= limit / total
        share = self._weight / MS_PER_DAY
        self._spend_rate = daily * share
        self._click_rate = clicks_per_day(daily / MICROS, self._traits.s0, self._traits.cpc) * share

    def limit(self) -> float:
        """What the account may spend a day: the shares its launched ads brought, in currency units."""
        return self._conditions.share * float(self.launched.sum())

    def _close(self, at_ms: int) -> None:
        self._profit = self.profit(at_ms)
        self._points = self.points(at_ms)
        self._spent = self.spent_micros(at_ms)
        self._start_ms = at_ms
