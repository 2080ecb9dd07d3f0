"""The witness: feed it lines in log order, and it says what must have been accepted, refused and counted.

Rules of this file: it keeps every accepted event in plain lists and dicts and decides at arrival only what the rules
decide at arrival (refusals, duplicates); all credit is worked out from scratch from the set (`tests.reference.credit`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

from engine.config import EngineConfig
from tests.reference.credit import Credit, stage_of
from tests.reference.wire import (
    DAY_MS,
    FUTURE_MS,
    HOUR_MS,
    LATENESS_MS,
    Event,
    Refused,
    is_blank,
    read,
    without_end,
)

GRID_MS = {"any": 1, "hour": HOUR_MS, "day": DAY_MS}


class Book:
    """What is remembered of one account."""

    def __init__(self) -> None:
        self.newest_at: int | None = None  # greatest accepted event time
        self.events: dict[int, Event] = {}  # accepted, by number of the line
        self.seen: dict[tuple[str, str], Event] = {}  # (source, event_id) -> the last accepted
        self.speakers: dict[str, Event] = {}  # conversion_id -> its smallest event so far
        self.waiting: list[tuple[int, int]] = []  # reversals: (occurred_at_ms, number of the line)

    def floor_at(self, at: int) -> int:
        """The oldest time that still counts when an event of time ``at`` is looked at."""
        newest = at if self.newest_at is None else max(self.newest_at, at)
        return newest - LATENESS_MS

    def names_reversal(self, conversion_id: str) -> bool:
        """Whether this id is known, and a reversal."""
        return conversion_id in self.speakers and bool(self.speakers[conversion_id].get("reverses"))

    def names_conversion(self, conversion_id: str) -> bool:
        """Whether this id is known, and a conversion."""
        return conversion_id in self.speakers and not self.speakers[conversion_id].get("reverses")


class Reference:
    """The whole witness.

    Parameters
    ----------
    config : what accounts there are and how they count.
    clock_ms : int, the clock against which ``future`` is judged.
    trusted : bool, whether outcome and control events may be taken.
    """

    def __init__(self, config: EngineConfig, clock_ms: int, *, trusted: bool = False) -> None:
        self.config = config
        self.clock_ms = clock_ms
        self.trusted = trusted
        self.books: dict[tuple[str, str], Book] = {}
        self.counts: Counter[str] = Counter(
            lines=0, accepted=0, duplicates=0, conflicting_duplicates=0, blank=0, unknown_fields=0
        )
        self._dead: list[tuple[str, bytes]] = []

    def feed(self, line: bytes) -> None:
        """Take one line, with or without its end."""
        self.counts["lines"] += 1
        line = without_end(line)
        if is_blank(line):
            self.counts["blank"] += 1
            return
        try:
            event = read(line, trusted=self.trusted)
            self._check(event)
        except Refused as refusal:
            self._dead.append((str(refusal), line))
            return
        self._accept(event)

    def feed_file(self, data: bytes) -> None:
        """Take a whole file: a BOM at its start is skipped, a last line without LF counts."""
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            self.feed(line)

    def end(self) -> None:
        """The end of the feed: every wait is over."""
        for book in self.books.values():
            self._expire(book, None)

    def _check(self, event: Event) -> None:
        """The checks that need the configuration, the clock or memory, in their order."""
        config = self.config.of(*event.account)
        book = self.books.get(event.account, Book())
        if event.get("currency") not in (None, config.currency):
            raise Refused("bad_currency")
        if event.at > self.clock_ms + FUTURE_MS:
            raise Refused("future")
        if event.at < book.floor_at(event.at):
            raise Refused("too_late")
        if event.kind == "spend" and event.fields["period_start_ms"] % GRID_MS[config.spend_granularity]:
            raise Refused("misaligned_period")
        if not self.config.is_known(*event.account):
            raise Refused("unknown_tenant")
        if event.kind == "crm_stage" and stage_of(config, event.fields["stage"]) is None:
            raise Refused("unknown_stage")
        reverses = event.get("reverses")
        if reverses and (reverses == event.fields["conversion_id"] or book.names_reversal(reverses)):
            raise Refused("bad_reversal")

    def _accept(self, event: Event) -> None:
        """Take a valid event, unless it is a duplicate."""
        book = self.books.setdefault(event.account, Book())
        key = (event.fields["source"], event.fields["event_id"])
        earlier = book.seen.get(key)
        if earlier is not None and earlier.at >= book.floor_at(event.at):
            same = (earlier.kind, earlier.fields) == (event.kind, event.fields)
            self.counts["duplicates" if same else "conflicting_duplicates"] += 1
            return
        number = self.counts["lines"]
        book.seen[key] = event
        book.events[number] = event
        self.counts["accepted"] += 1
        self.counts["unknown_fields"] += event.unknown
        if event.kind == "conversion":
            name = event.fields["conversion_id"]
            book.speakers[name] = min(event, book.speakers.get(name, event), key=lambda one: one.order)
            if event.get("reverses"):
                heapq.heappush(book.waiting, (event.at, number))
        book.newest_at = event.at if book.newest_at is None else max(book.newest_at, event.at)
        self._expire(book, book.newest_at - LATENESS_MS)

    def _expire(self, book: Book, before_ms: int | None) -> None:
        """End the waits of reversals older than ``before_ms`` (None: all): matched, or orphans."""
        while book.waiting and (before_ms is None or book.waiting[0][0] < before_ms):
            _, number = heapq.heappop(book.waiting)
            event = book.events.get(number)
            speaks = event is not None and book.speakers[event.fields["conversion_id"]] is event
            if speaks and not book.names_conversion(event.fields["reverses"]):
                self._forget(book, number)

    def _forget(self, book: Book, number: int) -> None:
        """Refuse an orphan after all: its id is gone, and its event_id is free again.

        Other events of the same conversion_id were superseded by it when they came; they stay accepted, without effect.
        """
        event = book.events.pop(number)
        key = (event.fields["source"], event.fields["event_id"])
        if book.seen.get(key) is event:
            del book.seen[key]
        name = event.fields["conversion_id"]
        del book.speakers[name]
        for other in [n for n, e in book.events.items() if e.get("conversion_id") == name]:
            del book.events[other]
        self.counts["accepted"] -= 1
        reason = "bad_reversal" if book.names_reversal(event.fields["reverses"]) else "orphan_reversal"
        self._dead.append((reason, event.raw))

    def _credits(self) -> list[tuple[tuple[str, str], Credit]]:
        return [
            (account, Credit(self.config.of(*account), book.events.values()))
            for account, book in sorted(self.books.items())
        ]

    def ads(self) -> list[dict[str, Any]]:
        """The counting fields of one row per ad, sorted by tenant, account and ad."""
        return [
            {"tenant": tenant, "account": account, "ad_id": ad_id, **columns}
            for (tenant, account), credit in self._credits()
            for ad_id, columns in sorted(credit.totals().items())
        ]

    def attributions(self) -> list[dict[str, Any]]:
        """One row per conversion and per deal: whom it was credited to, and by which evidence."""
        return [
            {"tenant": tenant, "account": account, **row}
            for (tenant, account), credit in self._credits()
            for row in credit.attributions()
        ]

    def dead_letters(self) -> list[tuple[str, bytes]]:
        """Reason and line (without its end) of every refused line, in the order of refusal."""
        return list(self._dead)
