"""Clicks: one row per click id, whatever the number of events that name it.

Rules of this file: of all events of one click the smallest (time, event id, source) gives its ad and time, whenever it
arrives; the keys of all of them unite. Whoever named one of its keys before it came is asked to look again.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch, touch_rare
from engine.claims import reconsider_watchers
from engine.events import AD_ID_SLOT, EVENT_ID_SLOT, N_KEYS, OBJECT_ID_SLOT
from engine.index import find, insert
from engine.kernel import Int, kernel
from engine.layout import T_ADS, T_CLICK_TEXTS, T_CLICKS, T_KEYS
from engine.names import ad_of, compare_origins, seen_ad
from engine.texts import Bytes, put_text, skip_text

U64 = np.uint64


@kernel
def take_click(a: Arrays, event: np.void, data: Bytes, account: Int, source: Int) -> None:
    """Count a click event: a new click, another event of a known one, or one that now speaks for it."""
    place = find(a.clicks_slots, a.clicks, event["object_id"])
    ad = ad_of(a, event, data, account, AD_ID_SLOT)
    seen_ad(a, ad, event["occurred_at_ms"])
    if place < 0:
        place = _new_click(a, event, data, ad, source)
        reconsider_watchers(a, event["object_id"])
    elif _speaks(a, event, data, place, source):
        _speak(a, event, data, place, ad, source)
        reconsider_watchers(a, event["object_id"])
        link = a.clicks[place]["keys"]
        while link >= 0:
            row = a.keys[link - a.base[T_KEYS]]
            reconsider_watchers(a, row["hash"])
            link = row["next"]
    for k in range(1, N_KEYS):
        h = event["keys"][k]
        if h != U64(0) and not _has_key(a, place, h):
            _link_key(a, place, h)
            reconsider_watchers(a, h)


@kernel
def _new_click(a: Arrays, event: np.void, data: Bytes, ad: Int, source: Int) -> int:
    place = a.used[T_CLICKS]
    a.used[T_CLICKS] = place + 1
    row = a.clicks[place]
    row["hash"] = event["object_id"]
    row["occurred_at_ms"] = event["occurred_at_ms"]
    row["keys"] = -1
    row["ad"] = ad
    row["source"] = source
    _write_texts(a, event, data, place)
    insert(a.clicks_slots, event["object_id"], place)
    a.ads[ad]["clicks"] += 1
    touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)
    return place


@kernel
def _write_texts(a: Arrays, event: np.void, data: Bytes, place: Int) -> None:
    at = a.used[T_CLICK_TEXTS]
    a.clicks[place]["text"] = a.base[T_CLICK_TEXTS] + at
    for slot in (OBJECT_ID_SLOT, EVENT_ID_SLOT):
        at = put_text(a.click_texts, at, data, np.int64(event["text_at"][slot]), np.int64(event["text_size"][slot]))
    a.used[T_CLICK_TEXTS] = at


@kernel
def _speaks(a: Arrays, event: np.void, data: Bytes, place: Int, source: Int) -> bool:
    """Whether the event sorts before the one that speaks for the click now."""
    row = a.clicks[place]
    if event["occurred_at_ms"] != row["occurred_at_ms"]:
        return event["occurred_at_ms"] < row["occurred_at_ms"]
    event_id = skip_text(a.click_texts, row["text"] - a.base[T_CLICK_TEXTS])
    return compare_origins(a, event, data, source, a.click_texts, event_id, row["source"]) < 0


@kernel
def _speak(a: Arrays, event: np.void, data: Bytes, place: Int, ad: Int, source: Int) -> None:
    row = a.clicks[place]
    a.ads[row["ad"]]["clicks"] -= 1
    touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, row["ad"])
    a.ads[ad]["clicks"] += 1
    touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)
    row["ad"] = ad
    row["source"] = source
    row["occurred_at_ms"] = event["occurred_at_ms"]
    _write_texts(a, event, data, place)
    touch_rare(a.clicks_touched, a.saved, a.n_touched, T_CLICKS, place)


@kernel
def _has_key(a: Arrays, place: Int, h: np.uint64) -> bool:
    link = a.clicks[place]["keys"]
    while link >= 0:
        row = a.keys[link - a.base[T_KEYS]]
        if row["hash"] == h:
            return True
        link = row["next"]
    return False


@kernel
def _link_key(a: Arrays, place: Int, h: np.uint64) -> None:
    at = a.used[T_KEYS]
    a.used[T_KEYS] = at + 1
    row = a.keys[at]
    row["hash"] = h
    row["click"] = a.base[T_CLICKS] + place
    row["next"] = a.clicks[place]["keys"]
    insert(a.keys_slots, h, at)
    a.clicks[place]["keys"] = a.base[T_KEYS] + at
    touch_rare(a.clicks_touched, a.saved, a.n_touched, T_CLICKS, place)
