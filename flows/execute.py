"""The executor's loop: outbox -> ledger -> guardrails -> platform -> read back -> outcome in the event log.

Rules of this file: wiring only. What to do next is decided by `engine.execution`, whether by `engine.guardrails`; every
step is durable in the ledger before the next one begins, so a loop that dies anywhere is continued by any other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from connectors.outcome_event import SOURCE, outcome_line
from engine.command import Command
from engine.config import EngineConfig, Level
from engine.exchange import (
    Answered,
    Doubt,
    Fact,
    Finish,
    Looked,
    Mark,
    Marked,
    Read,
    ReadBack,
    Release,
    Reserve,
    Reserved,
    Rest,
    Send,
    Step,
    Wait,
    Weigh,
    Weighed,
    Withdrawn,
)
from engine.execution import Terms, first_state, next_action, proposal_of, situation_of
from engine.guardrails import Held, judge
from engine.record import Reading, Record, Request, View
from flows.execute_ports import Ports
from state.ledger_rows import Entry
from state.outcomes import Outcome

BATCH: Final = 256
"""Outbox entries, due commands or outcomes taken at a time."""
IDLE_MS: Final = 100


class ExecutorError(Exception):
    """The executor cannot go on; the message is one line for people."""


class Executor:
    """One executor; several may run on the same ledger, of which one at a time wins each step.

    Parameters
    ----------
    ports : what it touches.
    config : the accounts' limits and what their owners grant now.
    shards : the shards it serves.
    terms : times and limits; its owner should be a fresh nonce (default).
    """

    def __init__(self, ports: Ports, config: EngineConfig, shards: Iterable[int], terms: Terms | None = None) -> None:
        self._ports = ports
        self._config = config
        self._terms = terms or Terms(owner=secrets.token_hex(16))
        self._cursors = {shard: ports.ledger.cursor(shard) for shard in shards}
        self._producer = f"{SOURCE}.{ports.ledger.identity()}"
        self._told: dict[int, int] = {}
        self._marked_s = 0.0
        self._perform: dict[type, Callable[[Record, Any, Fact], tuple[Record, Fact] | None]] = {
            Rest: lambda record, step, fact: None,
            Wait: self._wait,
            Weigh: self._weigh,
            Reserve: self._reserve,
            Mark: self._mark,
            Send: self._send,
            Read: self._read,
            Doubt: self._doubt,
            Release: self._release,
            Finish: self._finish,
        }

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until ``stop`` says so; it is asked between turns."""
        while not stop():
            if not self.turn():
                self._ports.sleep(IDLE_MS)

    def run_until_drained(self) -> None:
        """Work until the outboxes are read and every command is at its end, waits for a person, or a stop is on."""
        ports = self._ports
        while True:
            if self.turn():
                continue
            due = ports.ledger.next_due_ms()
            if due is None or ports.switch.stops():
                return
            ports.sleep(max(1, due - ports.clock()))

    def turn(self) -> bool:
        """Record what is new, visit what is due, pass outcomes on; whether there was anything to do."""
        new = sum(self._take(shard) for shard in self._cursors)
        due = self._ports.ledger.due(self._ports.clock(), BATCH)
        for record in due:
            self._visit(record)
        self._tell()
        return bool(new or due)

    # --- outbox -> ledger ---------------------------------------------------------------------------------------------

    def _take(self, shard: int) -> int:
        found = self._ports.outbox.read_outbox(shard, self._cursors[shard], BATCH)
        if not found:
            return 0
        entries = [self._entry(shard, number, fields[b"c"]) for number, fields in found if b"c" in fields]
        self._ports.ledger.record(shard, found[-1][0], self._ports.clock(), entries)
        self._cursors[shard] = found[-1][0]
        return len(found)

    def _entry(self, shard: int, number: int, text: bytes) -> Entry:
        try:
            command = Command.from_row(orjson.loads(text))
        except (KeyError, ValueError, TypeError) as error:
            message = f"entry {number} of shard {shard}'s outbox is no command ({error!r}); run headgate doctor"
            raise ExecutorError(message) from error
        return Entry(command, *first_state(command, self._granted(command)))

    def _granted(self, command: Command) -> Level:
        return Level[self._config.of(command.tenant, command.account).autonomy.upper()]

    # --- one command --------------------------------------------------------------------------------------------------

    def _visit(self, record: Record) -> None:
        met: tuple[Record, Fact] | None = (record, Looked())
        while met is not None:
            step: Step = next_action(*met, self._ports.clock(), self._terms)
            met = self._perform[type(step)](met[0], step, met[1])

    def _wait(self, record: Record, step: Wait, fact: Fact) -> None:
        self._ports.ledger.wait(record, step.until_ms, step.reason, self._ports.clock())

    def _weigh(self, record: Record, step: Weigh, fact: Fact) -> tuple[Record, Fact]:
        ports, command, now_ms = self._ports, record.command, self._ports.clock()
        limits = self._config.of(command.tenant, command.account).guardrails
        platform = ports.platforms.get(command.platform)
        view = ports.ledger.view(command, now_ms, limits)
        if platform is None:
            return record, Weighed(Held("unknown_platform"), view.version, now_ms)
        reading = None if view.in_flight else platform.read(Request.of(command))
        if reading is not None and _differs(view, reading):
            if not ports.ledger.observe(command, reading, view.version, now_ms):
                return record, Reserved(made=False)
            view = ports.ledger.view(command, now_ms, limits)
        granted, stopped = self._granted(command), ports.switch.by_file()
        situation = situation_of(record, view, reading, granted, now_ms, stopped=stopped)
        return record, Weighed(judge(proposal_of(command), situation, limits), view.version, now_ms)

    def _reserve(self, record: Record, step: Reserve, fact: Fact) -> tuple[Record, Fact]:
        after = self._ports.ledger.reserve(record, self._terms.owner, step.version, step.at_ms, self._ports.clock())
        return (record, Reserved(made=False)) if after is None else (after, Reserved(made=True))

    def _mark(self, record: Record, step: Mark, fact: Fact) -> tuple[Record, Fact] | None:
        self._marked_s = self._ports.monotonic()
        now_ms = self._ports.clock()
        after = self._ports.ledger.mark(record, now_ms + self._terms.settle_ms, now_ms)
        if isinstance(after, Record):
            return after, Marked()
        return (record, Marked(after)) if after == "stopped" else None

    def _send(self, record: Record, step: Send, fact: Fact) -> tuple[Record, Fact]:
        """Send, unless the file forbids it or so much time went by that another executor may have taken over."""
        if self._ports.switch.by_file():
            return record, Withdrawn("stopped")
        if (self._ports.monotonic() - self._marked_s) * 1000 >= self._terms.lease_ms:
            return record, Withdrawn("late")
        platform = self._ports.platforms[record.command.platform]
        return record, Answered(platform.apply(Request.of(record.command), self._ports.clock()))

    def _read(self, record: Record, step: Read, fact: Fact) -> tuple[Record, Fact]:
        platform = self._ports.platforms.get(record.command.platform)
        return record, ReadBack(None if platform is None else platform.read(Request.of(record.command)))

    def _doubt(self, record: Record, step: Doubt, fact: Fact) -> None:
        self._ports.ledger.doubt(record, step.until_ms, step.reason, self._ports.clock())

    def _release(self, record: Record, step: Release, fact: Fact) -> None:
        self._ports.ledger.release(record, step.until_ms, step.reason, self._ports.clock(), sent=step.sent)

    def _finish(self, record: Record, step: Finish, fact: Fact) -> None:
        seen = fact.reading if isinstance(fact, ReadBack) else None
        if seen is None and step.observed_micros is not None:
            seen = Reading(step.observed_micros, None)
        self._ports.ledger.finish(record, step.state, step.result, step.reason, seen, self._ports.clock())

    # --- ledger -> event log ------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        ports = self._ports
        for shard, number in ports.outcomes.numbers().items():
            if shard not in self._cursors or number <= self._told.get(shard, 0):
                continue
            told = ports.log.last_sequence(shard, self._producer)
            while found := ports.outcomes.after(shard, told, BATCH):
                for outcome in found:
                    ports.log.append(shard, self._producer, outcome.number, [self._line(outcome)], trusted=True)
                told = found[-1].number
            ports.outcomes.trim(shard, told)
            self._told[shard] = told

    def _line(self, outcome: Outcome) -> bytes:
        record = self._ports.ledger.record_of(outcome.command_id)
        if record is None:
            message = (
                f"ledger: command {outcome.command_id} has an outcome but is not there; restore the ledger's Redis"
            )
            raise ExecutorError(message)
        return outcome_line(record.command, outcome.result, outcome.observed_micros, outcome.at_ms)


def _differs(view: View, reading: Reading) -> bool:
    moved = reading.micros is not None and reading.micros != view.micros
    return moved or (reading.paused is not None and reading.paused != view.paused)
