"""One step of a shard: lines and ticks in, in the order of the log; decisions, commands and dead letters out.

Rules of this file: the result depends on the items alone, never on how the log was cut into steps; whatever leaves the
engine carries a number counted in the state, so that what is computed again after a roll-back carries the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import raw_at
from engine.catalog import take_catalog, take_control, take_outcome
from engine.command import Command
from engine.evaluate import ASSESSMENT, evaluate, write_names
from engine.events import ACCOUNT_SLOT, FUTURE_SLACK_MS, LATENESS_MS, TENANT_SLOT, Events, Field, Kind, Refusal
from engine.expiry import drop_expired
from engine.index import find
from engine.intake import DONE, HAND_OVER, NEW_ACCOUNT, take
from engine.plan import Tick, decide
from engine.shard import Shard
from engine.waits import CLOSE_ALL, CLOSE_DUE, SWEEP_REVERSALS, close_waits

SLICE_EVENTS: Final = 4096
TEXT_SPARE: Final = 4096


@dataclass(frozen=True, slots=True)
class Lines:
    """Decoded lines of one or more log entries of one stream.

    Attributes
    ----------
    data : uint8[n], the bytes the events point into. events : EVENT[k].
    stream : name of the stream. offsets : int64[entries], log offset of each entry.
    blank : int, how many blank lines stood between them.
    details : the fields of accepted catalog, outcome and control lines by row.
    """

    data: NDArray[np.uint8]
    events: Events
    stream: str
    offsets: NDArray[np.int64]
    blank: int = 0
    details: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused line, kept with its reason."""

    number: int
    reason: str
    stream: str
    position: str
    tenant: str
    account: str
    raw: bytes


