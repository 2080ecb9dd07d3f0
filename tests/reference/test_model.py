"""The witness itself, checked by hand-computed examples: refusals, duplicates, waits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.config import AccountConfig, EngineConfig, StageValue
from tests.reference.model import Reference

DAY = 86_400_000
T = 1_788_220_800_000  # 2026-09-01 00:00 UTC
CLOCK = T + 100 * DAY

STAGES = {
    "lead": StageValue(value_micros=0),
    "booked": StageValue(value_micros=2_250_000_000, aliases=("appointment",)),
    "closed_won": StageValue(value_micros=15_000_000_000, uses_value=True),
}
CONFIG = EngineConfig(
    accounts={
        ("t", "a"): AccountConfig(stages=STAGES),
        ("t", "hourly"): AccountConfig(spend_granularity="hour"),
        ("t", "daily"): AccountConfig(spend_granularity="day", currency="EUR"),
    }
)

FIELDS: dict[str, dict[str, Any]] = {
    "click": {"click_id": "c1", "ad_id": "x"},
    "conversion": {"conversion_id": "v1", "type": "purchase", "value_micros": 50, "currency": "USD"},
    "crm_stage": {"deal_id": "d1", "stage": "lead", "currency": "USD"},
    "spend": {
        "ad_id": "x",
        "period_start_ms": T,
        "period_end_ms": T + 3_600_000,
        "spend_micros": 7,
        "impressions": 100,
        "clicks": 3,
        "currency": "USD",
    },
    "catalog": {
        "ad_id": "x",
        "ad_set_id": "s",
        "campaign_id": "k",
        "budget_entity": "ad_set:s",
        "status": "active",
        "launched_at_ms": T,
        "currency": "USD",
    },
    "outcome": {"command_id": "m", "budget_entity": "ad_set:s", "result": "confirmed"},
    "control": {"action": "stop", "actor": "ann", "reason": "test"},
}


def event(kind: str, event_id: str, at: int = T, **fields: Any) -> bytes:
    """One wire line; a field given as ``...`` is left out."""
    whole = {"kind": kind, "event_id": event_id, "tenant": "t", "account": "a", "source": "s", "occurred_at_ms": at}
    whole |= FIELDS.get(kind, {}) | fields
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def fed(*lines: bytes, config: EngineConfig = CONFIG, end: bool = True, trusted: bool = False) -> Reference:
    """A witness that has taken these lines."""
    reference = Reference(config, CLOCK, trusted=trusted)
    for line in lines:
        reference.feed(line)
    if end:
        reference.end()
    counts = reference.counts
    others = counts["accepted"] + counts["duplicates"] + counts["conflicting_duplicates"] + counts["blank"]
    assert counts["lines"] == others + len(reference.dead_letters())
    return reference


def reasons(*lines: bytes, **options: Any) -> list[str]:
    """Why lines were refused."""
    return [reason for reason, _ in fed(*lines, **options).dead_letters()]


CLICK = event("click", "1")
REFUSED = [
    ("too_long", CLICK[:-1] + b" " * (65_537 - len(CLICK)) + b"}"),
    ("too_long", b"\xff" * 65_537),
    ("not_utf8", CLICK[:-1] + b"\xff}"),
    ("not_utf8", b'{"kind": "nonsense", "x": "\xc3"}'),
    ("not_json", b"{"),
    ("not_json", b"[]"),
    ("not_json", b"7"),
    ("not_json", CLICK + b"x"),
    ("not_json", b"\xef\xbb\xbf" + CLICK),
    ("not_json", CLICK[:-1] + b', "x": NaN}'),
    ("not_json", CLICK[:-1] + b', "x": 01}'),
    ("not_json", CLICK[:-1] + b', "x": "\t"}'),
    ("not_json", CLICK[:-1] + b', "x": "\\ud800"}'),
    ("not_json", CLICK[:-1] + b', "x": ' + b"[" * 64 + b"]" * 64 + b"}"),
    ("not_json", CLICK[:-1] + b', "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    ("unknown_kind", event("banana", "1")),
    ("unknown_kind", event("Click", "1")),
    ("unknown_kind", CLICK.replace(b'"click",', b"7,", 1)),
    ("unknown_kind", event("outcome", "1")),
    ("unknown_kind", event("control", "1")),
    ("missing_field", CLICK.replace(b'"click",', b"null,", 1)),
    ("missing_field", b"{}"),
    ("missing_field", event("click", "1", ad_id=...)),
    ("missing_field", event("click", "1", ad_id=None)),
    ("missing_field", event("click", "1", ad_id=None, click_id=7)),
    ("bad_type", event("click", "1", ad_id=7)),
    ("bad_type", event("click", "1", occurred_at_ms=float(T))),
    ("bad_type", event("click", "1", occurred_at_ms=str(T))),
    ("bad_type", event("conversion", "1", value_micros=True)),
    ("bad_type", event("conversion", "1", value_micros=5.0)),
    ("bad_type", event("click", "1", consent=0)),
    ("bad_type", event("click", "1", consent="x", ad_id="")),
    ("bad_type", event("catalog", "1", embedding=[1, "2"])),
    ("bad_id", event("click", "1", ad_id="")),
    ("bad_id", event("click", "1", ad_id="a b")),
    ("bad_id", event("click", "1", ad_id="a\n")),
    ("bad_id", event("click", "1", ad_id="\u00e4")),
    ("bad_id", event("click", "1", ad_id="a" * 129)),
    ("bad_id", event("click", "1", gclid="")),
    ("bad_id", event("conversion", "1", reverses="a b")),
    ("bad_id", event("conversion", "1", contact="a b")),
    ("bad_id", event("catalog", "1", budget_entity="ad_set:")[:-1] + b', "budget_entity": "ad set"}'),
    ("bad_id", event("click", "1", gclid="a b")),
    ("bad_id", event("click", "1", gclid="a" * 513)),
    ("bad_id", event("conversion", "1", click_id="%", value_micros=-1)),
    ("out_of_range", event("conversion", "1", value_micros=-1)),
    ("out_of_range", event("conversion", "1", value_micros=10**15 + 1)),
    ("out_of_range", event("conversion", "1", value_micros=2**64)),
    ("out_of_range", event("conversion", "1", value_micros=7).replace(b": 7,", b": 1" + b"0" * 5000 + b",")),
    ("out_of_range", event("spend", "1", clicks=10**12 + 1)),
    ("out_of_range", event("spend", "1", period_end_ms=T)),
    ("out_of_range", event("click", "1", occurred_at_ms=946_684_799_999)),
    ("out_of_range", event("click", "1", occurred_at_ms=4_102_444_800_001)),
    ("out_of_range", event("conversion", "1", value_micros=-1, currency="EUR")),
    ("bad_currency", event("conversion", "1", currency="EUR")),
    ("bad_currency", event("spend", "1", account="daily")),
    ("bad_currency", event("conversion", "1", at=CLOCK + 10 * DAY, currency="usd")),
    ("future", event("click", "1", at=CLOCK + 300_001)),
    ("misaligned_period", event("spend", "1", account="hourly", period_start_ms=T + 1)),
    ("misaligned_period", event("spend", "1", account="daily", currency="EUR", period_start_ms=T - 3_600_000)),
    ("unknown_stage", event("crm_stage", "1", stage="closedwon")),
    ("unknown_stage", event("crm_stage", "1", account="other")),
    ("bad_reversal", event("conversion", "1", reverses="v1")),
]


@pytest.mark.parametrize(("reason", "line"), REFUSED)
def test_a_line_is_refused_with_the_first_reason(reason: str, line: bytes) -> None:
    reference = fed(line + b"\r\n")
    assert reference.dead_letters() == [(reason, line)]
    assert reference.ads() == []


ACCEPTED = [
    CLICK,
    CLICK[:-1] + b" " * (65_536 - len(CLICK)) + b"}",
    CLICK[:-1] + b', "x": ' + b"[" * 63 + b"]" * 63 + b"}",
    CLICK[:-1] + b', "x": "' + b"[" * 100 + b'\\"{{"}',
    CLICK[:-1] + b', "gclid": null, "ad_id": 7, "ad_id": "y"}',
    CLICK[:-1] + b', "kind": "click"}',
    event("click", "1", ad_id="aZ9_.:-" + "a" * 121, gclid="!~" + "a" * 510),
    event("click", "1", at=CLOCK + 300_000),
    event("click", "1", at=946_684_800_000),
    event("conversion", "1", value_micros=10**15),
    event("conversion", "1", value_micros=0),
    event("conversion", "1", value_micros=7).replace(b": 7,", b": -0,"),
    event("spend", "1", clicks=10**12, period_end_ms=T + 1),
    event("spend", "1", account="hourly", period_start_ms=T - 3_600_000),
    event("spend", "1", account="daily", currency="EUR", period_end_ms=T + 1),
    event("crm_stage", "1", stage="appointment"),
    event("catalog", "1", embedding=[1, 0.5], holdout=False, daily_budget_micros=0),
]


@pytest.mark.parametrize("line", ACCEPTED)
def test_a_line_just_inside_every_limit_is_accepted(line: bytes) -> None:
    assert fed(line).counts["accepted"] == 1


def test_trusted_input_may_carry_outcomes_and_controls() -> None:
    assert fed(event("outcome", "1"), event("control", "2"), trusted=True).counts["accepted"] == 2


def test_unlisted_accounts_are_refused_only_when_strict() -> None:
    strict = EngineConfig(accounts=CONFIG.accounts, strict_accounts=True)
    assert reasons(event("click", "1", account="other"), config=strict) == ["unknown_tenant"]
    late = event("spend", "1", account="other", currency="EUR")
    assert reasons(late, config=strict) == ["bad_currency"]
    assert reasons(event("click", "1", account="other")) == []


def test_blank_lines_are_counted_and_skipped_and_a_file_may_begin_with_a_bom() -> None:
    reference = Reference(CONFIG, CLOCK)
    reference.feed_file(b"\xef\xbb\xbf" + CLICK + b"\r\n\n \t\x0b\r\n" + event("click", "2"))
    assert (reference.counts["lines"], reference.counts["blank"], reference.counts["accepted"]) == (4, 2, 2)


def test_unknown_fields_are_counted_unless_null() -> None:
    line = event("click", "1", currency="USD", contact="p", banana={"a": 1}, nothing=None)
    assert fed(line).counts["unknown_fields"] == 3


def test_seven_days_late_is_taken_and_a_millisecond_more_is_too_late() -> None:
    newest = event("click", "1", at=T + 7 * DAY)
    assert reasons(newest, event("click", "2", at=T)) == []
    assert reasons(newest, event("click", "2", at=T - 1)) == ["too_late"]
    assert reasons(newest, event("click", "2", at=T - 1, account="hourly")) == []
    assert reasons(newest, event("click", "2", at=T), event("click", "3", at=T - 1)) == ["too_late"]


def test_a_duplicate_does_not_move_the_watermark() -> None:
    first = event("click", "1", at=T)
    moved = event("click", "1", at=T + 6 * DAY)
    reference = fed(first, moved, event("click", "2", at=T - 7 * DAY))
    assert reference.counts["conflicting_duplicates"] == 1
    assert reference.counts["accepted"] == 2


def test_duplicates_are_told_by_source_and_event_id_across_kinds() -> None:
    reordered = json.dumps(dict(reversed(json.loads(CLICK).items()))).encode()
    reference = fed(CLICK, reordered, event("conversion", "1"), event("click", "1", source="s2", click_id="c2"))
    assert reference.counts["duplicates"] == 1
    assert reference.counts["conflicting_duplicates"] == 1
    assert reference.ads()[0]["clicks"] == 2


def test_an_event_id_is_free_again_after_seven_days() -> None:
    first = event("click", "1", at=T, click_id="c1")
    assert fed(first, event("click", "1", at=T + 7 * DAY, click_id="c2")).counts["conflicting_duplicates"] == 1
    assert fed(first, event("click", "1", at=T + 7 * DAY + 1, click_id="c2")).counts["accepted"] == 2


def test_a_refused_line_never_uses_up_its_event_id() -> None:
    reference = fed(event("click", "1", ad_id="%"), CLICK)
    assert reference.counts["accepted"] == 1


def test_a_reversal_waits_for_its_conversion_until_the_end() -> None:
    reversal = event("conversion", "2", conversion_id="r1", reverses="v1")
    assert reasons(reversal, event("conversion", "1")) == []
    assert reasons(reversal, event("conversion", "1", account="hourly")) == ["orphan_reversal"]
    again = fed(reversal, end=False)
    assert again.dead_letters() == []
    again.end()
    again.feed(reversal)
    assert again.counts["accepted"] == 1


def test_a_reversal_is_an_orphan_once_the_watermark_is_more_than_seven_days_ahead() -> None:
    reversal = event("conversion", "2", conversion_id="r1", reverses="v1")
    conversion = event("conversion", "1", at=T + DAY)
    assert reasons(reversal, event("click", "3", at=T + 7 * DAY), conversion) == []
    assert reasons(reversal, event("click", "3", at=T + 7 * DAY + 1), conversion) == ["orphan_reversal"]


def test_a_reversal_of_a_reversal_is_bad() -> None:
    lines = (event("conversion", "1"), event("conversion", "2", conversion_id="r1", reverses="v1"))
    assert reasons(*lines, event("conversion", "3", conversion_id="r2", reverses="r1")) == ["bad_reversal"]
