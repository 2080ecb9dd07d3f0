"""Which ad a conversion or a CRM event points at: click key, own ad, contact - in this order.

Rules of this file: evidence is a function of what is known now, never of the order in which it came; a claim that
names an unseen click waits, and while it waits it has no evidence at all. Layer 1 takes the newest click of age
0 .. lookback, both ends inside. A contact lends the ad of its earliest event that has evidence of its own.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays
from engine.events import N_KEYS
from engine.index import find, find_next, first_slot
from engine.kernel import Int, kernel
from engine.layout import (
    LAYER_CLICK_KEY,
    LAYER_CONTACT,
    LAYER_NONE,
    LAYER_OWN_AD,
    T_CLICK_TEXTS,
    T_CLICKS,
)
from engine.texts import compare_texts, skip_text

U64 = np.uint64


@kernel
def newer_click(a: Arrays, one: Int, other: Int) -> bool:
    """Whether the click at place ``one`` is newer than ``other`` by (time, event id, source)."""
    x, y = a.clicks[one], a.clicks[other]
    if x["occurred_at_ms"] != y["occurred_at_ms"]:
        return x["occurred_at_ms"] > y["occurred_at_ms"]
    base = a.base[T_CLICK_TEXTS]
    order = compare_texts(
        a.click_texts, skip_text(a.click_texts, x["text"] - base), skip_text(a.click_texts, y["text"] - base)
    )
    if order == 0:
        order = compare_texts(a.texts, a.sources[x["source"]]["name"], a.sources[y["source"]]["name"])
    if order == 0:
        order = compare_texts(a.click_texts, x["text"] - base, y["text"] - base)
    return order > 0


@kernel
def _better(a: Arrays, best: Int, place: Int, at_ms: Int, lookback_ms: Int) -> Int:
    """The better of the best click so far (-1 none) and the one at ``place``, which counts only inside the lookback."""
    age = at_ms - a.clicks[place]["occurred_at_ms"]
    if age < 0 or age > lookback_ms:
        return best
    if best < 0 or (place != best and newer_click(a, place, best)):
        return place
    return best


@kernel
def click_of(a: Arrays, claim: Int) -> tuple[Int, bool]:
    """The place of the click that layer 1 gives (-1 none), and whether a key names a click not seen yet."""
    row = a.claims[claim]
    lookback = a.rules[row["account"]]["lookback_ms"]
    best: Int = -1
    unseen = False
    for k in range(N_KEYS):
        h = row["keys"][k]
        if h == U64(0):
            continue
        found = False
        if k == 0:
            place = find(a.clicks_slots, a.clicks, h)
            if place >= 0:
                found = True
                best = _better(a, best, place, row["occurred_at_ms"], lookback)
        else:
            at = first_slot(a.keys_slots, h)
            link, at = find_next(a.keys_slots, a.keys, h, at)
            while link >= 0:
                place = a.keys[link]["click"] - a.base[T_CLICKS]
                if place >= 0:
                    found = True
                    best = _better(a, best, place, row["occurred_at_ms"], lookback)
                link, at = find_next(a.keys_slots, a.keys, h, at)
        unseen = unseen or not found
    return best, unseen


@kernel
def direct_evidence(a: Arrays, claim: Int) -> tuple[Int, Int, Int]:
    """The claim's evidence of its own: (ad, layer, click id), (-1, 0, -1) for none or while it waits."""
    click, unseen = click_of(a, claim)
    row = a.claims[claim]
    if click >= 0:
        return np.int64(a.clicks[click]["ad"]), LAYER_CLICK_KEY, a.base[T_CLICKS] + click
    if unseen and row["waiting"] == 1:
        return -1, LAYER_NONE, -1
    if row["own_ad"] >= 0:
        return np.int64(row["own_ad"]), LAYER_OWN_AD, -1
    return -1, LAYER_NONE, -1


@kernel
def evidence(a: Arrays, claim: Int) -> tuple[Int, Int, Int]:
    """The claim's evidence, the contact's included: (ad, layer, click id)."""
    row = a.claims[claim]
    if row["direct_ad"] >= 0:
        return np.int64(row["direct_ad"]), np.int64(row["direct_layer"]), row["click"]
    if row["waiting"] == 0 and row["contact"] >= 0:
        first = a.contacts[row["contact"]]["first"]
        if first >= 0 and a.claims[first]["occurred_at_ms"] <= row["occurred_at_ms"]:
            return np.int64(a.claims[first]["direct_ad"]), LAYER_CONTACT, -1
    return -1, LAYER_NONE, -1


@kernel
def earlier_claim(a: Arrays, one: Int, other: Int) -> bool:
    """Whether one claim sorts before another by (time, event id, source)."""
    x, y = a.claims[one], a.claims[other]
    if x["occurred_at_ms"] != y["occurred_at_ms"]:
        return x["occurred_at_ms"] < y["occurred_at_ms"]
    order = compare_texts(a.texts, skip_text(a.texts, x["text"]), skip_text(a.texts, y["text"]))
    if order == 0:
        order = compare_texts(a.texts, a.sources[x["source"]]["name"], a.sources[y["source"]]["name"])
    return order < 0


@kernel
def refresh_contact(a: Arrays, contact: Int, claim: Int) -> bool:
    """Bring the contact's first claim with evidence up to date with ``claim``; True if what it lends may differ."""
    row = a.contacts[contact]
    first = row["first"]
    has = a.claims[claim]["direct_ad"] >= 0
    if has and (first < 0 or (first != claim and earlier_claim(a, claim, first))):
        row["first"] = claim
        return True
    if first != claim:
        return False
    if has:
        return True
    row["first"] = -1
    link = row["head"]
    while link >= 0:
        if a.claims[link]["direct_ad"] >= 0 and (row["first"] < 0 or earlier_claim(a, link, row["first"])):
            row["first"] = link
        link = a.claims[link]["next_of_contact"]
    return True
