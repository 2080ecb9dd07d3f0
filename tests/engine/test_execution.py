"""The executor's table: every state with every fact, and each rule on both sides of its thresholds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.command import Evidence
from engine.config import GuardrailConfig, Level
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
from engine.execution import (
    PASSING,
    Terms,
    applied,
    first_state,
    next_action,
    proposal_of,
    situation_of,
    untouched,
)
from engine.guardrails import Action, Held, Hold, Permitted, judge
from engine.record import Answer, Reading, Record, Result, State, View
from tests.engine.test_command import COMMAND

SENT_AT = COMMAND.not_before_ms + 100
TERMS = Terms(owner="me")
SETTLED = SENT_AT + TERMS.settle_ms
PAUSE = replace(COMMAND, action=Action.PAUSE, value_micros=None)


def record(state: State, **more: object) -> Record:
    reserved = {"owner": "me", "reserved_at_ms": SENT_AT}
    sent = reserved | {"sent_at_ms": SENT_AT, "attempts": 1}
    base = {State.RESERVED: reserved, State.SENT: sent, State.UNKNOWN: sent | {"result": Result.UNKNOWN}}
    return Record(command=COMMAND, state=state, **(base.get(state, {}) | more))


FACTS: list[Fact] = [
    Looked(),
    Weighed(Permitted(60_000_000), 5, 9),
    Reserved(made=True),
    Marked(),
    Withdrawn("late"),
    Answered(Answer(Result.CONFIRMED)),
    ReadBack(Reading(60_000_000, paused=False)),
]
# What a record does with a fact while all is in time (now = SENT_AT); Rest where a pair is not listed.
EXPECTED: dict[tuple[State, type], Step] = {
    (State.PROPOSED, Looked): Wait(COMMAND.expires_at_ms, "awaiting_approval"),
    (State.APPROVED, Looked): Weigh(),
    (State.APPROVED, Weighed): Reserve(5, 9),
    (State.APPROVED, Reserved): Wait(SENT_AT, "outrun"),
    (State.RESERVED, Looked): Release(SENT_AT, "reclaimed", sent=False),
    (State.RESERVED, Reserved): Mark(),
    (State.RESERVED, Marked): Release(SENT_AT + 1000, "", sent=False),
    (State.SENT, Looked): Wait(SETTLED, "settling"),
    (State.SENT, Marked): Send(),
    (State.SENT, Withdrawn): Release(SENT_AT + 1000, "late", sent=False),
    (State.SENT, Answered): Read(),
    (State.SENT, ReadBack): Finish(State.CONFIRMED, Result.CONFIRMED, "", 60_000_000),
    (State.UNKNOWN, Looked): Wait(SETTLED, "settling"),
    (State.UNKNOWN, ReadBack): Finish(State.CONFIRMED, Result.CONFIRMED, "", 60_000_000),
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
@pytest.mark.parametrize("state", list(State))
def test_every_state_with_every_fact(state: State, fact: Fact) -> None:
    assert next_action(record(state), fact, SENT_AT, TERMS) == EXPECTED.get((state, type(fact)), Rest())


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
@pytest.mark.parametrize("state", list(State))
def test_a_held_command_rests_whatever_comes(state: State, fact: Fact) -> None:
    assert next_action(record(state, result=Result.HELD), fact, SENT_AT, TERMS) == Rest()


def test_the_only_ways_to_send_are_after_a_mark() -> None:
    senders = [pair for pair, step in EXPECTED.items() if isinstance(step, Send)]
    assert senders == [(State.SENT, Marked)]


@pytest.mark.parametrize("state", [State.PROPOSED, State.APPROVED])
def test_expiry_is_exact(state: State) -> None:
    end = COMMAND.expires_at_ms
    assert not isinstance(next_action(record(state), Looked(), end - 1, TERMS), Finish)
    assert next_action(record(state), Looked(), end, TERMS) == Finish(State.FAILED, Result.HELD, "expired")


def test_the_jitter_is_waited_for_without_sleeping() -> None:
    start = COMMAND.not_before_ms
    assert next_action(record(State.APPROVED), Looked(), start - 1, TERMS) == Wait(start)
    assert next_action(record(State.APPROVED), Looked(), start, TERMS) == Weigh()


def test_passing_bars_wait_and_others_end() -> None:
    for hold in Hold:
        step = next_action(record(State.APPROVED), Weighed(Held(hold), 1, 9), SENT_AT, TERMS)
        if hold in PASSING:
            assert step == Wait(SENT_AT + (15_000 if hold.startswith(("rate", "unknown")) else 1000), hold)
        else:
            assert step == Finish(State.APPROVED, Result.HELD, hold)
    near = COMMAND.expires_at_ms - 10
    assert next_action(record(State.APPROVED), Weighed(Held(Hold.STOPPED), 1, 9), near, TERMS) == Wait(
        near + 10, "stopped"
    )


def test_a_clamp_at_the_send_holds_the_command() -> None:
    clamped = Weighed(Permitted(59_000_000, ("velocity",)), 1, 9)
    assert next_action(record(State.APPROVED), clamped, SENT_AT, TERMS) == Finish(
        State.APPROVED, Result.HELD, "velocity"
    )
    regridded = Weighed(Permitted(60_100_000), 1, 9)
    assert next_action(record(State.APPROVED), regridded, SENT_AT, TERMS) == Finish(
        State.APPROVED, Result.HELD, "rounding"
    )


def test_anothers_reservation_is_left_alone_for_the_lease() -> None:
    theirs = record(State.RESERVED, owner="other")
    end = SENT_AT + TERMS.lease_ms
    assert next_action(theirs, Looked(), end - 1, TERMS) == Wait(end, "reserved_elsewhere")
    assert next_action(theirs, Looked(), end, TERMS) == Release(end, "reclaimed", sent=False)


def test_a_reservation_that_stood_still_is_not_acted_on() -> None:
    mine, end = record(State.RESERVED), SENT_AT + TERMS.lease_ms
    assert next_action(mine, Reserved(made=True), end - 1, TERMS) == Mark()
    assert next_action(mine, Reserved(made=True), end, TERMS) == Release(end, "late", sent=False)
    brief = replace(mine, command=replace(COMMAND, expires_at_ms=SENT_AT + 5))
    assert next_action(brief, Reserved(made=True), SENT_AT + 4, TERMS) == Mark()
    assert next_action(brief, Reserved(made=True), SENT_AT + 5, TERMS) == Release(SENT_AT + 5, "late", sent=False)


def test_answers_are_not_believed_but_refusals_are() -> None:
    def hear(answer: Answer) -> Step:
        return next_action(record(State.SENT), Answered(answer), SENT_AT, TERMS)

    assert hear(Answer(Result.CONFIRMED, 60_000_000)) == Read()
    assert hear(Answer(Result.REFUSED, 50_000_000, "below_minimum")) == Finish(
        State.REFUSED, Result.REFUSED, "below_minimum", 50_000_000
    )
    assert hear(Answer(Result.UNKNOWN)) == Doubt(SETTLED, "no_answer")


OLD, NEW, ODD = Reading(50_000_000, paused=False), Reading(60_000_000, paused=False), Reading(57_000_000, paused=False)


@pytest.mark.parametrize("state", [State.SENT, State.UNKNOWN])
def test_an_open_fate_waits_to_settle_and_is_then_read(state: State) -> None:
    assert next_action(record(state), Looked(), SETTLED - 1, TERMS) == Wait(SETTLED, "settling")
    assert next_action(record(state), Looked(), SETTLED, TERMS) == Read()
    for reading in (OLD, ODD):
        step = next_action(record(state), ReadBack(reading), SETTLED - 1, TERMS)
        assert step in (Doubt(SETTLED, "not_seen_yet"), Wait(SETTLED, "not_seen_yet"))
        assert isinstance(step, Doubt) == (state is State.SENT)
    assert next_action(record(state), ReadBack(OLD), SETTLED, TERMS) == Release(SETTLED, "not_applied", sent=True)
    assert next_action(record(state), ReadBack(ODD), SETTLED, TERMS) == Finish(
        State.FAILED, Result.UNKNOWN, "conflict", 57_000_000
    )
    assert next_action(record(state), ReadBack(NEW), SETTLED, TERMS) == Finish(
        State.CONFIRMED, Result.CONFIRMED, "", 60_000_000
    )


def test_what_was_not_applied_is_not_resent_for_ever_nor_after_its_expiry() -> None:
    last = record(State.UNKNOWN, attempts=TERMS.attempts_max)
    ended = Finish(State.FAILED, Result.REFUSED, "not_applied", 50_000_000)
    assert next_action(last, ReadBack(OLD), SETTLED, TERMS) == ended
    assert next_action(record(State.UNKNOWN), ReadBack(OLD), COMMAND.expires_at_ms, TERMS) == ended


def test_an_entity_that_cannot_be_read_is_given_up_at_last() -> None:
    blind = ReadBack(None)
    assert next_action(record(State.SENT), blind, SENT_AT, TERMS) == Doubt(SETTLED, "unreadable")
    assert next_action(record(State.UNKNOWN), blind, SETTLED, TERMS) == Wait(SETTLED + TERMS.settle_ms, "unreadable")
    end = SENT_AT + TERMS.give_up_ms
    assert next_action(record(State.UNKNOWN), blind, end, TERMS) == Finish(State.FAILED, Result.UNKNOWN, "unreadable")


def test_how_a_command_enters_depends_on_the_lower_autonomy() -> None:
    held = (State.PROPOSED, Result.HELD)
    assert first_state(COMMAND, Level.OBSERVE) == (*held, "autonomy_observe", 0)
    assert first_state(COMMAND, Level.PROPOSE) == (*held, "autonomy_propose", 0)
    waiting = (State.PROPOSED, None, "awaiting_approval", COMMAND.expires_at_ms)
    assert first_state(COMMAND, Level.APPROVE) == waiting
    assert first_state(COMMAND, Level.ACT) == (State.APPROVED, None, "", COMMAND.not_before_ms)
    assert first_state(replace(COMMAND, autonomy="observe"), Level.ACT) == (*held, "autonomy_observe", 0)


def test_pauses_are_recognised_by_the_status() -> None:
    paused, active, silent = Reading(None, paused=True), Reading(5, paused=False), Reading(5, paused=None)
    assert applied(PAUSE, paused)
    assert untouched(PAUSE, active)
    resume = replace(PAUSE, action=Action.RESUME)
    assert applied(resume, active)
    assert untouched(resume, paused)
    assert not applied(PAUSE, silent)
    assert not untouched(PAUSE, silent)


def test_the_guardrails_hear_what_is_known_at_the_send() -> None:
    view = View(
        version=1,
        stopped=False,
        micros=50_000_000,
        paused=False,
        in_flight=(),
        changes=(),
        entity_writes=0,
        campaign_writes=0,
        account_writes=0,
    )
    now = COMMAND.not_before_ms
    seen = replace(COMMAND, evidence=Evidence(spend_seen_ms=now, conversion_seen_ms=now, in_zone=False, holdout=False))
    mine = Record(command=seen, state=State.APPROVED)

    def verdict(view: View, reading: Reading | None, granted: Level, *, stopped: bool) -> object:
        situation = situation_of(mine, view, reading, granted, now, stopped=stopped)
        return judge(proposal_of(seen), situation, GuardrailConfig())

    assert verdict(view, OLD, Level.ACT, stopped=False) == Permitted(60_000_000)
    assert verdict(view, OLD, Level.ACT, stopped=True) == Held("stopped")
    assert verdict(replace(view, stopped=True), OLD, Level.ACT, stopped=False) == Held("stopped")
    assert verdict(view, None, Level.ACT, stopped=False) == Held("unknown_budget")
    assert verdict(view, ODD, Level.ACT, stopped=False) == Held("conflict")
    assert verdict(view, OLD, Level.OBSERVE, stopped=False) == Held("autonomy_observe")
