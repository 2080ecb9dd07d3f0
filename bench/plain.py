"""The plain-Python row of the benchmark: one pass, dicts, orjson, no framework, no durability.

Rules of this file: it is the fastest straightforward program, not a model; it takes the workload's promise that no
line is refused. It counts clicks and spend while it reads and credits conversions and deals at the end.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from bench.workload import SERVICE
from engine.events import MS_PER_DAY

LOOKBACK_MS: Final = 7 * MS_PER_DAY
OTHER_KEYS: Final = ("fbclid", "gclid", "gbraid", "wbraid", "ttclid", "msclkid")
STAGES: Final = {name: stage for key, stage in SERVICE.items() for name in (key, *stage.aliases)}

Order = tuple[int, str, str]
Click = tuple[int, str, str, str]  # occurred_at_ms, event_id, source, ad_id: compares as an order
Row = tuple[int, int, int, int, int, int, int]
Answer = dict[tuple[str, str, str], Row]
"""(tenant, account, ad) -> clicks, platform clicks, impressions, conversions, revenue, pipeline, spend."""


class Book:
    """One account."""

    __slots__ = ("clicks", "contacts", "conversions", "deals", "keys", "named", "reversals", "seen", "snapshots")

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.clicks: dict[str, Click] = {}
        self.keys: dict[str, set[str]] = defaultdict(set)  # name and value of another key -> click ids
        self.snapshots: dict[tuple[str, int], tuple[int, str, str, int, int, int]] = {}
        self.conversions: dict[str, tuple[Order, dict[str, Any]]] = {}
        self.reversals: dict[str, tuple[Order, dict[str, Any]]] = {}
        self.deals: dict[str, list[tuple[Order, dict[str, Any]]]] = defaultdict(list)
        self.contacts: dict[str, tuple[Order, str]] = {}  # contact -> its earliest event with evidence, and the ad
        self.named: set[str] = set()  # ads named otherwise than by a click's or snapshot's last word


def run(path: str, *, collect: bool = True) -> tuple[Answer, float, int]:
    """Read a file of lines; return the answer, the CPU seconds it took and how many lines there were.

    Parameters
    ----------
    path : str, an NDJSON file of `bench.workload`.
    collect : bool, whether Python's cycle collector runs meanwhile, as it does by default; off, it is faster.
    """
    started = time.process_time()
    with collector(on=collect):
        books, events = read(path)
        answer: Answer = {}
        for name, book in books.items():
            tenant, _, account = name.partition("/")
            for ad, row in totals(book).items():
                answer[tenant, account, ad] = row_of(row)
    return answer, time.process_time() - started, events


@contextmanager
def collector(*, on: bool) -> Iterator[None]:
    """Python's cycle collector switched on or off for a while."""
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if was_on else gc.disable)()


def row_of(numbers: list[int]) -> Row:
    """Seven numbers as a row of the answer."""
    clicks, platform_clicks, impressions, conversions, revenue, pipeline, spend = numbers
    return clicks, platform_clicks, impressions, conversions, revenue, pipeline, spend


def read(path: str) -> tuple[dict[str, Book], int]:
    """The pass over the lines: everything kept per account, and how many lines there were."""
    books: dict[str, Book] = defaultdict(Book)
    events = 0
    with open(path, "rb") as lines:
        for line in lines:
            events += 1
            event = orjson.loads(line)
            book = books[event["tenant"] + "/" + event["account"]]
            key = event["source"] + "/" + event["event_id"]
            if key in book.seen:
                continue
            book.seen.add(key)
            kind = event["kind"]
            if kind == "click":
                take_click(book, event)
            elif kind == "spend":
                take_spend(book, event)
            elif kind == "conversion":
                take_conversion(book, event)
            elif kind == "crm_stage":
                book.deals[event["deal_id"]].append((order_of(event), event))
    return books, events


def order_of(event: dict[str, Any]) -> Order:
    """What ties are broken by."""
    return event["occurred_at_ms"], event["event_id"], event["source"]


