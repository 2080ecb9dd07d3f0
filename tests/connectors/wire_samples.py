"""One plain wire event of every kind, and what the decoder says of a line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from connectors.wire.decode import decode
from engine.events import Refusal

HEAD = {"event_id": "e1", "tenant": "acme", "account": "act_1", "source": "t", "occurred_at_ms": 1_700_000_000_000}
CLICK = {"kind": "click", **HEAD, "click_id": "c1", "ad_id": "ad1"}
CONVERSION = {
    "kind": "conversion", **HEAD, "conversion_id": "v1", "type": "purchase", "value_micros": 5, "currency": "USD",
}  # fmt: skip
STAGE = {"kind": "crm_stage", **HEAD, "deal_id": "d1", "stage": "lead", "currency": "USD"}
SPEND = {
    "kind": "spend", **HEAD, "ad_id": "ad1", "period_start_ms": 1_699_999_200_000, "period_end_ms": 1_700_002_800_000,
    "spend_micros": 7, "impressions": 8, "clicks": 9, "currency": "USD",
}  # fmt: skip
CATALOG = {
    "kind": "catalog", **HEAD, "ad_id": "ad1", "ad_set_id": "s1", "campaign_id": "k1", "budget_entity": "ad_set:s1",
    "status": "active", "launched_at_ms": 1_700_000_000_000, "currency": "USD",
}  # fmt: skip
OUTCOME = {"kind": "outcome", **HEAD, "command_id": "m1", "budget_entity": "ad:ad1", "result": "confirmed"}
CONTROL = {"kind": "control", **HEAD, "action": "stop", "actor": "ann", "reason": "drill"}
BASES = {e["kind"]: e for e in (CLICK, CONVERSION, STAGE, SPEND, CATALOG, OUTCOME, CONTROL)}


def row_of(line: bytes | dict[str, Any], *, trusted: bool = True) -> np.void:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    (row,) = decode([data], trusted=trusted).events
    return row


def reason(line: bytes | dict[str, Any], *, trusted: bool = True) -> str:
    return Refusal(row_of(line, trusted=trusted)["refusal"]).name.lower()


def with_raw(event: dict[str, Any], name: str, raw: str) -> bytes:
    return json.dumps({**event, name: "@@"}).replace('"@@"', raw).encode()


def decoded_line(line: bytes) -> tuple[Any, np.void]:
    decoded = decode([line], trusted=True)
    return decoded.data, decoded.events[0]
