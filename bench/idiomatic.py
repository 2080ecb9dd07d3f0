"""The per-event Bytewax row of the benchmark: the flow as its documentation teaches it, one stream item per event.

Rules of this file: state lives in keyed `stateful` steps (seen ids per account, clicks per click id, other keys per
key, conversions and deals per id, contacts per contact, totals per ad); each step emits what changed, later words take
earlier ones back, so the answer is exact in any order. Its states return nothing to snapshot (recovery is off), and
the click id's own step answers for it, so that a click without other keys costs no second join: both favour this row.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.idiomatic_states import AdTotals, Click, Contact, Credited, Evidence, OtherKey, Seen
from bench.plain import OTHER_KEYS, Answer, collector, row_of

Message = tuple[Any, ...]
Keyed = tuple[str, Message]


class _Rows(StatelessSinkPartition[tuple[str, list[int]]]):
    def __init__(self, rows: dict[str, list[int]]) -> None:
        self._rows = rows

    def write_batch(self, items: list[tuple[str, list[int]]]) -> None:
        self._rows.update(items)


class _Sink(DynamicSink[tuple[str, list[int]]]):
    def __init__(self, rows: dict[str, list[int]]) -> None:
        self._rows = rows

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> _Rows:
        return _Rows(self._rows)


def account_of(event: dict[str, Any]) -> str:
    """The key of an event's account; every other key begins with it."""
    return event["tenant"] + "/" + event["account"]


def order_of(event: dict[str, Any]) -> tuple[int, str, str]:
    """What ties are broken by; within an account it also names the event."""
    return event["occurred_at_ms"], event["event_id"], event["source"]


def click_message(event: dict[str, Any]) -> Keyed:
    """A click, for the state of its click id."""
    account = account_of(event)
    keys = [f"{account}/{name}/{event[name]}" for name in OTHER_KEYS if name in event]
    return f"{account}/click/{event['click_id']}", ("click", order_of(event), f"{account}/{event['ad_id']}", keys)


def spend_message(event: dict[str, Any]) -> Keyed:
    """A snapshot, for the totals of its ad."""
    numbers = (event["clicks"], event["impressions"], event["spend_micros"])
    return f"{account_of(event)}/{event['ad_id']}", ("spend", event["period_start_ms"], order_of(event), numbers)


def name_of(event: dict[str, Any]) -> str:
    """The key of the conversion or deal that an event speaks of."""
    if event["kind"] == "crm_stage":
        return f"{account_of(event)}/deal/{event['deal_id']}"
    return f"{account_of(event)}/conversion/{event['conversion_id']}"


def questions(event: dict[str, Any]) -> list[Keyed]:
    """What a conversion or CRM event asks of the clicks: one question per key it carries."""
    account, whose, order = account_of(event), name_of(event), order_of(event)
    return [
        (f"{account}/{'click' if name == 'click_id' else name}/{event[name]}", ("ask", whose, order, name))
        for name in ("click_id", *OTHER_KEYS)
        if name in event
    ]


def own_ad_row(event: dict[str, Any]) -> list[Keyed]:
    """A row of zeros for the ad that the event itself names."""
    return [(f"{account_of(event)}/{event['ad_id']}", ("add", 0, 0, 0, 0))] if "ad_id" in event else []


def reversal_message(event: dict[str, Any]) -> Keyed:
    """A reversal, for the state of the conversion that it undoes."""
    message = ("undo", event["conversion_id"], order_of(event), event["value_micros"])
    return f"{account_of(event)}/conversion/{event['reverses']}", message


def flow(path: str, rows: dict[str, list[int]]) -> Dataflow:
    """The whole flow: from the file's lines to the newest row of each ad in ``rows``."""
    graph = Dataflow("idiomatic")
    lines = op.input("lines", graph, FileSource(Path(path), batch_size=1000))
    parsed = op.map("parse", lines, orjson.loads)
    fresh = op.stateful("dedup", op.key_on("by_account", parsed, account_of), Seen)
    clicks, rest = _split("is_click", op.key_rm("events", fresh), lambda event: event["kind"] == "click")
    spend, sales = _split("is_spend", rest, lambda event: event["kind"] == "spend")
    undone, sales = _split("is_reversal", sales, lambda event: "reverses" in event)
    asked = op.flat_map("questions", sales, questions)
    to_clicks, to_keys = _split("by_click_id", asked, lambda item: "/click/" in item[0])
    click_words = op.merge("click_words", op.map("click", clicks, click_message), to_clicks)
    told = op.key_rm("told", op.stateful("clicks", click_words, Click))
    click_counts, told = _split("is_count", told, lambda item: item[1][0] == "add")
    key_words, answers = _split("is_key", told, lambda item: item[1][0] == "click")
    more = op.key_rm("key_answers", op.stateful("keys", op.merge("key_words", key_words, to_keys), OtherKey))
    named = op.map("named", sales, lambda event: (name_of(event), ("event", order_of(event), event)))
    evidence = op.stateful("evidence", op.merge("evidence_words", named, answers, more), Evidence)
    to_contact, to_credit = _split("is_contact", op.key_rm("own", evidence), lambda item: "/contact/" in item[0])
    by_contact = op.key_rm("contact_words", op.stateful("contacts", to_contact, Contact))
    undo = op.map("undo", undone, reversal_message)
    credited = op.key_rm("credit", op.stateful("credited", op.merge("sums", to_credit, by_contact, undo), Credited))
    changes = op.merge(
        "changes",
        click_counts,
        op.map("spend", spend, spend_message),
        op.flat_map("named_ads", sales, own_ad_row),
        credited,
    )
    op.output("rows", op.stateful("ads", changes, AdTotals), _Sink(rows))
    return graph


def _split(name: str, up: Any, is_left: Any) -> tuple[Any, Any]:
    both = op.branch(name, up, is_left)
    return both.trues, both.falses


def run(path: str, *, collect: bool = True) -> tuple[Answer, float, int]:
    """Run the flow over a file of lines; return the answer, the CPU seconds it took and how many lines there were.

    Parameters
    ----------
    path : str, an NDJSON file of `bench.workload`.
    collect : bool, whether Python's cycle collector runs meanwhile, as it does by default; off, it is faster.
    """
    started = time.process_time()
    rows: dict[str, list[int]] = {}
    with collector(on=collect):
        run_main(flow(path, rows))
    answer: Answer = {}
    for name, row in rows.items():
        tenant, account, ad = name.split("/")
        answer[tenant, account, ad] = row_of(row)
    took = time.process_time() - started
    with open(path, "rb") as lines:
        events = sum(1 for _ in lines)
    return answer, took, events