def take_click(book: Book, event: dict[str, Any]) -> None:
    """Remember a click; of several events on it the smallest speaks, their keys unite."""
    click_id = event["click_id"]
    click = (event["occurred_at_ms"], event["event_id"], event["source"], event["ad_id"])
    known = book.clicks.get(click_id)
    if known is None:
        book.clicks[click_id] = click
    else:
        book.named.add(event["ad_id"])
        book.named.add(known[3])
        if click < known:
            book.clicks[click_id] = click
    for name in OTHER_KEYS:
        if name in event:
            book.keys[name + event[name]].add(click_id)


def take_spend(book: Book, event: dict[str, Any]) -> None:
    """Keep the newest snapshot of an ad's period."""
    period = (event["ad_id"], event["period_start_ms"])
    snapshot = (*order_of(event), event["spend_micros"], event["impressions"], event["clicks"])
    known = book.snapshots.get(period)
    if known is None or snapshot > known:
        book.snapshots[period] = snapshot


def take_conversion(book: Book, event: dict[str, Any]) -> None:
    """Keep the smallest event of a conversion or reversal."""
    kept = book.reversals if "reverses" in event else book.conversions
    order = order_of(event)
    known = kept.get(event["conversion_id"])
    if known is None or order < known[0]:
        kept[event["conversion_id"]] = (order, event)
    if "ad_id" in event and "reverses" not in event:
        book.named.add(event["ad_id"])


def own_ad(book: Book, event: dict[str, Any]) -> str | None:
    """The ad of the newest click that shares a key and is young enough, else the event's own."""
    at = event["occurred_at_ms"]
    best: Click | None = None
    found = {event["click_id"]} if "click_id" in event else set()
    for name in OTHER_KEYS:
        if name in event:
            found |= book.keys.get(name + event[name], set())
    for click_id in found:
        click = book.clicks.get(click_id)
        if click and 0 <= at - click[0] <= LOOKBACK_MS and (best is None or click > best):
            best = click
    return best[3] if best else event.get("ad_id")


def totals(book: Book) -> dict[str, list[int]]:
    """The seven numbers of every ad of an account."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0] * 7)
    for click in book.clicks.values():
        rows[click[3]][0] += 1
    for (ad, _), (_, _, _, spend, impressions, clicks) in book.snapshots.items():
        row = rows[ad]
        row[1] += clicks
        row[2] += impressions
        row[6] += spend
    for ad in book.named:
        rows.setdefault(ad, [0] * 7)
    credit(book, rows)
    return rows


def credit(book: Book, rows: dict[str, list[int]]) -> None:
    """Add conversions and deals to their ads."""
    speaking = list(book.conversions.values())
    for deal in book.deals.values():
        deal.sort(key=lambda item: item[0])
        speaking += deal
    own = {order: own_ad(book, event) for order, event in speaking}
    for order, event in speaking:
        ad = own[order]
        if ad:
            if "ad_id" in event:
                rows.setdefault(event["ad_id"], [0] * 7)
            contact = event.get("contact")
            if contact and (contact not in book.contacts or order < book.contacts[contact][0]):
                book.contacts[contact] = (order, ad)
    undone: dict[str, int] = defaultdict(int)
    for _, event in book.reversals.values():
        undone[event["reverses"]] += event["value_micros"]
    for conversion_id, (order, event) in book.conversions.items():
        ad = own[order] or contact_ad(book, event)
        left = event["value_micros"] - undone.get(conversion_id, 0)
        if ad and (left > 0 or conversion_id not in undone):
            rows[ad][3] += 1
            rows[ad][4] += left
    for deal in book.deals.values():
        ad = next(filter(None, (own[order] or contact_ad(book, event) for order, event in deal)), None)
        if ad:
            stage, value = STAGES[deal[-1][1]["stage"]], deal[-1][1].get("value_micros")
            rows[ad][5] += value if stage.uses_value and value is not None else stage.value_micros


def contact_ad(book: Book, event: dict[str, Any]) -> str | None:
    """The ad of the contact's earliest evidence, unless that is later than the event."""
    known = book.contacts.get(event.get("contact", ""))
    return known[1] if known and known[0][0] <= event["occurred_at_ms"] else None
