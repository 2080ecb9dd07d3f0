"""The courier: carries events from where they happen to where they are seen: late, doubled, out of order.

Rules of this file: an event's fate depends on the seed and its ``event_id`` alone, so it never depends on how time is
cut; what is due is handed over in order of (moment seen, account, event_id, copy); nothing is seen before it happened.
"""

from __future__ import annotations

import heapq
import math
from hashlib import blake2b
from typing import Any, Final

MS_PER_HOUR: Final = 3_600_000
_LATE_MIN_MS: Final = MS_PER_HOUR
_LATE_MAX_MS: Final = 72 * MS_PER_HOUR
_SECOND_COPY_MS: Final = 600_000
# Usual time from happening to being seen, by kind of event.
_LAG_MS: Final = {
    "click": 2_000,
    "conversion": 30_000,
    "crm_stage": 300_000,
    "spend": 400_000,
    "catalog": 120_000,
}
_CAN_BE_LATE: Final = frozenset(("click", "conversion", "crm_stage"))
_UNIT: Final = 2.0**-32

Event = dict[str, Any]


class Courier:
    """Events under way.

    Parameters
    ----------
    seed : the market's seed.
    duplicates : share of events delivered twice. late_share : share of clicks, conversions and stages that are late.
    """

    def __init__(self, seed: int, duplicates: float, late_share: float) -> None:
        self._key = (seed & (1 << 64) - 1).to_bytes(8, "little")
        self._duplicates = duplicates
        self._late_share = late_share
        self._under_way: list[tuple[int, str, str, int, Event]] = []

    def post(self, event: Event) -> None:
        """Take an event that happens at its ``occurred_at_ms``, now or later."""
        event_id, account, kind = event["event_id"], event["account"], event["kind"]
        digest = blake2b(f"{account}/{event_id}".encode(), key=self._key, digest_size=16).digest()
        lag, late, how_late, twice = (int.from_bytes(digest[i : i + 4], "little") * _UNIT for i in (0, 4, 8, 12))
        seen_ms = event["occurred_at_ms"] + 2 + int(-_LAG_MS[kind] * math.log1p(-lag))
        if late < self._late_share and kind in _CAN_BE_LATE:
            seen_ms += _LATE_MIN_MS + int(how_late * (_LATE_MAX_MS - _LATE_MIN_MS))
        heapq.heappush(self._under_way, (seen_ms, account, event_id, 0, event))
        if twice < self._duplicates:
            again_ms = seen_ms + 1 + int(-_SECOND_COPY_MS * math.log1p(-twice / self._duplicates))
            heapq.heappush(self._under_way, (again_ms, account, event_id, 1, dict(event)))

    def collect(self, until_ms: int) -> list[Event]:
        """Hand over everything seen up to and including ``until_ms``, in the order in which it is seen."""
        due = []
        under_way = self._under_way
        while under_way and under_way[0][0] <= until_ms:
            due.append(heapq.heappop(under_way)[4])
        return due
