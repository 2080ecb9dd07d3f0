"""Who is credited with what, worked out from scratch from the set of accepted events of one account.

Rules of this file: the answer depends on the set alone; no event is looked at in the order it came. Ages and ties are
compared exactly as the rules say: (``occurred_at_ms``, ``event_id``, ``source``), both ends of the lookback inside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from engine.config import AccountConfig, StageValue
from tests.reference.wire import Event

COLUMNS = (
    "clicks",
    "platform_clicks",
    "impressions",
    "conversions",
    "revenue_micros",
    "pipeline_micros",
    "spend_micros",
)


class Click(NamedTuple):
    """One click: its smallest event gives time and ad, all its events give keys."""

    speaker: Event
    keys: set[tuple[str, str]]


class Evidence(NamedTuple):
    """Which ad an event points to, and by what."""

    ad_id: str | None
    layer: str | None
    click_id: str | None


NOTHING = Evidence(None, None, None)


def stage_of(config: AccountConfig, name: str) -> StageValue | None:
    """The stage of the account's table that goes by this name or alias."""
    if name in config.stages:
        return config.stages[name]
    for stage in config.stages.values():
        if name in stage.aliases:
            return stage
    return None


def smallest_by(events: Iterable[Event], name: str) -> dict[str, Event]:
    """The event that speaks for each id: the smallest of those that name it."""
    speakers: dict[str, Event] = {}
    for event in sorted(events, key=lambda event: event.order):
        speakers.setdefault(event.fields[name], event)
    return speakers


