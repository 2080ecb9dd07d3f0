"""What the ad platform shows of an account: its catalog, and the running totals of each day's spend.

Rules of this file: a running snapshot of today lacks a part of the last hours; three hours after midnight the day
before is shown once more, complete. An ad without spend is shown too: nothing spent is not the same as not known.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.worlds.conditions import Conditions
from connectors.worlds.courier import Courier
from connectors.worlds.delivery import MS_PER_DAY, Delivery
from connectors.worlds.traits import Traits

MS_PER_HOUR = 3_600_000
_SETTLE_H = 3
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals since launch at one moment: spend in micros, clicks, impressions (int64[n] each)."""

    at_ms: int
    spend_micros: Ints
    clicks: Ints
    impressions: Ints


@dataclass(slots=True)
class Listing:
    """The platform's pages for one account."""

    account: str
    conditions: Conditions
    traits: Traits
    delivery: Delivery
    courier: Courier
    start_ms: int
    _history: deque[Totals] = field(init=False)
    _midnight: Totals = field(init=False)
    _midnight_before: Totals = field(init=False)
    _pages: int = 0

    def __post_init__(self) -> None:
        """Begin at the market's start, a midnight."""
        self._midnight = self._midnight_before = self._totals(self.start_ms)
        self._history = deque((self._midnight,), maxlen=_SETTLE_H + 1)

    def show_ad(self, ad: int, at_ms: int) -> None:
        """Post a catalog event: what the ad's entity looks like now."""
        self._pages += 1
        event = self._event("catalog", f"catalog-{self.account}-{self._pages:07d}", ad, at_ms)
        event |= {
            "ad_set_id": f"{self.account}-set-{ad + 1:03d}",
            "campaign_id": f"{self.account}-campaign-{ad // 5 + 1:03d}",
            "budget_entity": f"ad_set:{self.account}-set-{ad + 1:03d}",
            "daily_budget_micros": int(self.delivery.budget_micros[ad]),
            "status": "active" if self.delivery.active[ad] else "paused",
            "launched_at_ms": self.start_ms + int(self.traits.launch_h[ad]) * MS_PER_HOUR,
            "pool": self.account,
        }
        self.courier.post(event)

    def show_hour(self, at_ms: int) -> None:
        """Post the snapshots of a full hour for all launched ads; at midnight the day ends."""
        now = self._totals(at_ms)
        self._history.append(now)
        since = max(self._history[0], self._midnight, key=lambda totals: totals.at_ms)
        hidden = ((now.spend_micros - since.spend_micros) * self.conditions.restated).astype(np.int64)
        self._show_day(at_ms, self._midnight, now, hidden)
        if (at_ms - self.start_ms) % MS_PER_DAY == 0:
            self._midnight_before, self._midnight = self._midnight, now
        elif at_ms - self._midnight.at_ms == _SETTLE_H * MS_PER_HOUR and self._midnight.at_ms > self.start_ms:
            self._show_day(at_ms, self._midnight_before, self._midnight, np.zeros_like(hidden))

    def _show_day(self, at_ms: int, begin: Totals, end: Totals, hidden: Ints) -> None:
        spend = (end.spend_micros - begin.spend_micros - hidden).tolist()
        clicks = (end.clicks - begin.clicks).tolist()
        impressions = (end.impressions - begin.impressions).tolist()
        day = (begin.at_ms - self.start_ms) // MS_PER_DAY
        hour = (at_ms - begin.at_ms) // MS_PER_HOUR
        for ad in np.nonzero(self.delivery.launched)[0].tolist():
            event = self._event(
                "spend",
                f"spend-{self.account}-{ad + 1:03d}-{day:04d}-{hour:02d}",
                ad,
                at_ms,
            )
            event |= {
                "period_start_ms": begin.at_ms,
                "period_end_ms": begin.at_ms + MS_PER_DAY,
                "spend_micros": spend[ad],
                "impressions": impressions[ad],
                "clicks": clicks[ad],
            }
            self.courier.post(event)

    def _totals(self, at_ms: int) -> Totals:
        delivery = self.delivery
        clicks = delivery.clicks.copy()
        unclicked = (delivery.points(at_ms) * (1.0 / self.traits.ctr - 1.0)).astype(np.int64)
        return Totals(at_ms, delivery.spent_micros(at_ms), clicks, clicks + unclicked)

    def _event(self, kind: str, event_id: str, ad: int, at_ms: int) -> dict[str, Any]:
        return {
            "kind": kind,
            "event_id": event_id,
            "tenant": self.conditions.tenant,
            "account": self.account,
            "source": "platform",
            "occurred_at_ms": at_ms,
            "ad_id": f"{self.account}-ad-{ad + 1:03d}",
            "currency": self.conditions.currency,
        }
