"""The exact rules of the wire format, on both sides of every bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.wire.fields import RULES, build_table
from engine.events import FIELD_NAMES, LINE_MAX_BYTES, Field, Kind, Refusal
from tests.connectors.wire_samples import (
    BASES,
    CATALOG,
    CLICK,
    CONTROL,
    CONVERSION,
    OUTCOME,
    SPEND,
    reason,
    row_of,
    with_raw,
)


@pytest.mark.parametrize("kind", BASES)
def test_a_plain_event_of_every_kind_is_accepted(kind: str) -> None:
    row = row_of(BASES[kind])
    assert row["refusal"] == Refusal.ACCEPTED
    assert Kind(row["kind"]).name.lower() == kind
    assert int(row["mask"]) == sum(1 << FIELD_NAMES.index(name) for name in BASES[kind])
    assert row["unknown_fields"] == 0


@pytest.mark.parametrize("kind", BASES)
def test_every_required_field_is_required(kind: str) -> None:
    for name in BASES[kind]:
        assert reason({k: v for k, v in BASES[kind].items() if k != name}) == "missing_field"
        assert reason({**BASES[kind], name: None}) == "missing_field"


INTS = [(e, n) for e in BASES.values() for n in e if n.endswith(("_ms", "_micros")) or n in ("impressions", "clicks")]


@pytest.mark.parametrize(("event", "name"), INTS, ids=lambda v: v if isinstance(v, str) else v["kind"])
def test_ints_are_json_ints_in_range(event: dict[str, Any], name: str) -> None:
    for raw in ("5.0", "5e3", "5E3", '"5"', "true", "false", "[]", "{}", "1700000000000.0"):
        assert reason(with_raw(event, name, raw)) == "bad_type", raw
    rule = RULES[Field[name.upper()]]
    for raw in (
        rule.low - 1, rule.high + 1, -1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**18, 10**17, int("9" * 400),
    ):  # fmt: skip
        assert reason(with_raw(event, name, str(raw))) == "out_of_range", raw
    for raw in ("007", "+5", "-", "0x5", ".5", "5.", "NaN", "Infinity"):
        assert reason(with_raw(event, name, raw)) == "not_json", raw
    if not name.startswith("period"):
        for value in (rule.low, rule.high):
            assert row_of({**event, name: value})[name] == value
    if rule.low == 0:
        row = row_of(with_raw(event, name, "-0"))
        assert (row["refusal"], row[name]) == (0, 0)


def test_a_period_must_not_be_empty() -> None:
    start = SPEND["period_start_ms"]
    for end, expected in ((start - 1, "out_of_range"), (start, "out_of_range"), (start + 1, "accepted")):
        assert reason({**SPEND, "period_end_ms": end}) == expected
    assert reason({**SPEND, "period_start_ms": 946_684_800_000, "period_end_ms": 4_102_444_800_000}) == "accepted"


@pytest.mark.parametrize("name", [f.name.lower() for f in Field if RULES[f].form.name == "ID"])
def test_ids(name: str) -> None:
    event = next(e for e in BASES.values() if FIELD_NAMES.index(name) in _known(e))
    for good in ("x", "A-Z_a.z:0-9", "x" * 128, ":", "-", "_", "."):
        assert reason({**event, name: good}) == "accepted", good
    for bad in (
        "",
        "x" * 129,
        "a b",
        "a/b",
        "é",
        "a@b",
        "a[b",
        "a`b",
        "a{b",
        "a\n",
        " a",
        "%41",
        "a,b",
        '"',
        "\\",
        "\x7f",
    ):
        assert reason({**event, name: bad}) == "bad_id", bad
    for bad in (1, 1.5, True, [], {}):
        assert reason({**event, name: bad}) == "bad_type", bad
    assert reason(with_raw(event, name, r'"\u0041b"')) == "accepted"


def _known(event: dict[str, Any]) -> list[int]:
    mask = int(build_table()[256 + Kind[event["kind"].upper()], 1])
    return [f for f in range(len(Field)) if mask >> f & 1]


@pytest.mark.parametrize("name", [f.name.lower() for f in Field if RULES[f].form.name == "KEY"])
def test_click_keys_and_pseudonyms(name: str) -> None:
    event = next(e for e in BASES.values() if FIELD_NAMES.index(name) in _known(e))
    for good in ("!", "~", "x" * 512, "a%20b", 'a"b', "a\\b", "{}", "0.1+2/3=4"):
        assert reason({**event, name: good}) == "accepted", good
    for bad in ("", "x" * 513, "a b", " ", "é", "\x7f", "a\tb", "a\u0000"):
        assert reason({**event, name: bad}) == "bad_id", bad
    assert reason({**event, name: 5}) == "bad_type"


def test_texts_entities_modes_and_embeddings() -> None:
    for good in ("", "x" * 512, "é" * 512, "a\nb", "a%b", "😀" * 512):
        assert reason({**CONVERSION, "type": good}) == "accepted"
    assert reason({**CONVERSION, "type": "é" * 5_000}) == "accepted"
    assert reason({**CONVERSION, "type": 5}) == "bad_type"
    for good in ("ad_set:x", "campaign:1", "budget:" + "x" * 128, "ad:a:b"):
        assert reason({**CATALOG, "budget_entity": good}) == "accepted"
    for bad in ("", "x", "adset:x", "ad:", "ad:" + "x" * 129, "ad: x", "ad:x\n", "AD:x"):
        assert reason({**CATALOG, "budget_entity": bad}) == "bad_id"
    for good in ("pipeline", "Direct", ""):
        assert reason({**CATALOG, "mode": good, "pool": good}) == "accepted"
    for value, expected in (
        ([], "accepted"), ([1, -2.5e3], "accepted"), ([0] * 4096, "accepted"), ([0] * 4097, "out_of_range"),
        ([1, "2"], "bad_type"), ([None], "bad_type"), ([[1]], "bad_type"), ("1", "bad_type"), (1, "bad_type"),
    ):  # fmt: skip
        assert reason({**CATALOG, "embedding": value}) == expected
    assert reason(with_raw(CATALOG, "embedding", "[1e999]")) == "out_of_range"
    for value in (True, False):
        row = row_of({**CATALOG, "holdout": value})
        assert (row["refusal"], int(row["mask"]) >> Field.HOLDOUT & 1) == (0, 1)
    assert reason({**CATALOG, "holdout": 1}) == "bad_type"


def test_currency_is_judged_by_the_engine() -> None:
    assert row_of(CONVERSION)["currency"] == int.from_bytes(b"USD", "little")
    for text in ("", "usd", "US", "EURO", "U$D", "é", "x" * 600):
        row = row_of({**CONVERSION, "currency": text})
        assert (row["refusal"], row["currency"]) == (0, 0)
    assert reason({**CONVERSION, "currency": 5}) == "bad_type"


def test_kinds() -> None:
    assert reason({k: v for k, v in CLICK.items() if k != "kind"}) == "missing_field"
    for kind in ("clicks", "Click", "", "click ", "conversions", "\u0000"):
        assert reason({**CLICK, "kind": kind}) == "unknown_kind"
    for kind in (1, True, [], {}):
        assert reason({**CLICK, "kind": kind}) == "unknown_kind"
    for event in (OUTCOME, CONTROL):
        assert reason(event, trusted=False) == "unknown_kind"
        assert row_of(event, trusted=False)["kind"] == Kind[event["kind"].upper()]
    assert reason(b'{"kind":"nope","occurred_at_ms":"x"}') == "unknown_kind"


def test_checks_run_in_order() -> None:
    assert reason({**CLICK, "kind": "x", "tenant": 5}) == "unknown_kind"
    assert reason({**SPEND, "tenant": 5, "clicks": None}) == "missing_field"
    assert reason({**SPEND, "tenant": 5, "ad_id": "a b", "clicks": -1}) == "bad_type"
    assert reason({**SPEND, "ad_id": "a b", "clicks": -1}) == "bad_id"
    assert reason({**SPEND, "clicks": -1}) == "out_of_range"
    assert reason(b"\xff" * (LINE_MAX_BYTES + 1)) == "too_long"
    assert reason(b'{"a":"\xff"') == "not_utf8"


def test_lines_up_to_64_kib() -> None:
    room = LINE_MAX_BYTES - len(json.dumps({**CLICK, "pad": ""}))
    for extra, expected in ((0, "accepted"), (1, "too_long")):
        line = json.dumps({**CLICK, "pad": "x" * (room + extra)}).encode()
        assert len(line) == LINE_MAX_BYTES + extra
        assert reason(line) == reason(line + b"\n") == reason(line + b"\r\n") == expected
        slow = json.dumps({**CLICK, "pad": "\\" * 2 + "x" * (room + extra - 4)}).encode()
        assert reason(slow) == expected


def test_not_json() -> None:
    def deep(levels: int) -> bytes:
        return b"[" * levels + b"]" * levels

    head = json.dumps(CLICK).encode()[:-1]
    for tail in (
        b'"\\x"',
        b'"\\ud800"',
        b'"\t"',
        b'"\x00"',
        b"nan",
        b"NaN",
        b"-Infinity",
        b"1.",
        b"[1,]",
        b"{,}",
        b"tru",
    ):
        assert reason(head + b',"x":' + tail + b"}") == "not_json", tail
    assert reason(head + b',"x":' + deep(63) + b"}") == "accepted"
    assert reason(head + b',"x":' + deep(64) + b"}") == "not_json"
    assert reason(head + b',"x":' + deep(20_000) + b"}") == "not_json"
    assert reason(head + b',"x":"' + b"[" * 500 + b'"}') == "accepted"
    for line in (
        b"[]",
        b"1",
        b"x",
        b'"x"',
        b"null",
        head,
        head + b",}",
        head + b"}}",
        head + b"} x",
        b"\xef\xbb\xbf{}",
    ):
        assert reason(line) == "not_json", line
    assert reason(head + b',"\xc3\xa9":1e999}') == "accepted"