class Credit:
    """The credited state of one account.

    Parameters
    ----------
    config : the account's configuration.
    events : every accepted event of the account, in any order.
    """

    def __init__(self, config: AccountConfig, events: Iterable[Event]) -> None:
        self.config = config
        self.of_kind: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            self.of_kind[event.kind].append(event)
        self.clicks = self._clicks()
        self.clicks_by_key: dict[tuple[str, str], list[Click]] = defaultdict(list)
        for click in self.clicks.values():
            for key in click.keys:
                self.clicks_by_key[key].append(click)
        named = smallest_by(self.of_kind["conversion"], "conversion_id")
        self.conversions = {name: event for name, event in named.items() if not event.get("reverses")}
        self.reversals = {name: event for name, event in named.items() if event.get("reverses")}
        self.undone: dict[str, list[int]] = defaultdict(list)
        for event in self.reversals.values():
            self.undone[event.fields["reverses"]].append(event.fields["value_micros"])
        self.contacts = self._contacts()

    def _clicks(self) -> dict[str, Click]:
        clicks = {
            click_id: Click(speaker, set())
            for click_id, speaker in smallest_by(self.of_kind["click"], "click_id").items()
        }
        for event in self.of_kind["click"]:
            clicks[event.fields["click_id"]].keys.update(event.keys)
        return clicks

    def _contacts(self) -> dict[str, tuple[Event, Evidence]]:
        """For each contact its earliest event that has evidence of its own, and that evidence."""
        earliest: dict[str, tuple[Event, Evidence]] = {}
        speaking = [*self.conversions.values(), *self.of_kind["crm_stage"]]
        for event in sorted(speaking, key=lambda event: event.order):
            evidence = self.own_evidence(event)
            if event.get("contact") and evidence.ad_id:
                earliest.setdefault(event.fields["contact"], (event, evidence))
        return earliest

    def own_evidence(self, event: Event) -> Evidence:
        """Layer 1 (the newest click of age 0 .. lookback that shares a key), else the event's own ad."""
        candidates = [click for key in event.keys for click in self.clicks_by_key.get(key, ())]
        inside = [click for click in candidates if 0 <= event.at - click.speaker.at <= self.config.lookback_ms]
        if inside:
            newest = max(inside, key=lambda click: click.speaker.order).speaker
            return Evidence(newest.fields["ad_id"], "click_key", newest.fields["click_id"])
        if event.get("ad_id"):
            return Evidence(event.fields["ad_id"], "own_ad_id", None)
        return NOTHING

    def evidence(self, event: Event) -> Evidence:
        """The event's own evidence, else its contact's, if that is not later than the event."""
        own = self.own_evidence(event)
        if own.ad_id:
            return own
        contact = event.get("contact")
        if contact in self.contacts:
            first, theirs = self.contacts[contact]
            if first.at <= event.at:
                return Evidence(theirs.ad_id, "contact", None)
        return NOTHING

    def deals(self) -> dict[str, list[Event]]:
        """The events of each deal, earliest first."""
        deals: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(self.of_kind["crm_stage"], key=lambda event: event.order):
            deals[event.fields["deal_id"]].append(event)
        return deals

    def deal_evidence(self, events: list[Event]) -> Evidence:
        """One ad for the whole deal: that of the earliest of its events with any evidence."""
        for event in events:
            evidence = self.evidence(event)
            if evidence.ad_id:
                return evidence
        return NOTHING

    def deal_value(self, events: list[Event]) -> int:
        """What the deal's current stage is worth, micros."""
        newest = events[-1]
        stage = stage_of(self.config, newest.fields["stage"])
        assert stage is not None
        if stage.uses_value and newest.get("value_micros") is not None:
            return newest.fields["value_micros"]
        return stage.value_micros

    def conversion_value(self, conversion_id: str) -> tuple[int, int]:
        """How many conversions (0 or 1) and how much revenue in micros are left after reversals."""
        value = self.conversions[conversion_id].fields["value_micros"]
        undone = self.undone.get(conversion_id, [])
        if undone and sum(undone) >= value:
            return 0, 0
        return 1, value - sum(undone)

    def snapshots(self) -> list[Event]:
        """The newest spend snapshot of every ad and period."""
        newest: dict[tuple[str, int], Event] = {}
        for event in sorted(self.of_kind["spend"], key=lambda event: event.order):
            newest[event.fields["ad_id"], event.fields["period_start_ms"]] = event
        return list(newest.values())

    def ad_ids(self) -> set[str]:
        """Every ad that an accepted event names; what a reversal says of its ad is ignored."""
        return {
            event.fields["ad_id"]
            for kind in ("click", "spend", "catalog", "conversion", "crm_stage")
            for event in self.of_kind[kind]
            if event.get("ad_id") and not event.get("reverses")
        }

    def totals(self) -> dict[str, dict[str, int]]:
        """The counting columns of every ad."""
        ads = {ad_id: dict.fromkeys(COLUMNS, 0) for ad_id in self.ad_ids()}
        for click in self.clicks.values():
            ads[click.speaker.fields["ad_id"]]["clicks"] += 1
        for event in self.snapshots():
            ad = ads[event.fields["ad_id"]]
            ad["platform_clicks"] += event.fields["clicks"]
            ad["impressions"] += event.fields["impressions"]
            ad["spend_micros"] += event.fields["spend_micros"]
        for conversion_id, event in self.conversions.items():
            ad_id = self.evidence(event).ad_id
            if ad_id:
                count, value = self.conversion_value(conversion_id)
                ads[ad_id]["conversions"] += count
                ads[ad_id]["revenue_micros"] += value
        for events in self.deals().values():
            ad_id = self.deal_evidence(events).ad_id
            if ad_id:
                ads[ad_id]["pipeline_micros"] += self.deal_value(events)
        return ads

    def attributions(self) -> list[dict[str, Any]]:
        """One row per conversion and per deal."""
        rows: list[dict[str, Any]] = []
        for conversion_id, event in self.conversions.items():
            rows.append({"conversion_id": conversion_id, **self.evidence(event)._asdict()})
        for deal_id, events in self.deals().items():
            rows.append({"deal_id": deal_id, **self.deal_evidence(events)._asdict()})
        return rows
