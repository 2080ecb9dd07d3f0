"""The shipped market: deterministic under any cut, lawful on the wire, obedient, and honest about money."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.wire.decode import decode
from connectors.worlds.conditions import Conditions
from connectors.worlds.market import Market
from connectors.worlds.protocol import World

HOUR = 3_600_000
DAY = 24 * HOUR
SMALL: dict[str, Any] = {"ads": 6, "daily_budget": 240.0, "days": 6, "duplicates": 0.1, "late_share": 0.05}


def play(market: Market, cuts: list[int], commands: list[tuple[int, dict[str, Any]]]) -> tuple[list[Any], list[Any]]:
    """Advance at every cut and apply every command at its moment, all relative to the start; events and answers."""
    events: list[Any] = []
    answers: list[Any] = []
    moments = sorted(
        [(at, 0, None) for at in cuts] + [(at, 1, command) for at, command in commands], key=lambda m: m[:2]
    )
    for at, _, command in moments:
        if command is None:
            events += market.advance(market.start_ms + at)
        else:
            answers.append(market.apply(command, market.start_ms + at))
    return events, answers


def command(
    number: int, ad: int, action: str = "set_budget", value: int = 40_000_000, account: str = "shop"
) -> dict[str, Any]:
    entity = f"ad_set:{account}-set-{ad:03d}"
    return {
        "command_id": f"cmd-{number}",
        "budget_entity": entity,
        "action": action,
        "value_micros": value,
        "expected_micros": None,
    }


moments_ms = st.integers(0, 3 * DAY)
asked = st.builds(
    lambda at, ad, action, dollars: (at, (ad, action, dollars * 1_000_000)),
    moments_ms,
    st.integers(1, 6),
    st.sampled_from(["set_budget", "pause", "resume"]),
    st.integers(0, 90),
)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(-(2**70), 2**70),
    cuts=st.lists(moments_ms, max_size=12),
    wishes=st.lists(asked, max_size=8, unique_by=lambda wish: wish[0]),
    mode=st.sampled_from(["direct", "pipeline"]),
)
def test_cuts_of_advance_change_nothing(seed: int, cuts: list[int], wishes: list[Any], mode: str) -> None:
    account = "shop" if mode == "direct" else "service"
    commands = [(at, command(i, ad, action, value, account)) for i, (at, (ad, action, value)) in enumerate(wishes)]
    once, twice = (Market(seed, mode=mode, unknown_share=0.2, refused_share=0.1, **SMALL) for _ in range(2))
    assert play(once, [*cuts, 3 * DAY], commands) == play(twice, [3 * DAY], commands)
    assert once.report() == twice.report()


def test_seeds_differ_and_repeat() -> None:
    streams = [Market(seed, **SMALL).advance(Market(seed).start_ms + DAY) for seed in (1, 1, 2)]
    assert streams[0] == streams[1] != streams[2]


def test_nothing_is_seen_before_it_happened_and_some_is_late_or_doubled() -> None:
    market = Market(3, mode="both", **SMALL)
    seen: list[tuple[str, str]] = []
    late = 0
    for hour in range(1, 6 * 24 + 1):
        now = market.start_ms + hour * HOUR
        for event in market.advance(now):
            assert event["occurred_at_ms"] < now
            late += event["occurred_at_ms"] < now - 2 * HOUR
            assert now - event["occurred_at_ms"] < 7 * DAY
            seen.append((event["source"], event["event_id"]))
    assert late > 10
    copies = sum(count - 1 for count in Counter(seen).values())
    assert 0.06 < copies / len(seen) < 0.13


def test_copies_are_equal_and_event_ids_are_unique() -> None:
    market = Market(4, mode="both", refunds=0.5, **SMALL)
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for event in market.advance(market.start_ms + 30 * DAY):
        assert first.setdefault((event["source"], event["event_id"]), event) == event


def test_every_ladder_step_follows_the_one_before() -> None:
    market = Market(5, mode="pipeline", daily_budget=2000.0, tracking_loss=0.0, refunds=0.4)
    stages: dict[str, list[tuple[int, str]]] = {}
    for event in market.advance(market.start_ms + 60 * DAY):
        if event["kind"] == "crm_stage":
            stages.setdefault(event["deal_id"], []).append((event["occurred_at_ms"], event["stage"]))
            assert ("value_micros" in event) == (event["stage"] == "closed_won")
    paths = Counter(tuple(dict.fromkeys(stage for _, stage in sorted(path))) for path in stages.values())
    whole = ("lead", "appointment_scheduled", "show_up")
    assert set(paths) <= {
        whole[:1], whole[:2], whole, (*whole, "closed_won"), (*whole, "closed_lost"),
        (*whole[:2], "closed_lost"), (*whole, "closed_won", "closed_lost"),
    }  # fmt: skip
    assert paths[(*whole, "closed_won")] > 3
    assert paths[(*whole, "closed_won", "closed_lost")] > 0


def test_reversals_name_an_order_of_the_same_value() -> None:
    market = Market(6, refunds=0.5, tracking_loss=0.0, late_share=0.0)
    orders: dict[str, int] = {}
    undone: dict[str, int] = {}
    for event in market.advance(market.start_ms + 60 * DAY):
        if event["kind"] == "conversion" and "reverses" in event:
            undone[event["reverses"]] = event["value_micros"]
        elif event["kind"] == "conversion":
            orders[event["conversion_id"]] = event["value_micros"]
    assert len(undone) > 20
    assert all(orders[name] == value for name, value in undone.items())


def test_tracking_loss_is_the_share_without_a_key() -> None:
    market = Market(7, daily_budget=4000.0, tracking_loss=0.4, roas=6.0)
    orders = [
        e for e in market.advance(market.start_ms + 60 * DAY) if e["kind"] == "conversion" and "reverses" not in e
    ]
    dark = sum(not ({"click_id", "gclid", "fbclid"} & event.keys()) for event in orders)
    assert len(orders) > 300
    assert 0.3 < dark / len(orders) < 0.5


def last_snapshots(events: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The newest snapshot of every ad and day, as the wire format says."""
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "spend":
            key = (event["ad_id"], event["period_start_ms"])
            held = newest.get(key)
            order = (event["occurred_at_ms"], event["event_id"])
            if held is None or order > (held["occurred_at_ms"], held["event_id"]):
                newest[key] = event
    return newest


