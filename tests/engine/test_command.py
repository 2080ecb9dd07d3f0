"""A command survives its row; its ids depend on the decision alone."""

from __future__ import annotations

import json

from engine.command import Command, Evidence, command_id, decision_id
from engine.proposal import Action
from engine.record import COLUMNS

COMMAND = Command(
    command_id=command_id("acme", "act_1", 1, 7),
    decision_id=decision_id("acme", "act_1", 1, 7),
    tenant="acme",
    account="act_1",
    campaign_id="c1",
    budget_entity="ad_set:1",
    platform="simulated",
    action=Action.SET_BUDGET,
    value_micros=60_000_000,
    expected_micros=50_000_000,
    created_at_ms=1_700_000_000_000,
    not_before_ms=1_700_000_005_000,
    expires_at_ms=1_700_003_600_000,
    reason="roas_above_scale",
    autonomy="act",
    decision_number=7,
    evidence=Evidence(in_zone=False, holdout=False, spend_seen_ms=1, account_micros=10**15, pool_cap_micros=5),
)


def test_a_row_through_json_gives_the_command_back() -> None:
    row = json.loads(json.dumps(COMMAND.to_row()))
    assert Command.from_row(row) == COMMAND


def test_a_row_has_every_public_column_with_the_executors_still_empty() -> None:
    row = COMMAND.to_row()
    assert set(COLUMNS) <= set(row)
    assert row["state"] == "proposed"
    assert [row[key] for key in ("sent_at_ms", "confirmed_at_ms", "result", "observed_micros")] == [None] * 4


def test_evidence_that_is_absent_is_not_known() -> None:
    row = COMMAND.to_row()
    del row["evidence"]
    assert Command.from_row(row).evidence == Evidence()
    assert Command.from_row(row | {"evidence": {"in_zone": True, "later": 1}}).evidence == Evidence(in_zone=True)


def test_ids_are_pinned_and_differ_in_every_part() -> None:
    assert command_id("acme", "act_1", 1, 7) == COMMAND.command_id
    ids = {
        make(tenant, account, seed, number)
        for make in (command_id, decision_id)
        for tenant in ("a", "ab")
        for account in ("b", "bb")
        for seed in (1, 11)
        for number in (1, 11)
    }
    assert len(ids) == 32
    assert all(len(name) == 34 for name in ids)
    assert command_id("a", "b", 1, 1) == "c-78dfdfda5f914bba4dbff774b2934a03"
    assert decision_id("a", "b", 1, 1) == "d-1ea58c1746447fba377fb8039f3025a2"
