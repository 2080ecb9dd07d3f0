"""Spend snapshots: what the platform says an ad spent in a period, restated as often as it likes.

Rules of this file: the key is (ad, period start); the newest snapshot by (time, event id, source) stands, in any order
of arrival; an ad's totals are the sums of the standing snapshots.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch, touch_rare
from engine.events import AD_ID_SLOT, EVENT_ID_SLOT
from engine.hashing import mix
from engine.index import find, insert
from engine.kernel import Int, kernel
from engine.layout import T_ADS, T_SPENDS, T_TEXTS
from engine.names import ad_of, compare_origins, seen_ad
from engine.texts import Bytes, put_text

U64 = np.uint64


@kernel
def take_spend(a: Arrays, event: np.void, data: Bytes, account: Int, source: Int) -> None:
    """Take a snapshot: the first of its period, a newer one, or an older one that changes nothing."""
    ad = ad_of(a, event, data, account, AD_ID_SLOT)
    seen_ad(a, ad, event["period_start_ms"])
    h = mix(event["ad"], U64(event["period_start_ms"]))
    place = find(a.spends_slots, a.spends, h)
    if place < 0:
        place = a.used[T_SPENDS]
        a.used[T_SPENDS] = place + 1
        row = a.spends[place]
        row["hash"] = h
        row["ad"] = ad
        row["period_start_ms"] = event["period_start_ms"]
        insert(a.spends_slots, h, place)
    elif _is_newer(a, event, data, place, source):
        touch_rare(a.spends_touched, a.saved, a.n_touched, T_SPENDS, place)
    else:
        return
    row = a.spends[place]
    totals = a.ads[ad]
    totals["spend_micros"] += event["spend_micros"] - row["spend_micros"]
    totals["impressions"] += event["impressions"] - row["impressions"]
    totals["platform_clicks"] += event["clicks"] - row["clicks"]
    touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)
    row["occurred_at_ms"] = event["occurred_at_ms"]
    row["spend_micros"] = event["spend_micros"]
    row["impressions"] = event["impressions"]
    row["clicks"] = event["clicks"]
    row["source"] = source
    row["event"] = a.used[T_TEXTS]
    at, size = np.int64(event["text_at"][EVENT_ID_SLOT]), np.int64(event["text_size"][EVENT_ID_SLOT])
    a.used[T_TEXTS] = put_text(a.texts, a.used[T_TEXTS], data, at, size)


@kernel
def _is_newer(a: Arrays, event: np.void, data: Bytes, place: Int, source: Int) -> bool:
    row = a.spends[place]
    if event["occurred_at_ms"] != row["occurred_at_ms"]:
        return event["occurred_at_ms"] > row["occurred_at_ms"]
    return compare_origins(a, event, data, source, a.texts, row["event"], row["source"]) > 0
