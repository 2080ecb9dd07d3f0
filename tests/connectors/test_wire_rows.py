"""What a row holds: positions, hashes, counts of unknown fields, and what is known of refused lines."""

from __future__ import annotations

import json

import numpy as np

from connectors.wire.decode import catalog_fields, decode, line_fields, line_of, text_of, who
from engine.events import CLICK_KEYS, EVENT_ID_SLOT, FIELD_NAMES, OBJECT_ID_SLOT, Field, Refusal
from engine.hashing import (
    SALT_AD,
    SALT_CLICK,
    SALT_CONTACT,
    SALT_CONVERSION,
    SALT_DEAL,
    SALT_EVENT,
    SALT_KEY,
    account_hash,
    hash_text,
    id_hash,
    mix,
)
from tests.connectors.wire_samples import (
    CATALOG,
    CLICK,
    CONTROL,
    CONVERSION,
    OUTCOME,
    STAGE,
    decoded_line,
    reason,
    row_of,
)


def test_line_ends_blank_lines_and_positions() -> None:
    line = json.dumps(CLICK).encode()
    payloads = [b"\n \t\r\n" + line + b"\r\n\n" + line, b"", line + b"\n", b"\n", b"x\n" + line + b"\r"]
    decoded = decode(payloads, trusted=False)
    assert decoded.events[["entry", "line"]].tolist() == [(0, 2), (0, 4), (2, 0), (4, 0), (4, 1)]
    assert [line_of(decoded.data, row) for row in decoded.events] == [line, line, line, b"x", line]
    assert decoded.events["refusal"].tolist() == [0, 0, 0, Refusal.NOT_JSON, 0]
    assert decode([], trusted=False).events.size == 0


def test_duplicate_names_and_nulls() -> None:
    body = json.dumps(CLICK).encode()[1:]
    assert text_of(*decoded_line(b'{"click_id":"x y",' + body), OBJECT_ID_SLOT) == "c1"
    assert reason(body.join([b"{", b""])[:-1] + b',"ad_id":null}') == "missing_field"
    row = row_of(b"{" + body[:-1] + b',"ip":"a","ip":null,"ua":null,"ua":"b"}')
    assert (row["refusal"], row["unknown_fields"]) == (0, 0)
    assert not int(row["mask"]) >> Field.IP & 1
    assert int(row["mask"]) >> Field.UA & 1


def test_unknown_fields_are_counted_and_ignored() -> None:
    extra = {"x": 1, "y": [None], "z": {"kind": "spend"}, "é": "ü", "stage": 5, "deal_id": "d"}
    row = row_of({**CLICK, **extra})
    assert (row["refusal"], row["unknown_fields"], row["stage"]) == (0, len(extra), 0)
    for name in row.dtype.names:
        if not name.startswith(("text", "line", "unknown")):
            assert np.all(row[name] == row_of(CLICK)[name])
    assert row_of(json.dumps(CLICK).encode()[:-1] + b',"x":1,"x":2,"x":null}')["unknown_fields"] == 3
    assert row_of({**CONTROL, "value": 5, "x": [1]})["unknown_fields"] == 0
    assert row_of({**CLICK, "deal_id": "d", "currency": None})["unknown_fields"] == 2


def test_hashes() -> None:
    account = account_hash("acme", "act_1")
    keys = {FIELD_NAMES[f]: f"k-{f}" for f in CLICK_KEYS}
    click = row_of({**CLICK, **keys})
    source, event_id = np.uint64(hash_text("t")), np.uint64(hash_text("e1"))
    assert click["account"] == account
    assert click["dedup"] == mix(mix(mix(source, np.uint64(account)), event_id), SALT_EVENT)
    assert click["object_id"] == click["keys"][0] == id_hash(account, SALT_CLICK, "c1")
    assert click["ad"] == id_hash(account, SALT_AD, "ad1")
    for i, field in enumerate(CLICK_KEYS):
        assert field == CLICK_KEYS[0] + i
        assert click["keys"][1 + i] == id_hash(account, int(SALT_KEY) + 1 + i, f"k-{field}")
    conversion = row_of({**CONVERSION, "click_id": "c1", "contact": "p", "reverses": "v0"})
    assert conversion["object_id"] == id_hash(account, SALT_CONVERSION, "v1")
    assert conversion["keys"][0] == click["object_id"]
    assert conversion["reverses"] == id_hash(account, SALT_CONVERSION, "v0")
    assert conversion["contact"] == id_hash(account, SALT_CONTACT, "p")
    stage = row_of({**STAGE, "value_micros": 6})
    assert (stage["object_id"], stage["stage"]) == (id_hash(account, SALT_DEAL, "d1"), hash_text("lead"))
    assert stage["value_micros"] == 6


def test_refused_rows_say_what_is_known() -> None:
    data, row = decoded_line(json.dumps({**CLICK, "ad_id": "a b", "account": "acc\u0041"}).encode())
    assert who(data, row) == ("acme", "accA")
    assert row["dedup"] != 0
    assert text_of(data, row, EVENT_ID_SLOT) == "e1"
    data, row = decoded_line(json.dumps({**CLICK, "account": "a b"}).encode())
    assert (who(data, row), int(row["account"])) == (("acme", None), 0)
    assert who(*decoded_line(b'{"tenant":"a","account":"b"}')) == ("a", "b")
    assert who(*decoded_line(b"[]")) == (None, None)


def test_fields_of_rare_lines_come_from_the_line() -> None:
    full = {
        **CATALOG,
        "status": "aktiv \u2713",
        "mode": "pipeline",
        "pool": "p1",
        "holdout": True,
        "x": 1,
        "embedding": [1.5],
    }
    assert catalog_fields(*decoded_line(json.dumps(full).encode())) == {
        "ad_set_id": "s1", "campaign_id": "k1", "budget_entity": "ad_set:s1", "status": "aktiv \u2713",
        "mode": "pipeline", "pool": "p1", "holdout": True,
    }  # fmt: skip
    fields = line_fields(*decoded_line(json.dumps({**CONTROL, "value": [1], "none": None}).encode()))
    assert fields == {**CONTROL, "value": [1]}
    assert line_fields(*decoded_line(json.dumps({**OUTCOME, "x": 1}).encode())) == OUTCOME
