"""The keyed states of the per-event Bytewax flow: what each step remembers under one key, and what it emits.

Rules of this file: a state emits ``(address, message)`` whenever what it said before is no longer true, so order does
not matter; an order is (``occurred_at_ms``, ``event_id``, ``source``) and names an event within its account.
"""

from __future__ import annotations

from typing import Any

from bytewax.operators import StatefulLogic

from bench.plain import LOOKBACK_MS, STAGES

Order = tuple[int, str, str]
Found = tuple[Order, str]  # a click's order and its ad
Asked = tuple[str, Order, str]  # whose question, of which event, under which key's name
Emitted = list[tuple[str, tuple[Any, ...]]]


class _State(StatefulLogic[Any, Any, None]):
    """Kept for ever; nothing to recover."""

    __slots__ = ()

    def snapshot(self) -> None:
        """Nothing: recovery is off."""


class Seen(_State):
    """The event ids of an account; emits each event once."""

    __slots__ = ("ids",)

    def __init__(self, _resume: None = None) -> None:
        self.ids: set[str] = set()

    def on_item(self, value: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Take an event."""
        key = value["source"] + "/" + value["event_id"]
        if key in self.ids:
            return [], False
        self.ids.add(key)
        return [value], False


def _best(order: Order, clicks: Any) -> Found | None:
    """The newest of these clicks that the event may be credited to."""
    return max((click for click in clicks if 0 <= order[0] - click[0][0] <= LOOKBACK_MS), default=None)


class Click(_State):
    """One click id: who speaks for it, its other keys, and the events that ask for it."""

    __slots__ = ("asked", "found", "keys")

    def __init__(self, _resume: None = None) -> None:
        self.found: Found | None = None
        self.keys: list[str] = []
        self.asked: list[Asked] = []

    def on_item(self, value: tuple[Any, ...]) -> tuple[Emitted, bool]:
        """Take an event on this click, or a question about it."""
        if value[0] == "ask":
            self.asked.append(value[1:])
            return self._answers(self.asked[-1:]), False
        _, order, ad, keys = value
        old, known = self.found, self.keys
        out: Emitted = []
        if old is None or order < old[0]:
            self.found = (order, ad)
            if old is not None:
                out.append((old[1], ("add", -1, 0, 0, 0)))
            out.append((ad, ("add", 1, 0, 0, 0)))
            out += [(key, ("click", old, self.found)) for key in known]
            out += self._answers(self.asked)
        else:
            out.append((ad, ("add", 0, 0, 0, 0)))
        new = [key for key in keys if key not in known]
        self.keys = known + new
        return out + [(key, ("click", None, self.found)) for key in new], False

    def _answers(self, asked: list[Asked]) -> Emitted:
        clicks = [self.found] if self.found else []
        return [(name, ("found", order, key, _best(order, clicks))) for name, order, key in asked]


class OtherKey(_State):
    """One value of another click key: the clicks that carry it, and the events that ask for it."""

    __slots__ = ("asked", "clicks")

    def __init__(self, _resume: None = None) -> None:
        self.clicks: set[Found] = set()
        self.asked: list[Asked] = []

    def on_item(self, value: tuple[Any, ...]) -> tuple[Emitted, bool]:
        """Take a click that carries this key, or a question about it."""
        asked = self.asked
        if value[0] == "ask":
            asked.append(value[1:])
            asked = asked[-1:]
        else:
            self.clicks.discard(value[1])
            self.clicks.add(value[2])
        return [(name, ("found", order, key, _best(order, self.clicks))) for name, order, key in asked], False


class Evidence(_State):
    """One conversion or deal: the ad that each of its events gives by itself (of a conversion, only the smallest)."""

    __slots__ = ("events", "found")

    def __init__(self, _resume: None = None) -> None:
        self.events: dict[Order, dict[str, Any]] = {}
        self.found: dict[Order, dict[str, Found | None]] = {}

    def on_item(self, value: tuple[Any, ...]) -> tuple[Emitted, bool]:
        """Take an event of this conversion or deal, or an answer to one of its questions."""
        if value[0] == "found":
            _, order, key, found = value
            self.found.setdefault(order, {})[key] = found
            return (self._said(order) if order in self.events else []), False
        _, order, event = value
        out: Emitted = []
        if event["kind"] == "conversion" and self.events:
            (spoke,) = self.events
            if order > spoke:
                return [], False
            out = self._said(spoke, gone=True)
            del self.events[spoke]
        self.events[order] = event
        return out + self._said(order), False

    def _said(self, order: Order, *, gone: bool = False) -> Emitted:
        event = self.events[order]
        account = event["tenant"] + "/" + event["account"]
        found = max(filter(None, self.found.get(order, {}).values()), default=None)
        ad = found[1] if found else f"{account}/{event['ad_id']}" if "ad_id" in event else None
        if event["kind"] == "conversion":
            name, value = f"{account}/conversion/{event['conversion_id']}", event["value_micros"]
        else:
            stage = STAGES[event["stage"]]
            name = f"{account}/deal/{event['deal_id']}"
            value = event.get("value_micros", stage.value_micros) if stage.uses_value else stage.value_micros
        out: Emitted = [(name, ("own", order, ad, value, event["kind"], gone))]
        if "contact" in event:
            out.append((f"{account}/contact/{event['contact']}", ("evidence", name, order, ad, gone)))
        return out


class Contact(_State):
    """One contact: the ad of its earliest event with evidence, told to all its events that are not earlier."""

    __slots__ = ("ads", "asked", "said")

    def __init__(self, _resume: None = None) -> None:
        self.asked: dict[Order, str] = {}
        self.ads: dict[Order, str] = {}
        self.said: dict[Order, str | None] = {}

    def on_item(self, value: tuple[Any, ...]) -> tuple[Emitted, bool]:
        """Take what one of its events now says."""
        _, name, order, ad, gone = value
        self.ads.pop(order, None)
        if gone:
            self.asked.pop(order, None)
        else:
            self.asked[order] = name
            if ad is not None:
                self.ads[order] = ad
        first = min(self.ads, default=None)
        out: Emitted = []
        for asker, whose in self.asked.items():
            theirs = self.ads[first] if first is not None and first[0] <= asker[0] else None
            if self.said.get(asker) != theirs:
                self.said[asker] = theirs
                out.append((whose, ("contact", asker, theirs)))
        return out, False


class Credited(_State):
    """One conversion or deal: what it adds to which ad."""

    __slots__ = ("contacts", "given", "is_deal", "owns", "undone")

    def __init__(self, _resume: None = None) -> None:
        self.owns: dict[Order, tuple[str | None, int]] = {}
        self.contacts: dict[Order, str | None] = {}
        self.undone: dict[str, tuple[Order, int]] = {}
        self.is_deal = False
        self.given: tuple[str, int, int, int] | None = None  # ad, conversions, revenue, pipeline

    def on_item(self, value: tuple[Any, ...]) -> tuple[Emitted, bool]:
        """Take an event's own ad, its contact's ad, or a reversal."""
        if value[0] == "own":
            _, order, ad, worth, kind, gone = value
            self.is_deal = kind == "crm_stage"
            self.owns[order] = (ad, worth)
            if gone:
                del self.owns[order]
        elif value[0] == "contact":
            self.contacts[value[1]] = value[2]
        else:
            _, reversal, order, amount = value
            self.undone[reversal] = min((order, amount), self.undone.get(reversal, (order, amount)))
        given = self._credit()
        if given == self.given:
            return [], False
        out: Emitted = []
        if self.given:
            ad, count, revenue, pipeline = self.given
            out.append((ad, ("add", 0, -count, -revenue, -pipeline)))
        if given:
            ad, count, revenue, pipeline = given
            out.append((ad, ("add", 0, count, revenue, pipeline)))
        self.given = given
        return out, False

    def _credit(self) -> tuple[str, int, int, int] | None:
        orders = sorted(self.owns)
        ads = (self.owns[order][0] or self.contacts.get(order) for order in orders)
        ad = next(filter(None, ads), None)
        if ad is None:
            return None
        worth = self.owns[orders[-1]][1]
        if self.is_deal:
            return ad, 0, 0, worth
        left = worth - sum(amount for _, amount in self.undone.values())
        return (ad, 1, left, 0) if left > 0 or not self.undone else (ad, 0, 0, 0)


class AdTotals(_State):
    """One ad: its seven numbers, emitted whenever they may have changed."""

    __slots__ = ("row", "snapshots")

    def __init__(self, _resume: None = None) -> None:
        self.row = [0] * 7
        self.snapshots: dict[int, tuple[Order, tuple[int, int, int]]] = {}

    def on_item(self, value: tuple[Any, ...]) -> tuple[list[list[int]], bool]:
        """Take a change of counts, or a spend snapshot."""
        row = self.row
        if value[0] == "add":
            _, clicks, conversions, revenue, pipeline = value
            row[0] += clicks
            row[3] += conversions
            row[4] += revenue
            row[5] += pipeline
            return [row.copy()], False
        _, period, order, numbers = value
        old_order, old = self.snapshots.get(period, ((0, "", ""), (0, 0, 0)))
        if order > old_order:
            self.snapshots[period] = (order, numbers)
            for place, new_number, old_number in zip((1, 2, 6), numbers, old, strict=True):
                row[place] += new_number - old_number
        return [row.copy()], False