def test_spend_follows_the_budgets() -> None:
    market = Market(8, launches=0, **SMALL)
    events = market.advance(market.start_ms + DAY)
    market.apply(command(1, 1, value=20_000_000), market.start_ms + DAY)
    market.apply(command(2, 2, action="pause"), market.start_ms + DAY)
    events += market.advance(market.start_ms + 2 * DAY)
    market.apply(command(3, 2, action="resume"), market.start_ms + 2 * DAY)
    events += market.advance(market.start_ms + 4 * DAY)
    spent = {key: event["spend_micros"] for key, event in last_snapshots(events).items()}
    days = [[spent[f"shop-ad-{ad:03d}", market.start_ms + day * DAY] for ad in (1, 2, 3)] for day in range(3)]
    assert days == [
        [pytest.approx(40e6, rel=1e-5)] * 3,
        [pytest.approx(20e6, rel=1e-5), 0, pytest.approx(40e6, rel=1e-5)],
        [pytest.approx(20e6, rel=1e-5), pytest.approx(40e6, rel=1e-5), pytest.approx(40e6, rel=1e-5)],
    ]
    rows = market.report()["ads"]
    assert market.report()["spend_micros"] == sum(row["spend_micros"] for row in rows.values())


def test_snapshots_grow_lag_behind_and_end_complete() -> None:
    market = Market(9, launches=0, ads=1, daily_budget=48.0, day_shape=0.0, duplicates=0.0)
    events = [e for e in market.advance(market.start_ms + DAY + 8 * HOUR) if e["kind"] == "spend"]
    first_day = sorted(
        (e["occurred_at_ms"], e["spend_micros"]) for e in events if e["period_start_ms"] == market.start_ms
    )
    values = [value for _, value in first_day]
    assert values == sorted(values)
    assert len(values) == 25
    assert values[11] == pytest.approx(24e6 - 0.04 * 6e6, abs=20)
    assert values[-1] == pytest.approx(48e6, abs=200)


def test_an_account_never_spends_more_than_the_shares_of_its_ads() -> None:
    market = Market(10, launches=0, **SMALL)
    for ad in range(1, 7):
        assert market.apply(command(ad, ad, value=400_000_000), market.start_ms)["result"] == "confirmed"
    market.advance(market.start_ms + DAY)
    assert market.report()["spend_micros"] == pytest.approx(240e6, rel=1e-6)


