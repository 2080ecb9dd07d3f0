"""Wire lines for engine tests: a line a call, with what a test does not care about filled in."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from engine.events import MS_PER_DAY

NOW_MS = 1_780_272_000_000  # a UTC midnight
DAY_MS = MS_PER_DAY
_NUMBERS = count()


def line(kind: str, **fields: Any) -> bytes:
    """One wire line; ids are made up where none is given, the time is `NOW_MS`."""
    head = {"tenant": "t", "account": "a", "source": "s", "occurred_at_ms": NOW_MS, "event_id": f"e{next(_NUMBERS)}"}
    return json.dumps({"kind": kind, **head, **fields}).encode()


def click(click_id: str, ad_id: str = "ad1", **fields: Any) -> bytes:
    """A click."""
    return line("click", click_id=click_id, ad_id=ad_id, **fields)


def conversion(conversion_id: str, value: int = 10, **fields: Any) -> bytes:
    """A conversion."""
    return line("conversion", conversion_id=conversion_id, type="order", value_micros=value, currency="USD", **fields)


def spend(ad_id: str, micros: int, start_ms: int = NOW_MS, **fields: Any) -> bytes:
    """A spend snapshot of an hour."""
    period = {"period_start_ms": start_ms, "period_end_ms": start_ms + 3_600_000}
    return line(
        "spend", ad_id=ad_id, spend_micros=micros, impressions=100, clicks=5, currency="USD", **period, **fields
    )


def catalog(ad_id: str, budget: int | None = 100_000_000, launched_ms: int = NOW_MS, **fields: Any) -> bytes:
    """A catalog event: the ad in an ad set of its own."""
    shown = {"ad_set_id": f"s-{ad_id}", "campaign_id": "c1", "budget_entity": f"ad_set:s-{ad_id}", "status": "active"}
    money = {} if budget is None else {"daily_budget_micros": budget}
    head = {"launched_at_ms": launched_ms, "currency": "USD"}
    return line("catalog", ad_id=ad_id, **(shown | money | head | fields))
