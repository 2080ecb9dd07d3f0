"""The published schemas and the slow reader agree on every line that both can judge."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.wire.schema import KINDS, wire_schema
from tests.reference import wire

EVERY = {"event_id": "e-1", "tenant": "t", "account": "a", "source": "s", "occurred_at_ms": 1_750_000_000_000}
SAMPLES = {
    "click": {"click_id": "c", "ad_id": "x", "fbclid": "IwAR", "consent": False},
    "conversion": {"conversion_id": "o", "type": "purchase", "value_micros": 5, "currency": "USD", "contact": "p"},
    "crm_stage": {"deal_id": "d", "stage": "lead", "currency": "USD", "value_micros": 7},
    "spend": {
        "ad_id": "x", "period_start_ms": 1_750_000_000_000, "period_end_ms": 1_750_003_600_000, "spend_micros": 1,
        "impressions": 2, "clicks": 1, "currency": "USD",
    },
    "catalog": {
        "ad_id": "x", "ad_set_id": "as", "campaign_id": "c", "budget_entity": "ad_set:as", "status": "active",
        "launched_at_ms": 1_750_000_000_000, "currency": "USD", "embedding": [0.5, 1], "holdout": True,
    },
    "outcome": {"command_id": "k", "budget_entity": "ad_set:as", "result": "confirmed", "observed_micros": 1},
    "control": {"action": "stop", "actor": "ann", "reason": "drill"},
}  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 10**12, 10**12 + 1, 10**15, 10**15 + 1, 946_684_799_999, 4_102_444_800_000, 2**63, 2**64]),
    st.sampled_from([5.0, 0.5]),
    st.sampled_from(["", "a", "a b", "é", "a" * 128, "a" * 129, "~" * 512, "~" * 513, "a\n", "5", "USD"]),
    st.sampled_from([[], {}, [1.5], ["x"]]),
)


def agree(kind, fields):
    line = json.dumps({"kind": kind, **EVERY, **fields}).encode()
    try:
        wire.read(line, trusted=True)
        is_fine = True
    except wire.Refused:
        is_fine = False
    try:
        KINDS[kind].model_validate_json(line)
        is_valid = True
    except ValidationError:
        is_valid = False
    assert is_valid == is_fine, (line, is_fine)
    return is_fine


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_line_is_fine_in_both(kind):
    assert agree(kind, SAMPLES[kind])


@given(st.data())
def test_any_one_field_changed_is_judged_alike(data):
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    model = KINDS[kind].model_fields
    name = data.draw(st.sampled_from(sorted(model.keys() - {"kind", "period_start_ms", "period_end_ms"})))
    agree(kind, {**SAMPLES[kind], name: data.draw(VALUES)})


@pytest.mark.parametrize("kind", KINDS)
def test_the_models_know_exactly_the_fields_of_the_format(kind):
    known = {"kind", *wire.EVERY, *wire.REQUIRED[kind], *wire.OPTIONAL[kind]}
    assert set(KINDS[kind].model_fields) == known
    assert set(wire_schema(kind)["required"]) == {"kind", *wire.EVERY, *wire.REQUIRED[kind]}