def test_commands_are_confirmed_refused_and_seen_in_the_catalog() -> None:
    market = Market(11, **SMALL)
    now = market.start_ms + 5 * HOUR + 7
    market.advance(now)
    assert market.apply(command(1, 1), now) == {"result": "confirmed", "observed_micros": 40_000_000}
    assert market.apply(command(1, 1, value=1), now) == {"result": "confirmed", "observed_micros": 40_000_000}
    below = market.apply(command(2, 1, value=999_999), now)
    assert below == {"result": "refused", "observed_micros": 40_000_000}
    assert market.apply(command(3, 99), now) == {"result": "refused", "observed_micros": 0}
    assert market.apply(command(4, 6), now)["result"] == "refused", "not launched yet"
    assert market.apply(command(5, 1, action="explode"), now)["result"] == "refused"
    assert market.apply(command(6, 1, action="pause"), now)["result"] == "confirmed"
    shown = [e for e in market.advance(now + DAY) if e["kind"] == "catalog" and e["ad_id"] == "shop-ad-001"]
    assert {e["occurred_at_ms"] for e in shown} == {now}
    assert max(shown, key=lambda e: e["event_id"])["status"] == "paused"
    counts = market.report()["commands"]
    assert counts == {"confirmed": 2, "refused": 4, "unknown": 0, "repeated": 1, "unexpected": 0}


def test_unknown_answers_sometimes_land() -> None:
    market = Market(12, unknown_share=1.0, launches=0, ads=20, daily_budget=800.0)
    results = [market.apply(command(ad, ad, value=30_000_000), market.start_ms + HOUR) for ad in range(1, 21)]
    assert all(answer == {"result": "unknown", "observed_micros": 40_000_000} for answer in results)
    landed = sum(row["budget_micros"] == 30_000_000 for row in market.report()["ads"].values())
    assert 3 < landed < 17


def test_report_has_the_truth_and_the_oracle_is_no_fool() -> None:
    for mode in ("direct", "pipeline", "both"):
        market = Market(13, mode=mode)
        assert isinstance(market, World)
        market.advance(market.start_ms + 60 * DAY)
        report = market.report()
        assert report["oracle_profit_micros"] > report["throttled_oracle_profit_micros"] > report["profit_micros"]
        assert report["equal_profit_micros"] == pytest.approx(report["profit_micros"], rel=1e-4)
        assert len(report["ads"]) == (40 if mode == "both" else 20)
        assert all(isinstance(value, int) for name, value in report.items() if name.endswith("_micros"))


@pytest.mark.parametrize("mode", ["direct", "pipeline"])
def test_expected_profit_is_the_mean_of_what_is_realised(mode: str) -> None:
    gaps = []
    for seed in range(12):
        market = Market(seed, mode=mode, daily_budget=3000.0)
        market.advance(market.start_ms + 20 * DAY)
        report = market.report()
        gaps.append((report["realised_profit_micros"] - report["profit_micros"]) / report["spend_micros"])
    assert abs(np.mean(gaps)) < 4.9 * np.std(gaps) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 0.12


def test_clicks_follow_the_response() -> None:
    few, many = (Market(14, launches=0, ads=1, daily_budget=25.0, spread=0.0) for _ in range(2))
    many.apply(command(1, 1, value=12_500_000), many.start_ms)
    clicks = []
    for market in (few, many):
        market.advance(market.start_ms + 60 * DAY)
        clicks.append(market.report()["ads"]["shop-ad-001"]["clicks"])
    assert 0.5 < clicks[1] / clicks[0] < 0.65


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"ads": 0}, "ads must be between 1"),
        ({"ads": "many"}, "ads must be a whole number"),
        ({"mode": "sideways"}, "mode must be"),
        ({"refunds": 1.5}, "refunds must be a share"),
        ({"spread": float("nan")}, "spread must be between"),
        ({"launches": 21}, "launches must be"),
        ({"mode": "both", "account": "x"}, "account names one"),
        ({"refused_share": 0.6, "unknown_share": 0.6}, "together"),
    ],
)
def test_impossible_conditions_are_refused(params: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Conditions(**params)


def test_every_event_passes_the_wire_rules() -> None:
    market = Market(15, mode="both", unknown_share=0.1, **SMALL)
    market.apply(command(1, 1), market.start_ms + HOUR)
    lines = [orjson.dumps(event) for event in market.advance(market.start_ms + 6 * DAY)]
    events = decode(lines, trusted=False).events
    assert len(events) == len(lines) > 1000
    assert set(events["refusal"].tolist()) == {0}
    assert set(events["unknown_fields"].tolist()) == {0}
    assert set(events["kind"].tolist()) == {1, 2, 3, 4, 5}
