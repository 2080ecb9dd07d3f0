"""The way of an event into the state: the checks that need state, the deduplication, and the turn to its kind.

Rules of this file: checks run in the order of `Refusal`; a refused line never uses up an event id; an event is judged
by what was accepted before it in the log, one by one, so that where a batch was cut changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.arrays import Arrays, touch, touch_rare
from engine.claims import take_conversion, take_stage
from engine.clicks import take_click
from engine.events import FUTURE_SLACK_MS, LATENESS_MS, SOURCE_SLOT, Events, Field, Kind, Refusal
from engine.hashing import hash_bytes
from engine.index import find, insert, replace
from engine.kernel import Int, kernel
from engine.layout import CLAIM_REVERSAL, CONTENT_BITS, T_ACCOUNTS, T_SEEN
from engine.names import source_of
from engine.spends import take_spend
from engine.texts import Bytes

U64 = np.uint64

AHEAD_EVENTS: Final = 64
_NO_PLACE: Final = U64(0xFFFF0000)
DONE: Final = 0
NEW_ACCOUNT: Final = 1
"""The event at the returned place is of an account not entered yet."""
HAND_OVER: Final = 2
"""The event at the returned place is accepted and not of a kind that the kernels take."""
SWEEP: Final = 3
"""The event at the returned place moved its account's watermark past a reversal that still waits."""

_ACCEPTED: Final = int(Refusal.ACCEPTED)
_BLANK: Final = int(Refusal.BLANK)
_BAD_CURRENCY: Final = int(Refusal.BAD_CURRENCY)
_FUTURE: Final = int(Refusal.FUTURE)
_TOO_LATE: Final = int(Refusal.TOO_LATE)
_MISALIGNED: Final = int(Refusal.MISALIGNED_PERIOD)
_UNKNOWN_STAGE: Final = int(Refusal.UNKNOWN_STAGE)
_BAD_REVERSAL: Final = int(Refusal.BAD_REVERSAL)
_DUPLICATE: Final = int(Refusal.DUPLICATE)
_CONFLICTING: Final = int(Refusal.CONFLICTING_DUPLICATE)
_CLICK: Final = int(Kind.CLICK)
_CONVERSION: Final = int(Kind.CONVERSION)
_STAGE: Final = int(Kind.CRM_STAGE)
_SPEND: Final = int(Kind.SPEND)
_CURRENCY_BIT: Final = U64(1) << U64(Field.CURRENCY.value)
_VALUE_BIT: Final = U64(1) << U64(Field.VALUE_MICROS.value)
_CONTENT_MASK: Final = (U64(1) << U64(CONTENT_BITS)) - U64(1)


@kernel
def take(a: Arrays, events: Events, data: Bytes, start: int, stop: int, offsets: np.ndarray) -> tuple[int, int]:
    """Take events ``start .. stop``; returns (place where it stopped, DONE | NEW_ACCOUNT | HAND_OVER | SWEEP).

    ``events["refusal"]`` of each row taken says what became of it; ``offsets[i]`` is the log offset of entry i.
    """
    shard = a.shard[0]
    account_hash = U64(0)
    account: Int = np.int64(-1)
    for i in range(start, stop):
        if (i - start) % AHEAD_EVENTS == 0:
            assert not _look_ahead(a, events, i, min(i + AHEAD_EVENTS, stop))
        event = events[i]
        if event["refusal"] != _ACCEPTED:
            _count_end(shard, event["refusal"])
            continue
        if event["account"] != account_hash:
            account_hash = event["account"]
            account = find(a.accounts_slots, a.accounts, account_hash)
        if account < 0:
            return i, NEW_ACCOUNT
        stage = -1
        if event["kind"] == _STAGE:
            stage = _stage_of(a, account, event["stage"])
        end = _end_of(a, event, account, stage)
        event["refusal"] = end
        _count_end(shard, end)
        if end != _ACCEPTED:
            continue
        shard["unknown_fields"] += event["unknown_fields"]
        kind = event["kind"]
        row = a.accounts[account]
        at, size = np.int64(event["text_at"][SOURCE_SLOT]), np.int64(event["text_size"][SOURCE_SLOT])
        source = source_of(a, hash_bytes(data, at, size), data, at, size)
        if kind == _CLICK:
            row["max_click_ms"] = max(row["max_click_ms"], event["occurred_at_ms"])
            take_click(a, event, data, account, source)
        elif kind == _SPEND:
            row["max_spend_ms"] = max(row["max_spend_ms"], event["occurred_at_ms"])
            take_spend(a, event, data, account, source)
        elif kind == _CONVERSION or kind == _STAGE:
            row["max_value_ms"] = max(row["max_value_ms"], event["occurred_at_ms"])
            _take_value(a, event, data, account, source, stage, offsets[event["entry"]])
        else:
            return i, HAND_OVER
        if row["max_event_ms"] - row["oldest_reversal_ms"] > LATENESS_MS:
            return i, SWEEP
    return stop, DONE


