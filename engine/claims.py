"""Claims: conversions, reversals and CRM stage events, each of which asks for credit.

Rules of this file: a conversion id is one conversion, spoken for by its smallest event (time, event id, source); a
reversal takes its amount from the conversion it names, whichever of the two comes first; a deal is a chain of stage
events. Every key a claim names is watched, so that a click that comes later finds it.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch
from engine.credit import credit, uncredit
from engine.events import AD_ID_SLOT, EVENT_ID_SLOT, MS_PER_HOUR, N_KEYS, OBJECT_ID_SLOT, Field
from engine.evidence import click_of, direct_evidence, refresh_contact
from engine.hashing import SALT_REVERSES, mix
from engine.index import find, find_next, first_slot, insert
from engine.kernel import Int, kernel
from engine.layout import (
    CLAIM_CONVERSION,
    CLAIM_NONE,
    CLAIM_REVERSAL,
    CLAIM_STAGE,
    LAYER_NONE,
    T_CLAIMS,
    T_CONTACTS,
    T_DEALS,
    T_TEXTS,
    T_WATCHES,
)
from engine.names import ad_of, compare_origins, seen_ad
from engine.reversals import apply_reversal, apply_waiting_reversals, wait_as_reversal, withdraw_reversal
from engine.texts import Bytes, put_text, skip_text

U64 = np.uint64
WAIT_MS = MS_PER_HOUR
_AD_BIT = U64(1) << U64(Field.AD_ID.value)


@kernel
def take_conversion(a: Arrays, event: np.void, data: Bytes, account: Int, source: Int, offset: Int) -> None:
    """Take a conversion or a reversal: a new one, or another event of a known id."""
    claim = find(a.claims_slots, a.claims, event["object_id"])
    own_ad = _own_ad(a, event, data, account)
    if claim >= 0 and a.claims[claim]["type"] != CLAIM_NONE:
        if not _speaks(a, event, data, claim, source):
            return
        _withdraw(a, claim)
    elif claim < 0:
        claim = a.used[T_CLAIMS]
        a.used[T_CLAIMS] = claim + 1
        insert(a.claims_slots, event["object_id"], claim)
    _fill(a, claim, event, data, account, source, own_ad)
    row = a.claims[claim]
    if event["reverses"] != U64(0):
        row["type"] = CLAIM_REVERSAL
        row["reverses"] = event["reverses"]
        _watch(a, mix(event["reverses"], SALT_REVERSES), claim)
        if not apply_reversal(a, claim):
            wait_as_reversal(a, claim, event, data, offset)
        return
    row["type"] = CLAIM_CONVERSION
    _join_contact(a, claim, event)
    _watch_keys(a, claim)
    apply_waiting_reversals(a, claim)
    begin(a, claim)


@kernel
def take_stage(a: Arrays, event: np.void, data: Bytes, account: Int, source: Int, value: Int) -> None:
    """Take a CRM stage event: the deal was worth ``value`` micros from then on."""
    own_ad = _own_ad(a, event, data, account)
    claim = a.used[T_CLAIMS]
    a.used[T_CLAIMS] = claim + 1
    _fill(a, claim, event, data, account, source, own_ad)
    row = a.claims[claim]
    row["hash"] = U64(0)  # a stage event is found through its deal, never by an id of its own
    row["type"] = CLAIM_STAGE
    row["value_micros"] = value
    deal = _deal_of(a, event, account, row["text"])
    row["deal"] = deal
    row["next_of_deal"] = a.deals[deal]["head"]
    a.deals[deal]["head"] = claim
    touch(a.deals_touched, a.deals_stamps, a.saved, a.n_touched, T_DEALS, deal)
    _join_contact(a, claim, event)
    _watch_keys(a, claim)
    begin(a, claim)


@kernel
def begin(a: Arrays, claim: Int) -> None:
    """Look for evidence the first time; wait if a click is named that may still come."""
    row = a.claims[claim]
    click, unseen = click_of(a, claim)
    watermark = a.accounts[row["account"]]["max_click_ms"]
    if click < 0 and unseen and watermark < row["occurred_at_ms"] + WAIT_MS:
        row["waiting"] = 1
        a.pending[a.n_pending[0]] = claim
        a.n_pending[0] += 1
    reconsider(a, claim)


@kernel
def reconsider(a: Arrays, claim: Int) -> None:
    """Look at a claim's evidence again and move every credit that hangs on it."""
    row = a.claims[claim]
    ad, layer, click = direct_evidence(a, claim)
    changed = ad != row["direct_ad"] or layer != row["direct_layer"] or click != row["click"]
    if changed:
        row["direct_ad"] = ad
        row["direct_layer"] = layer
        row["click"] = click
        if layer != LAYER_NONE:
            row["waiting"] = 0
        touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)
        contact = row["contact"]
        if contact >= 0 and refresh_contact(a, contact, claim):
            touch(a.contacts_touched, a.contacts_stamps, a.saved, a.n_touched, T_CONTACTS, contact)
            _credit_contact(a, contact, claim)
    credit(a, claim)


@kernel
def _credit_contact(a: Arrays, contact: Int, but: Int) -> None:
    """Bring up to date the credit of all other claims of a contact that live on what it lends."""
    link = a.contacts[contact]["head"]
    while link >= 0:
        if link != but and a.claims[link]["direct_ad"] < 0:
            credit(a, link)
        link = a.claims[link]["next_of_contact"]


