"""Who is meant: the rows of ads and sources by their hash, entered at first sight.

Rules of this file: an ad exists from the first accepted event that names it; its name is kept once. Where two events
of one id and one time compete, (event id, source) decides.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch
from engine.events import EVENT_ID_SLOT
from engine.index import find, insert
from engine.kernel import Int, kernel
from engine.layout import T_ADS, T_SOURCES, T_TEXTS
from engine.texts import Bytes, compare, compare_texts, put_text


@kernel
def ad_of(a: Arrays, event: np.void, data: Bytes, account: Int, slot: Int) -> Int:
    """The place of the ad the event names; a new one is entered."""
    place = find(a.ads_slots, a.ads, event["ad"])
    if place >= 0:
        return place
    place = a.used[T_ADS]
    a.used[T_ADS] = place + 1
    row = a.ads[place]
    row["hash"] = event["ad"]
    row["name"] = a.used[T_TEXTS]
    a.used[T_TEXTS] = put_text(
        a.texts, a.used[T_TEXTS], data, np.int64(event["text_at"][slot]), np.int64(event["text_size"][slot])
    )
    row["account"] = account
    row["entity"] = -1
    row["first_seen_ms"] = -1
    row["launched_at_ms"] = -1
    row["catalog_ms"] = -1
    row["catalog_event"] = -1
    row["catalog_source"] = -1
    row["target_micros"] = -1
    row["decided_ms"] = -1
    row["acted_ms"] = -1
    row["decision"] = -1
    insert(a.ads_slots, event["ad"], place)
    return place


@kernel
def seen_ad(a: Arrays, ad: Int, at_ms: Int) -> None:
    """Note the earliest time at which anything was heard of the ad."""
    first = a.ads[ad]["first_seen_ms"]
    if first < 0 or at_ms < first:
        a.ads[ad]["first_seen_ms"] = at_ms
        touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)


@kernel
def compare_origins(
    a: Arrays, event: np.void, data: Bytes, source: Int, texts: Bytes, event_id: Int, other_source: Int
) -> int:
    """-1, 0, 1 as the event sorts before, equals, sorts behind a stored one of the same time, by (event id, source).

    The stored event's id stands in ``texts`` at ``event_id``.
    """
    at, size = np.int64(event["text_at"][EVENT_ID_SLOT]), np.int64(event["text_size"][EVENT_ID_SLOT])
    order = compare(data, at, size, texts, event_id + 1, np.int64(texts[event_id]))
    if order == 0:
        order = compare_texts(a.texts, a.sources[source]["name"], a.sources[other_source]["name"])
    return order


@kernel
def source_of(a: Arrays, h: np.uint64, data: Bytes, at: Int, size: Int) -> Int:
    """The place of a source by the hash of its name; a new one is entered."""
    place = find(a.sources_slots, a.sources, h)
    if place >= 0:
        return place
    place = a.used[T_SOURCES]
    a.used[T_SOURCES] = place + 1
    a.sources[place]["hash"] = h
    a.sources[place]["name"] = a.used[T_TEXTS]
    a.used[T_TEXTS] = put_text(a.texts, a.used[T_TEXTS], data, at, size)
    insert(a.sources_slots, h, place)
    return place
