"""The witness itself, checked by hand-computed examples: who is credited with what."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.reference.test_model import DAY, T, event, fed


def ads(*lines: bytes) -> dict[str, dict[str, Any]]:
    """The rows by ad."""
    return {row["ad_id"]: row for row in fed(*lines).ads()}


def conversion(at: int = T + 10, **fields: Any) -> bytes:
    """A conversion of 50 micros."""
    return event("conversion", fields.pop("event_id", "v"), at, **fields)


def credited(*lines: bytes) -> list[tuple[Any, ...]]:
    """What each conversion and deal was credited to, the same in every order of the lines."""
    answers = []
    for order in itertools.islice(itertools.permutations(lines), 120):
        rows = fed(*order).attributions()
        answers.append(sorted((row["ad_id"] or "", row["layer"] or "", row["click_id"] or "") for row in rows))
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


NONE = ("", "", "")


@pytest.mark.parametrize(("age", "found"), [(-1, False), (0, True), (7 * DAY, True), (7 * DAY + 1, False)])
def test_a_click_counts_from_age_zero_to_the_lookback(age: int, found: bool) -> None:
    lines = (event("click", "1", T), conversion(T + age, click_id="c1"))
    rows = fed(*lines[:: 1 if age >= 0 else -1]).attributions()
    assert rows[0]["layer"] == ("click_key" if found else None)


def test_any_key_finds_a_click_but_only_under_its_own_name() -> None:
    click = event("click", "1", gclid="g")
    assert credited(click, conversion(gclid="g")) == [("x", "click_key", "c1")]
    assert credited(click, conversion(fbclid="g")) == [NONE]
    assert credited(click, conversion(click_id="g")) == [NONE]
    assert credited(click, conversion(click_id="nobody", gclid="g")) == [("x", "click_key", "c1")]


def test_the_newest_click_wins_then_event_id_then_source() -> None:
    old = event("click", "9", T, click_id="c1", gclid="g", ad_id="x")
    new = event("click", "1", T + 1, click_id="c2", gclid="g", ad_id="y")
    assert credited(old, new, conversion(gclid="g")) == [("y", "click_key", "c2")]
    assert credited(old, new, conversion(T, gclid="g")) == [("x", "click_key", "c1")]
    same = event("click", "91", T, click_id="c2", gclid="g", ad_id="y")
    assert credited(old, same, conversion(gclid="g")) == [("y", "click_key", "c2")]
    source = event("click", "9", T, click_id="c2", gclid="g", ad_id="y", source="t")
    assert credited(old, source, conversion(gclid="g")) == [("y", "click_key", "c2")]
    assert credited(old, new, conversion(click_id="c1", gclid="g")) == [("y", "click_key", "c2")]


def test_the_smallest_event_speaks_for_a_click_and_the_keys_unite() -> None:
    late = event("click", "1", T + 5, ad_id="y", gclid="g")
    early = event("click", "2", T, ad_id="x", fbclid="f")
    assert credited(late, early, conversion(T + 2, gclid="g")) == [("x", "click_key", "c1")]
    rows = ads(late, early)
    assert (rows["x"]["clicks"], rows["y"]["clicks"]) == (1, 0)


def test_the_smallest_event_speaks_for_a_conversion() -> None:
    small = conversion(T + 1, event_id="a", value_micros=7, ad_id="x")
    large = conversion(T + 1, event_id="b", value_micros=9, ad_id="y", click_id="c1")
    click = event("click", "1", ad_id="z")
    assert credited(small, large, click) == [("x", "own_ad_id", "")]
    rows = ads(large, small, click)
    assert (rows["x"]["conversions"], rows["x"]["revenue_micros"], rows["y"]["conversions"]) == (1, 7, 0)


def test_evidence_comes_in_order_click_own_ad_contact() -> None:
    click = event("click", "1", T, ad_id="x")
    known = conversion(T + 1, event_id="k", conversion_id="k", contact="p", ad_id="z")
    asked = conversion(T + 2, click_id="c1", ad_id="y", contact="p")
    assert credited(click, known, asked) == [("x", "click_key", "c1"), ("z", "own_ad_id", "")]
    assert credited(known, asked) == [("y", "own_ad_id", ""), ("z", "own_ad_id", "")]
    alone = conversion(T + 2, click_id="c1", contact="p")
    assert credited(known, alone) == [("z", "contact", ""), ("z", "own_ad_id", "")]


@pytest.mark.parametrize(("at", "found"), [(T, False), (T + 1, True), (T + 6 * DAY, True)])
def test_a_contact_helps_from_its_earliest_evidence_on(at: int, found: bool) -> None:
    deal = event("crm_stage", "1", T + 1, contact="p", ad_id="x")
    later = conversion(T + 2, event_id="o", conversion_id="o", contact="p", ad_id="y")
    rows = fed(deal, later, conversion(at, contact="p")).attributions()
    assert ("x", "contact") in [(row["ad_id"], row["layer"]) for row in rows] or not found
    assert (None, None) in [(row["ad_id"], row["layer"]) for row in rows] or found


def test_equal_times_of_a_contact_are_told_apart_by_event_id_and_may_lie_after_in_the_log() -> None:
    first = conversion(T, event_id="a", conversion_id="a", contact="p", ad_id="x")
    second = conversion(T, event_id="b", conversion_id="b", contact="p", ad_id="y")
    asked = conversion(T, event_id="0", contact="p")
    assert credited(first, second, asked)[0] == ("x", "contact", "")


def test_evidence_by_contact_is_not_handed_on_and_reversals_give_none() -> None:
    reversal = event("conversion", "r", T, conversion_id="r", reverses="k", contact="p", ad_id="z", value_micros=1)
    known = conversion(T, event_id="k", conversion_id="k")
    assert credited(reversal, known, conversion(contact="p")) == [NONE, NONE]
    assert ads(reversal, known) == {}


def test_a_deal_sits_whole_at_the_ad_of_its_earliest_evidence() -> None:
    bare = event("crm_stage", "1", T, stage="lead")
    clicked = event("crm_stage", "2", T + 2, stage="booked", click_id="c1")
    own = event("crm_stage", "3", T + 3, stage="lead", ad_id="y")
    click = event("click", "4", T + 1, ad_id="x")
    assert credited(bare, clicked, own, click) == [("x", "click_key", "c1")]
    assert ads(bare, own, clicked, click)["x"]["pipeline_micros"] == 0
    assert ads(bare, clicked, click)["x"]["pipeline_micros"] == 2_250_000_000
    assert ads(bare, own, clicked)["y"]["pipeline_micros"] == 0


def test_a_deal_without_own_evidence_takes_its_contacts() -> None:
    other = event("crm_stage", "1", T, deal_id="d2", contact="p", ad_id="x", stage="booked")
    deal = event("crm_stage", "2", T, contact="p", stage="booked")
    assert credited(other, deal) == [("x", "contact", ""), ("x", "own_ad_id", "")]
    assert ads(other, deal)["x"]["pipeline_micros"] == 4_500_000_000


@pytest.mark.parametrize(
    ("stages", "value"),
    [
        ([("lead", 5)], 0),
        ([("lead", None), ("booked", 99)], 2_250_000_000),
        ([("appointment", None)], 2_250_000_000),
        ([("booked", None), ("lead", None)], 0),
        ([("closed_won", None)], 15_000_000_000),
        ([("closed_won", 7)], 7),
        ([("closed_won", 0)], 0),
        ([("closed_won", 7), ("closed_won", None)], 15_000_000_000),
    ],
)
def test_a_deal_is_worth_its_newest_stage(stages: list[tuple[str, int | None]], value: int) -> None:
    lines = [
        event("crm_stage", str(i), T + i // 2, stage=stage, value_micros=amount, ad_id="x")
        for i, (stage, amount) in enumerate(stages)
    ]
    assert ads(*lines)["x"]["pipeline_micros"] == value
    assert ads(*reversed(lines))["x"]["pipeline_micros"] == value


@pytest.mark.parametrize(
    ("value", "undone", "left"),
    [
        (50, [], (1, 50)),
        (50, [20], (1, 30)),
        (50, [20, 29], (1, 1)),
        (50, [20, 30], (0, 0)),
        (50, [80], (0, 0)),
        (50, [0], (1, 50)),
        (0, [], (1, 0)),
        (0, [0], (0, 0)),
    ],
)
def test_reversals_are_subtracted_down_to_nothing(value: int, undone: list[int], left: tuple[int, int]) -> None:
    lines = [conversion(T, value_micros=value, ad_id="x")]
    for i, amount in enumerate(undone):
        lines.append(event("conversion", f"r{i}", T - i, conversion_id=f"r{i}", reverses="v1", value_micros=amount))
    for order in itertools.permutations(lines):
        row = ads(*order)["x"]
        assert (row["conversions"], row["revenue_micros"]) == left


def test_one_reversal_told_twice_counts_once() -> None:
    reversal = {"conversion_id": "r", "reverses": "v1", "value_micros": 20}
    again = event("conversion", "r2", T + 1, **reversal | {"value_micros": 25})
    assert ads(conversion(ad_id="x"), event("conversion", "r1", T, **reversal), again)["x"]["revenue_micros"] == 30


def test_the_newest_snapshot_of_a_period_replaces_the_others() -> None:
    lines = (
        event("spend", "1", T + 1, spend_micros=10, clicks=1, impressions=5),
        event("spend", "2", T + 1, spend_micros=7, clicks=2, impressions=6, period_end_ms=T + 9),
        event("spend", "3", T, spend_micros=99),
        event("spend", "4", T, spend_micros=100, clicks=1, impressions=1, period_start_ms=T + 1),
    )
    for order in itertools.permutations(lines):
        row = ads(*order)["x"]
        assert (row["spend_micros"], row["platform_clicks"], row["impressions"]) == (107, 3, 7)


def test_every_ad_named_by_an_accepted_event_has_a_row_of_its_account() -> None:
    rows = fed(
        event("click", "1", ad_id="a"),
        event("spend", "2", ad_id="b"),
        event("catalog", "3", ad_id="c"),
        event("conversion", "4", ad_id="d"),
        event("crm_stage", "5", ad_id="e"),
        event("click", "6", ad_id="a", account="hourly"),
        event("conversion", "7", account="hourly", click_id="c9"),
    ).ads()
    assert [row["account"] + row["ad_id"] for row in rows] == ["aa", "ab", "ac", "ad", "ae", "hourlya"]
    assert rows[0] == {
        "tenant": "t",
        "account": "a",
        "ad_id": "a",
        "clicks": 1,
        "platform_clicks": 0,
        "impressions": 0,
        "conversions": 0,
        "revenue_micros": 0,
        "pipeline_micros": 0,
        "spend_micros": 0,
    }


def test_nothing_crosses_accounts() -> None:
    click = event("click", "1", account="hourly", gclid="g")
    assert credited(click, conversion(gclid="g", click_id="c1")) == [NONE]