@dataclass(slots=True)
class Output:
    """What a step gives out: (outbox number, rows, names) of decisions, (outbox number, command), dead letters."""

    decisions: list[tuple[int, NDArray[Any], bytes]] = field(default_factory=list)
    commands: list[tuple[int, Command]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def step(shard: Shard, items: Sequence[Lines | Tick]) -> Output:
    """Take items in the order of the log.

    Parameters
    ----------
    shard : the state, changed in place. items : lines and ticks.

    Returns
    -------
    Output, in the order in which it came about.
    """
    output = Output()
    shard.touch("shard", 0)
    for item in items:
        if isinstance(item, Tick):
            _take_tick(shard, item, output)
        else:
            _take_lines(shard, item, output)
    return output


def _take_lines(shard: Shard, lines: Lines, output: Output) -> None:
    events = lines.events
    refused = int(shard.row["refused"])
    shard.row["lines"] += lines.blank
    shard.row["blank"] += lines.blank
    start = 0
    while start < events.size:
        stop = min(start + SLICE_EVENTS, events.size)
        _reserve(shard, events[start:stop])
        while start < stop:
            arrays = shard.arrays()
            start, why = take(arrays, events, lines.data, start, stop, lines.offsets)
            shard.settle(arrays)
            if why == NEW_ACCOUNT:
                start = _meet_account(shard, lines, start)
                continue
            if why == HAND_OVER:
                _hand_over(shard, lines, start)
            if why != DONE:
                start += 1
                _sweep_if_due(shard, lines, output, int(events[start - 1]["account"]))
    if int(shard.row["refused"]) > refused:
        _bury(shard, lines, output)


def _reserve(shard: Shard, events: Events) -> None:
    """Make room for the most that these events can append: their ids twice, and the whole line of a reversal."""
    size = int(events["line_at"][-1]) + int(events["line_size"][-1]) - int(events["line_at"][0])
    shard.make_room(events.size, 2 * size + 32 * events.size + TEXT_SPARE)


def _meet_account(shard: Shard, lines: Lines, place: int) -> int:
    """Enter the account of the event at a place, or refuse the event where its account may not be taken."""
    event = lines.events[place]
    tenant, account = _text(lines, event, TENANT_SLOT), _text(lines, event, ACCOUNT_SLOT)
    if shard.config.is_known(tenant, account):
        shard.add_account(int(event["account"]), tenant, account)
        return place
    config = shard.config.defaults
    grid = {"any": 1, "hour": 3_600_000, "day": 86_400_000}[config.spend_granularity]
    has_currency = int(event["mask"]) >> Field.CURRENCY & 1
    if has_currency and int(event["currency"]) != int.from_bytes(config.currency.encode(), "little"):
        reason = Refusal.BAD_CURRENCY
    elif event["occurred_at_ms"] > shard.row["clock_ms"] + FUTURE_SLACK_MS:
        reason = Refusal.FUTURE
    elif event["kind"] == Kind.SPEND and event["period_start_ms"] % grid:
        reason = Refusal.MISALIGNED_PERIOD
    else:
        reason = Refusal.UNKNOWN_TENANT
    lines.events[place]["refusal"] = reason
    shard.row["lines"] += 1
    shard.row["refused"] += 1
    return place + 1


def _text(lines: Lines, event: Any, slot: int) -> str:
    """The id in a text slot of a row, empty where the line gave no valid one."""
    at, size = int(event["text_at"][slot]), int(event["text_size"][slot])
    return lines.data[at : at + size].tobytes().decode()


def _hand_over(shard: Shard, lines: Lines, place: int) -> None:
    event, fields = lines.events[place], lines.details[place]
    if event["kind"] == Kind.CATALOG:
        take_catalog(shard, event, lines.data, fields)
    elif event["kind"] == Kind.OUTCOME:
        take_outcome(shard, event, fields)
    elif event["kind"] == Kind.CONTROL:
        take_control(shard, event, fields)


def _bury(shard: Shard, lines: Lines, output: Output) -> None:
    """Make one dead letter of each refused line."""
    refusals = lines.events["refusal"]
    for place in np.flatnonzero((refusals > Refusal.ACCEPTED) & (refusals < Refusal.BLANK)):
        event = lines.events[place]
        at, size = int(event["line_at"]), int(event["line_size"])
        shard.row["dead_number"] += 1
        output.dead_letters.append(
            DeadLetter(
                number=int(shard.row["dead_number"]),
                reason=Refusal(int(event["refusal"])).name.lower(),
                stream=lines.stream,
                position=f"{lines.offsets[event['entry']]}.{event['line']}",
                tenant=_text(lines, event, TENANT_SLOT),
                account=_text(lines, event, ACCOUNT_SLOT),
                raw=lines.data[at : at + size].tobytes(),
            )
        )


def _take_tick(shard: Shard, tick: Tick, output: Output) -> None:
    row = shard.row
    row["now_ms"] = max(int(row["now_ms"]), tick.now_ms)
    row["clock_ms"] = tick.clock_ms
    row["ended"] = tick.end
    _close_waits(shard, CLOSE_ALL if tick.end else CLOSE_DUE, tick.stream, output)
    drop_expired(shard)
    _evaluate(shard, tick, output)


def _sweep_if_due(shard: Shard, lines: Lines, output: Output, account_hash: int) -> None:
    """Give up the reversals that the account's watermark has just passed."""
    accounts = shard.tables["accounts"].rows
    row = accounts[find(shard.slots["accounts"], accounts, np.uint64(account_hash))]
    if row["max_event_ms"] - row["oldest_reversal_ms"] > LATENESS_MS:
        _close_waits(shard, SWEEP_REVERSALS, lines.stream, output)


def _close_waits(shard: Shard, which: int, stream: str, output: Output) -> None:
    if not shard.n_pending[0] and which == CLOSE_DUE:
        return
    waiting = np.unique(shard.pending[: int(shard.n_pending[0])])
    shard.reserve({"claims": 0}, {})
    shard.tables["seen"].reserve(0, waiting.size)
    refused = np.zeros((waiting.size, 2), np.int64)
    arrays = shard.arrays()
    still, given_up = close_waits(arrays, waiting, which, refused)
    shard.settle(arrays)
    shard.n_pending[0] = still
    for claim, reason in refused[:given_up]:
        letter = shard.tables["claims"].rows[claim]
        tenant, account = shard.account_name(int(letter["account"]))
        shard.row["dead_number"] += 1
        shard.row["accepted"] -= 1
        shard.row["refused"] += 1
        output.dead_letters.append(
            DeadLetter(
                number=int(shard.row["dead_number"]),
                reason=Refusal(int(reason)).name.lower(),
                stream=stream,
                position=f"{letter['offset']}.{letter['line']}",
                tenant=tenant,
                account=account,
                raw=raw_at(shard.tables["texts"].rows, int(letter["raw"])),
            )
        )


def _evaluate(shard: Shard, tick: Tick, output: Output) -> None:
    """Decide about every ad that has something new to say."""
    ads = shard.tables["ads"]
    arrays = shard.arrays()
    units = np.zeros((shard.tables["accounts"].used, 2))
    if shard.scratch.size <= ads.used:
        shard.scratch = np.zeros(2 * ads.used + 64, ASSESSMENT)
    found = shard.scratch
    count = evaluate(arrays, int(shard.row["now_ms"]), units, found)
    shard.row["evaluated_ms"] = shard.row["now_ms"]
    if not count:
        return
    rows, commands = decide(shard, found[:count], tick)
    shard.row["decisions"] += count
    shard.row["commands"] += len(commands)
    output.decisions.append((_number(shard), rows, _names(shard, found[:count])))
    output.commands += [(_number(shard), command) for command in commands]


def _number(shard: Shard) -> int:
    shard.row["out_number"] += 1
    return int(shard.row["out_number"])


def _names(shard: Shard, found: NDArray[Any]) -> bytes:
    arrays = shard.arrays()
    out = np.zeros(64 * found.size, np.uint8)
    size = write_names(arrays, found, out)
    if size > out.size:
        out = np.zeros(size, np.uint8)
        write_names(arrays, found, out)
    return out[:size].tobytes()