@kernel
def _take_value(a: Arrays, event: np.void, data: Bytes, account: Int, source: Int, stage: Int, offset: Int) -> None:
    """Take a conversion, or a CRM event that is worth its own value or that of its stage."""
    if event["kind"] == _CONVERSION:
        take_conversion(a, event, data, account, source, offset)
        return
    rule = a.stages[stage]
    own = rule["uses_value"] == 1 and event["mask"] & _VALUE_BIT != U64(0)
    value = event["value_micros"] if own else rule["value_micros"]
    take_stage(a, event, data, account, source, value)


@kernel
def _look_ahead(a: Arrays, events: Events, start: Int, stop: Int) -> bool:
    """Touch the index slots that the next events will ask for, so that their cache misses overlap.

    The answer is whether a slot holds a place that no table can have: never, but the compiler does not know.
    """
    seen, clicks, ads, watches = U64(0), U64(0), U64(0), U64(0)
    seen_mask, clicks_mask = U64(a.seen_slots.size - 1), U64(a.clicks_slots.size - 1)
    ads_mask, watches_mask = U64(a.ads_slots.size - 1), U64(a.watches_slots.size - 1)
    for i in range(start, stop):
        event = events[i]
        seen |= a.seen_slots[event["dedup"] & seen_mask]
        clicks |= a.clicks_slots[event["keys"][0] & clicks_mask]
        ads |= a.ads_slots[event["ad"] & ads_mask]
        watches |= a.watches_slots[event["keys"][0] & watches_mask]
    return (seen | clicks | ads | watches) & _NO_PLACE == _NO_PLACE


@kernel
def _count_end(shard: np.void, end: Int) -> None:
    shard["lines"] += 1
    if end == _ACCEPTED:
        shard["accepted"] += 1
    elif end == _BLANK:
        shard["blank"] += 1
    elif end == _DUPLICATE:
        shard["duplicates"] += 1
    elif end == _CONFLICTING:
        shard["conflicting_duplicates"] += 1
    else:
        shard["refused"] += 1


@kernel
def _end_of(a: Arrays, event: np.void, account: Int, stage: Int) -> int:
    """What becomes of an event of a known account: the first check that fails, a duplicate, or ACCEPTED."""
    end = _judge(a, event, account, stage)
    return _admit(a, event, account) if end == _ACCEPTED else end


@kernel
def _judge(a: Arrays, event: np.void, account: Int, stage: Int) -> int:
    """The first check that fails, in the order of the wire format, or ACCEPTED."""
    rule = a.rules[account]
    at_ms = event["occurred_at_ms"]
    if event["mask"] & _CURRENCY_BIT != U64(0) and event["currency"] != rule["currency"]:
        return _BAD_CURRENCY
    if at_ms > a.shard[0]["clock_ms"] + FUTURE_SLACK_MS:
        return _FUTURE
    if at_ms < a.accounts[account]["max_event_ms"] - LATENESS_MS:
        return _TOO_LATE
    if event["kind"] == _SPEND and event["period_start_ms"] % rule["grid_ms"] != 0:
        return _MISALIGNED
    if event["kind"] == _STAGE and stage < 0:
        return _UNKNOWN_STAGE
    if event["reverses"] != U64(0):
        if event["reverses"] == event["object_id"]:
            return _BAD_REVERSAL
        target = find(a.claims_slots, a.claims, event["reverses"])
        if target >= 0 and a.claims[target]["type"] == CLAIM_REVERSAL:
            return _BAD_REVERSAL
    return _ACCEPTED


@kernel
def _stage_of(a: Arrays, account: Int, h: np.uint64) -> int:
    rule = a.rules[account]
    for i in range(rule["stage_at"], rule["stage_at"] + rule["stage_count"]):
        if a.stages[i]["hash"] == h:
            return i
    return -1


@kernel
def _admit(a: Arrays, event: np.void, account: Int) -> int:
    """Enter the event's id if it is new; else say that the event is a duplicate, and of which sort."""
    row = a.accounts[account]
    at_ms = event["occurred_at_ms"]
    content = event["content"] & _CONTENT_MASK
    place = find(a.seen_slots, a.seen, event["dedup"])
    if place >= 0:
        stamp = a.seen[place]["stamp"]
        if np.int64(stamp >> U64(CONTENT_BITS)) >= max(row["max_event_ms"], at_ms) - LATENESS_MS:
            return _DUPLICATE if stamp & _CONTENT_MASK == content else _CONFLICTING
    at = a.used[T_SEEN]
    a.used[T_SEEN] = at + 1
    a.seen[at]["hash"] = event["dedup"]
    a.seen[at]["stamp"] = U64(at_ms) << U64(CONTENT_BITS) | content
    if place >= 0:
        replace(a.seen_slots, a.seen, event["dedup"], at)
    else:
        insert(a.seen_slots, event["dedup"], at)
    row["max_event_ms"] = max(row["max_event_ms"], at_ms)
    row["accepted"] += 1
    touch(a.accounts_touched, a.accounts_stamps, a.saved, a.n_touched, T_ACCOUNTS, account)
    return _ACCEPTED


@kernel
def forget_id(a: Arrays, h: np.uint64) -> None:
    """Free an event id that was taken by a line refused afterwards (an orphan reversal)."""
    place = find(a.seen_slots, a.seen, h)
    if place >= 0:
        a.seen[place]["stamp"] = U64(0)
        touch_rare(a.seen_touched, a.saved, a.n_touched, T_SEEN, place)
