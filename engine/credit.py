"""Credit: what an ad gets for a conversion or a deal, moved exactly when the evidence changes.

Rules of this file: an ad's totals are the sums of the credits standing now; every change takes the old credit away and
gives the new one, so totals are a function of the set of events. A conversion is worth max(0, value - reversals); a
deal is worth its newest stage and sits on one ad, that of its earliest event with any evidence.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch
from engine.evidence import earlier_claim, evidence
from engine.kernel import Int, kernel
from engine.layout import CLAIM_CONVERSION, CLAIM_STAGE, LAYER_NONE, T_ADS, T_CLAIMS, T_DEALS


@kernel
def credit(a: Arrays, claim: Int) -> None:
    """Bring the credit of a claim (its conversion, or its deal) up to date."""
    kind = a.claims[claim]["type"]
    if kind == CLAIM_CONVERSION:
        _credit_conversion(a, claim)
    elif kind == CLAIM_STAGE:
        _credit_deal(a, claim)


@kernel
def _now(a: Arrays, at_ms: Int) -> int:
    return max(a.shard[0]["now_ms"], at_ms)


@kernel
def _credit_conversion(a: Arrays, claim: Int) -> None:
    row = a.claims[claim]
    if row["waiting"] == 1:
        return
    ad, layer, _ = evidence(a, claim)
    value = max(np.int64(0), row["value_micros"] - row["reversed_micros"])
    counted = 0 if row["reversals"] > 0 and row["reversed_micros"] >= row["value_micros"] else 1
    same = ad == row["credit_ad"] and layer == row["layer"]
    if same and value == row["credit_micros"] and counted == row["counted"] and row["decided_at_ms"] >= 0:
        return
    uncredit(a, claim)
    if ad >= 0:
        a.ads[ad]["conversions"] += counted
        a.ads[ad]["revenue_micros"] += value
        touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)
    if not same or row["decided_at_ms"] < 0:
        row["decided_at_ms"] = _now(a, row["occurred_at_ms"])
    row["credit_ad"] = ad
    row["layer"] = layer
    row["credit_micros"] = value
    row["counted"] = counted
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)


@kernel
def uncredit(a: Arrays, claim: Int) -> None:
    """Take a conversion's standing credit away."""
    row = a.claims[claim]
    ad = row["credit_ad"]
    if ad >= 0:
        a.ads[ad]["conversions"] -= np.int64(row["counted"])
        a.ads[ad]["revenue_micros"] -= row["credit_micros"]
        touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)


@kernel
def _credit_deal(a: Arrays, claim: Int) -> None:
    deal = a.claims[claim]["deal"]
    row = a.deals[deal]
    if row["newest"] < 0 or earlier_claim(a, row["newest"], claim):
        row["newest"] = claim
    _refresh_evident(a, deal, claim)
    ad: Int = -1
    layer: Int = LAYER_NONE
    click: Int = -1
    if row["evident"] >= 0:
        ad, layer, click = evidence(a, row["evident"])
    value = a.claims[row["newest"]]["value_micros"]
    if row["ad"] >= 0:
        a.ads[row["ad"]]["pipeline_micros"] -= row["value_micros"]
        touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, row["ad"])
    if ad >= 0:
        a.ads[ad]["pipeline_micros"] += value
        touch(a.ads_touched, a.ads_stamps, a.saved, a.n_touched, T_ADS, ad)
    if ad != row["ad"] or layer != row["layer"] or click != row["click"] or row["decided_at_ms"] < 0:
        row["decided_at_ms"] = _now(a, a.claims[claim]["occurred_at_ms"])
    row["ad"] = ad
    row["layer"] = layer
    row["click"] = click
    row["value_micros"] = value
    touch(a.deals_touched, a.deals_stamps, a.saved, a.n_touched, T_DEALS, deal)


@kernel
def _refresh_evident(a: Arrays, deal: Int, claim: Int) -> None:
    row = a.deals[deal]
    has = evidence(a, claim)[0] >= 0
    evident = row["evident"]
    if has and (evident < 0 or (evident != claim and earlier_claim(a, claim, evident))):
        row["evident"] = claim
    elif evident == claim and not has:
        row["evident"] = -1
        link = row["head"]
        while link >= 0:
            if evidence(a, link)[0] >= 0 and (row["evident"] < 0 or earlier_claim(a, link, row["evident"])):
                row["evident"] = link
            link = a.claims[link]["next_of_deal"]
