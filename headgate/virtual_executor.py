"""The executor in virtual time: the same core and the same guardrails as the real one, with a world for a platform.

Rules of this file: it performs the actions that `engine.execution` asks for, and decides nothing; its ledger is
memory, since a simulation has no crash.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from typing import Final

from connectors.outcome_event import outcome_line
from connectors.worlds.protocol import World
from engine.command import Command
from engine.config import EngineConfig
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
)
from engine.execution import Terms, first_state, next_action, proposal_of, situation_of
from engine.guardrails import judge
from engine.proposal import Action
from engine.record import Answer, Reading, Record, Result, State
from headgate.virtual_ledger import AT_LARGE, SHOWN_BY_MS, VirtualLedger

TERMS: Final = Terms(
    owner="simulation", settle_ms=600_000, retry_ms=300_000, slow_retry_ms=300_000, give_up_ms=2 * SHOWN_BY_MS
)
"""Patience in virtual time: a world shows its catalog minutes later, or a day, and nobody waits for a second look."""

OnWrite = Callable[[str, str, str, int, int], None]


class VirtualExecutor:
    """Carries commands out in a world.

    Parameters
    ----------
    world : who plays the platform. config : what the owners grant.
    on_write : told of every budget that a confirmed command set: tenant, account, entity, when, micros.

    Attributes
    ----------
    ledger : what is known. sends : int, requests that left.
    holds : Counter of the reasons why a command was held in the end.
    """

    def __init__(self, world: World, config: EngineConfig, on_write: OnWrite) -> None:
        self._world = world
        self._on_write = on_write
        self._visits: list[tuple[int, int, str]] = []
        self._order = 0
        self._news: list[bytes] = []
        self.ledger = VirtualLedger(config)
        self.sends = 0
        self.holds: Counter[str] = Counter()

    def take(self, command: Command) -> None:
        """Enter a decided command into the ledger; it supersedes an older one that has not been sent."""
        ledger, command_id = self.ledger, command.command_id
        if command_id in ledger.records:
            return
        state, result, reason, look_ms = first_state(command, ledger.granted(command))
        ledger.keep(Record(command=command, state=state, result=result, reason=reason))
        entity = ledger.entity(command)
        older = ledger.records.get(entity.newest)
        if older is not None and not older.is_final and older.state not in AT_LARGE:
            self._finish(older, Finish(older.state, Result.HELD, "superseded"), command.created_at_ms)
        entity.newest = command_id
        if result is None:
            self._visit_at(max(look_ms, command.not_before_ms), command_id)
        else:
            self.holds[reason] += 1

    def next_ms(self) -> int | None:
        """When the next visit is due, or None."""
        return self._visits[0][0] if self._visits else None

    def visit(self, now_ms: int) -> list[bytes]:
        """Do everything that is due at ``now_ms``; the lines of the outcomes that follow."""
        while self._visits and self._visits[0][0] <= now_ms:
            self._go_on(heapq.heappop(self._visits)[2], now_ms)
        news, self._news = self._news, []
        return news

    def _go_on(self, command_id: str, now_ms: int) -> None:
        """One visit: act on the core's word until it asks to wait or to rest."""
        fact: Fact | None = Looked()
        while fact is not None:
            record = self.ledger.records[command_id]
            fact = self._perform(record, next_action(record, fact, now_ms, TERMS), now_ms)

    def _perform(self, record: Record, action: Step, now_ms: int) -> Fact | None:
        command, ledger = record.command, self.ledger
        match action:
            case Weigh():
                view, granted = ledger.view(command, now_ms), ledger.granted(command)
                seen = Reading(view.micros, view.paused)
                situation = situation_of(record, view, seen, granted, now_ms, stopped=False)
                return Weighed(judge(proposal_of(command), situation, ledger.limits(command)), view.version, now_ms)
            case Reserve():
                ledger.keep(record, state=State.RESERVED, owner=TERMS.owner, reserved_at_ms=now_ms)
                return Reserved(made=True)
            case Mark():
                ledger.keep(record, state=State.SENT, sent_at_ms=now_ms, attempts=record.attempts + 1)
                return Marked()
            case Send():
                return Answered(self._send(command, now_ms))
            case Read():
                return ReadBack(ledger.reading(record, now_ms))
            case Doubt(until_ms, reason):
                ledger.keep(record, state=State.UNKNOWN, reason=reason)
                self._visit_at(max(until_ms, now_ms + 1), command.command_id)
            case Wait(until_ms, reason):
                ledger.keep(record, reason=reason or record.reason)
                self._visit_at(max(until_ms, now_ms + 1), command.command_id)
            case Release(until_ms, reason):
                ledger.keep(record, state=State.APPROVED, reason=reason)
                self._visit_at(max(until_ms, now_ms + 1), command.command_id)
            case Finish():
                self._finish(record, action, now_ms)
            case Rest():
                pass
        return None

    def _send(self, command: Command, now_ms: int) -> Answer:
        self.sends += 1
        self.ledger.sent(command, now_ms)
        request = {
            "command_id": command.command_id,
            "budget_entity": command.budget_entity,
            "action": command.action.value,
            "value_micros": command.value_micros or 0,  # a world may reckon with both: 0 where there is none
            "expected_micros": command.expected_micros or 0,
        }
        answer = self._world.apply(request, now_ms)
        result, observed = Result(answer["result"]), answer["observed_micros"]
        if result is Result.CONFIRMED:
            after = self.ledger.applied(command, observed, now_ms)
            if command.action is Action.SET_BUDGET:
                self._on_write(command.tenant, command.account, command.budget_entity, now_ms, after)
        return Answer(result, observed)

    def _finish(self, record: Record, end: Finish, now_ms: int) -> None:
        command, confirmed = record.command, end.result is Result.CONFIRMED
        self.ledger.keep(
            record,
            state=end.state,
            result=end.result,
            reason=end.reason,
            confirmed_at_ms=now_ms if confirmed else None,
            observed_micros=end.observed_micros,
        )
        if end.result is Result.HELD:
            self.holds[end.reason] += 1
        self._news.append(outcome_line(command, end.result.value, end.observed_micros, now_ms))

    def _visit_at(self, at_ms: int, command_id: str) -> None:
        self._order += 1
        heapq.heappush(self._visits, (at_ms, self._order, command_id))
