"""One ad account of the market: its ads live through time and obey commands.

Rules of this file: time moves in hours; a command cuts the hour it falls into; a command counts from its own moment on
and changes nothing before it. What happens depends on the seed and the commands, never on when somebody looks.
"""

from __future__ import annotations

from typing import Any, Literal

from connectors.worlds import traits as hidden
from connectors.worlds.conditions import Conditions
from connectors.worlds.courier import Courier
from connectors.worlds.delivery import MICROS, MS_PER_DAY, Delivery
from connectors.worlds.funnel import Funnel
from connectors.worlds.listing import MS_PER_HOUR, Listing
from connectors.worlds.response import hour_weight, wear, week_factor
from connectors.worlds.shadow import Hand, Shadow

_BUDGET_MAX_MICROS = 10**15


class AdAccount:
    """An account's ads, their funnel, and what the platform shows of them.

    Parameters
    ----------
    seed, number : which market, and which of its accounts. name, mode : of the account.
    conditions : of the market. courier : who carries the events. start_ms : a midnight, UTC.
    """

    def __init__(
        self,
        seed: int,
        number: int,
        name: str,
        mode: Literal["direct", "pipeline"],
        conditions: Conditions,
        courier: Courier,
        start_ms: int,
    ) -> None:
        self.name = name
        self.mode: Literal["direct", "pipeline"] = mode
        self._conditions = conditions
        self._start_ms = start_ms
        self._clock_ms = start_ms
        self._traits = hidden.draw(seed, number, mode, conditions)
        self._delivery = Delivery(seed, number, self._traits, conditions, start_ms)
        self._funnel = Funnel(name, mode, conditions, self._traits, courier)
        self._listing = Listing(name, conditions, self._traits, self._delivery, courier, start_ms)
        self._shadows = {hand: Shadow(hand, self._traits, conditions) for hand in Hand}
        self.ads = {f"ad_set:{name}-set-{ad + 1:03d}": ad for ad in range(conditions.ads)}
        self._begin_hour(start_ms)

    def live_until(self, at_ms: int) -> None:
        """Let time pass up to ``at_ms``; an earlier moment changes nothing."""
        hour_end = self._start_ms + ((self._clock_ms - self._start_ms) // MS_PER_HOUR + 1) * MS_PER_HOUR
        while hour_end <= at_ms:
            self._click(hour_end)
            self._clock_ms = hour_end
            self._listing.show_hour(hour_end)
            self._begin_hour(hour_end)
            hour_end += MS_PER_HOUR
        if at_ms > self._clock_ms:
            self._click(at_ms)
            self._clock_ms = at_ms

    def budget_micros(self, ad: int) -> int:
        """The daily budget the platform holds for an ad."""
        return int(self._delivery.budget_micros[ad])

    def refuses(self, ad: int, action: str, value_micros: int | None) -> bool:
        """Whether the platform will not have this command: unknown action, not launched, or no lawful budget."""
        if action not in ("set_budget", "pause", "resume") or not self._delivery.launched[ad]:
            return True
        if action != "set_budget":
            return False
        if not isinstance(value_micros, int) or isinstance(value_micros, bool):
            return True
        return not self._conditions.budget_min * MICROS <= value_micros <= _BUDGET_MAX_MICROS

    def change(self, ad: int, action: str, value_micros: int | None) -> None:
        """Carry out a command that is not refused, at the account's present moment."""
        self._delivery.change(self._clock_ms)
        if action == "set_budget" and value_micros is not None:
            self._delivery.budget_micros[ad] = value_micros
        else:
            self._delivery.active[ad] = action == "resume"
        self._delivery.set_rates()
        self._listing.show_ad(ad, self._clock_ms)

    def truth(self) -> dict[str, Any]:
        """What is true of the account so far: profits in micros, and a row per ad by its id."""
        now, delivery = self._clock_ms, self._delivery
        spent = delivery.spent_micros(now)
        profit = delivery.profit(now)
        revenue = self._funnel.revenue_micros
        worn = wear(spent / MICROS, self._traits.wear_scale, self._conditions.fatigue)
        oracle_spent = self._shadows[Hand.ORACLE].spent_at(now)
        ads = {
            f"{self.name}-ad-{ad + 1:03d}": {
                "account": self.name,
                "budget_entity": entity,
                "launched_at_ms": self._start_ms + int(self._traits.launch_h[ad]) * MS_PER_HOUR,
                "status": "active" if delivery.active[ad] else "paused",
                "budget_micros": self.budget_micros(ad),
                "spend_micros": int(spent[ad]),
                "clicks": int(delivery.clicks[ad]),
                "conversions": int(self._funnel.conversions[ad]),
                "revenue_micros": int(revenue[ad]),
                "profit_micros": round(float(profit[ad]) * MICROS),
                "first_unit_roas": round(float(self._traits.roas[ad]), 4),
                "first_unit_roas_now": round(float(self._traits.roas[ad] * worn[ad]), 4),
                "oracle_spend_micros": round(float(oracle_spent[ad]) * MICROS),
            }
            for entity, ad in self.ads.items()
        }
        realised = round(int(revenue.sum()) * self._conditions.margin) - int(spent.sum())
        answer: dict[str, Any] = {"profit_micros": round(float(profit.sum()) * MICROS)}
        for hand, shadow in self._shadows.items():
            answer[f"{hand.value}_profit_micros"] = round(shadow.profit_at(now) * MICROS)
        return answer | {
            "realised_profit_micros": realised,
            "spend_micros": int(spent.sum()),
            "ads": ads,
        }

    def _begin_hour(self, at_ms: int) -> None:
        hour = (at_ms - self._start_ms) // MS_PER_HOUR
        starting = (self._traits.launch_h == hour) & ~self._delivery.launched
        self._delivery.launched |= starting
        weight = hour_weight(hour % 24, self._conditions.day_shape)
        season = week_factor(
            (at_ms - self._start_ms) / MS_PER_DAY,
            self._conditions.season,
            self._traits.phase,
        )
        self._delivery.begin_hour(at_ms, weight, season)
        for shadow in self._shadows.values():
            shadow.begin_hour(at_ms, hour, self._delivery.launched, weight, season)
        for ad in starting.nonzero()[0].tolist():
            self._listing.show_ad(ad, at_ms)

    def _click(self, until_ms: int) -> None:
        p_converts = self._delivery.p_converts
        for ad, marks, at_ms in self._delivery.clicks_until(until_ms):
            self._funnel.clicked(ad, marks, at_ms, float(p_converts[ad]))