@kernel
def reconsider_watchers(a: Arrays, h: np.uint64) -> None:
    """Ask every claim that names this key hash to look again."""
    at = first_slot(a.watches_slots, h)
    link, at = find_next(a.watches_slots, a.watches, h, at)
    while link >= 0:
        claim = np.int64(a.watches[link]["claim"])
        kind = a.claims[claim]["type"]
        if kind == CLAIM_CONVERSION or kind == CLAIM_STAGE:
            reconsider(a, claim)
        link, at = find_next(a.watches_slots, a.watches, h, at)


@kernel
def _own_ad(a: Arrays, event: np.void, data: Bytes, account: Int) -> Int:
    if event["mask"] & _AD_BIT == U64(0) or event["reverses"] != U64(0):
        return -1
    ad = ad_of(a, event, data, account, AD_ID_SLOT)
    seen_ad(a, ad, event["occurred_at_ms"])
    return ad


@kernel
def _fill(a: Arrays, claim: Int, event: np.void, data: Bytes, account: Int, source: Int, own_ad: Int) -> None:
    row = a.claims[claim]
    row["hash"] = event["object_id"]
    row["occurred_at_ms"] = event["occurred_at_ms"]
    row["dedup"] = event["dedup"]
    for k in range(N_KEYS):
        row["keys"][k] = event["keys"][k]
    row["reverses"] = U64(0)
    row["value_micros"] = event["value_micros"]
    row["reversed_micros"] = 0
    row["reversals"] = 0
    row["source"] = source
    row["account"] = account
    row["own_ad"] = own_ad
    row["contact"] = -1
    row["next_of_contact"] = -1
    row["next_of_deal"] = -1
    row["deal"] = -1
    row["direct_ad"] = -1
    row["direct_layer"] = LAYER_NONE
    row["credit_ad"] = -1
    row["layer"] = LAYER_NONE
    row["click"] = -1
    row["line"] = -1
    row["offset"] = -1
    row["raw"] = -1
    row["credit_micros"] = 0
    row["decided_at_ms"] = -1
    row["waiting"] = 0
    row["counted"] = 0
    row["applied"] = 0
    at = a.used[T_TEXTS]
    row["text"] = at
    for slot in (OBJECT_ID_SLOT, EVENT_ID_SLOT):
        at = put_text(a.texts, at, data, np.int64(event["text_at"][slot]), np.int64(event["text_size"][slot]))
    a.used[T_TEXTS] = at
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)


@kernel
def _speaks(a: Arrays, event: np.void, data: Bytes, claim: Int, source: Int) -> bool:
    row = a.claims[claim]
    if event["occurred_at_ms"] != row["occurred_at_ms"]:
        return event["occurred_at_ms"] < row["occurred_at_ms"]
    return compare_origins(a, event, data, source, a.texts, skip_text(a.texts, row["text"]), row["source"]) < 0


@kernel
def _join_contact(a: Arrays, claim: Int, event: np.void) -> None:
    h = event["contact"]
    if h == U64(0):
        return
    place = find(a.contacts_slots, a.contacts, h)
    if place < 0:
        place = a.used[T_CONTACTS]
        a.used[T_CONTACTS] = place + 1
        a.contacts[place]["hash"] = h
        a.contacts[place]["head"] = -1
        a.contacts[place]["first"] = -1
        insert(a.contacts_slots, h, place)
    a.claims[claim]["contact"] = place
    a.claims[claim]["next_of_contact"] = a.contacts[place]["head"]
    a.contacts[place]["head"] = claim
    touch(a.contacts_touched, a.contacts_stamps, a.saved, a.n_touched, T_CONTACTS, place)


@kernel
def _deal_of(a: Arrays, event: np.void, account: Int, text: Int) -> Int:
    place = find(a.deals_slots, a.deals, event["object_id"])
    if place >= 0:
        return place
    place = a.used[T_DEALS]
    a.used[T_DEALS] = place + 1
    row = a.deals[place]
    row["hash"] = event["object_id"]
    row["name"] = text
    row["account"] = account
    row["head"] = -1
    row["newest"] = -1
    row["evident"] = -1
    row["ad"] = -1
    row["click"] = -1
    row["decided_at_ms"] = -1
    insert(a.deals_slots, event["object_id"], place)
    return place


@kernel
def _watch(a: Arrays, h: np.uint64, claim: Int) -> None:
    at = a.used[T_WATCHES]
    a.used[T_WATCHES] = at + 1
    a.watches[at]["hash"] = h
    a.watches[at]["claim"] = claim
    insert(a.watches_slots, h, at)


@kernel
def _watch_keys(a: Arrays, claim: Int) -> None:
    for k in range(N_KEYS):
        h = a.claims[claim]["keys"][k]
        if h != U64(0):
            _watch(a, h, claim)


@kernel
def _withdraw(a: Arrays, claim: Int) -> None:
    """Undo all that a claim did, before another event of its id speaks for it."""
    row = a.claims[claim]
    if row["type"] == CLAIM_REVERSAL:
        withdraw_reversal(a, claim)
        return
    uncredit(a, claim)
    row["type"] = CLAIM_NONE
    row["credit_ad"] = -1
    row["direct_ad"] = -1
    contact = row["contact"]
    if contact < 0:
        return
    if a.contacts[contact]["head"] == claim:
        a.contacts[contact]["head"] = row["next_of_contact"]
    else:
        link = a.contacts[contact]["head"]
        while a.claims[link]["next_of_contact"] != claim:
            link = a.claims[link]["next_of_contact"]
        a.claims[link]["next_of_contact"] = row["next_of_contact"]
        touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, link)
    touch(a.contacts_touched, a.contacts_stamps, a.saved, a.n_touched, T_CONTACTS, contact)
    if refresh_contact(a, contact, claim):
        _credit_contact(a, contact, claim)
