"""The ledger against a real redis-server: once each, compare and set, rates, switches, outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.command import Command
from engine.config import GuardrailConfig, Level
from engine.execution import first_state
from engine.proposal import Action
from engine.record import Reading, Record, Result, State
from engine.velocity import Change
from state.caller import Caller
from state.kill_switch import KillSwitch
from state.ledger import Ledger
from state.ledger_rows import Entry
from state.outcomes import Outcomes
from state.redis_client import connect
from tests.engine.test_command import COMMAND
from tests.ledger_server import ledger_server

NOW = COMMAND.not_before_ms
LIMITS = GuardrailConfig()
UNIT = 1_000_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ledger_server() as url:
        yield url


@pytest.fixture
def caller(url: str) -> Iterator[Caller]:
    client = connect(url)
    client.flushall()
    yield Caller(client)
    client.close()


@pytest.fixture
def ledger(caller: Caller) -> Ledger:
    return Ledger(caller)


def entry(command: Command, level: Level = Level.ACT) -> Entry:
    return Entry(command, *first_state(command, level))


def numbered(number: int, **more: object) -> Command:
    return replace(COMMAND, command_id=f"c-{number:032x}", decision_number=number, **more)


def approved(ledger: Ledger, command: Command = COMMAND) -> Record:
    ledger.record(3, command.decision_number, NOW, [entry(command)])
    found = ledger.record_of(command.command_id)
    assert found is not None
    return found


def reserved(ledger: Ledger, command: Command = COMMAND, now: int = NOW) -> Record:
    found = approved(ledger, command)
    got = ledger.reserve(found, "me", ledger.view(command, now, LIMITS).version, now, now)
    assert got is not None
    return got


def sent(ledger: Ledger, command: Command = COMMAND, now: int = NOW) -> Record:
    got = ledger.mark(reserved(ledger, command, now), now + 20_000, now)
    assert isinstance(got, Record)
    return got


def test_a_command_is_recorded_once_and_the_cursor_only_advances(ledger: Ledger) -> None:
    first = approved(ledger)
    assert first == Record(command=COMMAND, state=State.APPROVED)
    assert ledger.cursor(3) == 7
    ledger.wait(first, NOW + 5, "why", NOW)
    assert ledger.record(3, 6, NOW, [entry(COMMAND)]) == 0
    assert ledger.cursor(3) == 7
    assert ledger.cursor(4) == 0
    again = ledger.record_of(COMMAND.command_id)
    assert again is not None
    assert again.reason == "why"
    assert len(list(ledger.records())) == 1


def test_a_known_id_with_other_content_is_an_alarm_counted_once_and_refused(ledger: Ledger) -> None:
    approved(ledger)
    other = replace(COMMAND, value_micros=61 * UNIT)
    for _ in range(2):
        assert ledger.record(3, 8, NOW, [entry(other)]) == 1
    assert ledger.alarms() == 1
    kept = ledger.record_of(COMMAND.command_id)
    assert kept is not None
    assert kept.command == COMMAND


def test_observed_commands_are_held_at_once_and_never_due(ledger: Ledger, caller: Caller) -> None:
    ledger.record(3, 7, NOW, [entry(COMMAND, Level.OBSERVE)])
    row = next(ledger.records()).to_row()
    assert (row["state"], row["result"], row["reason"]) == ("proposed", "held", "autonomy_observe")
    assert ledger.due(NOW + 10**9, 10) == []
    assert Outcomes(caller).numbers() == {}


def test_a_newer_command_supersedes_an_older_one_of_its_entity_until_that_is_reserved(ledger: Ledger) -> None:
    old, new, other = numbered(1), numbered(2), numbered(3, budget_entity="ad_set:2")
    approved(ledger, old)
    approved(ledger, new)
    approved(ledger, other)
    states = {r.command.decision_number: (r.state, r.result, r.reason) for r in ledger.records()}
    assert states[1] == (State.FAILED, Result.HELD, "superseded")
    assert states[2] == (State.APPROVED, None, "")
    assert states[3] == (State.APPROVED, None, "")
    assert [r.command.decision_number for r in ledger.due(NOW, 10)] == [2, 3]
    late = replace(old, command_id="c-late")
    assert approved(ledger, late).reason == "superseded"
    sent(ledger, numbered(4))
    approved(ledger, numbered(5))
    assert [r.state for r in ledger.records() if r.command.decision_number == 4] == [State.SENT]


def test_approval_moves_a_proposed_command_on(ledger: Ledger) -> None:
    ledger.record(3, 7, NOW, [entry(COMMAND, Level.APPROVE)])
    (waiting,) = ledger.awaiting()
    assert waiting.reason == "awaiting_approval"
    assert ledger.next_due_ms() is None
    assert ledger.due(COMMAND.expires_at_ms - 1, 10) == []
    assert len(ledger.due(COMMAND.expires_at_ms, 10)) == 1
    after = ledger.approve(waiting, NOW)
    assert after is not None
    assert ledger.approve(waiting, NOW) is None
    assert ledger.due(NOW, 10) == [after]
    assert after.approved
    assert ledger.awaiting() == []


def test_a_reservation_counts_at_once_and_only_one_of_two_executors_gets_it(ledger: Ledger) -> None:
    found = approved(ledger)
    other = approved(ledger, numbered(9, budget_entity="ad_set:2"))
    version = ledger.view(COMMAND, NOW, LIMITS).version
    assert ledger.reserve(found, "one", version, NOW, NOW) is not None
    assert ledger.reserve(found, "two", version, NOW, NOW) is None
    assert ledger.reserve(other, "two", version, NOW, NOW) is None  # the account moved on
    view = ledger.view(COMMAND, NOW, LIMITS)
    assert view.version == version + 1
    assert view.in_flight == (Action.SET_BUDGET,)
    assert (view.entity_writes, view.campaign_writes, view.account_writes) == (1, 1, 1)
    beside = ledger.view(other.command, NOW, LIMITS)
    assert (beside.entity_writes, beside.campaign_writes, beside.account_writes) == (0, 1, 1)
    assert beside.in_flight == ()
    assert ledger.view(replace(COMMAND, campaign_id=None), NOW, LIMITS).campaign_writes is None


def test_rate_windows_are_closed(ledger: Ledger) -> None:
    reserved(ledger)
    assert ledger.view(COMMAND, NOW + LIMITS.entity_window_ms, LIMITS).entity_writes == 1
    assert ledger.view(COMMAND, NOW + LIMITS.entity_window_ms + 1, LIMITS).entity_writes == 0


def test_a_release_before_the_send_gives_the_write_back_and_after_it_does_not(ledger: Ledger) -> None:
    unsent = reserved(ledger)
    back = ledger.release(unsent, NOW, "reclaimed", NOW, sent=False)
    assert back is not None
    assert ledger.view(COMMAND, NOW, LIMITS).entity_writes == 0
    assert ledger.view(COMMAND, NOW, LIMITS).in_flight == ()
    again = ledger.reserve(back, "me", ledger.view(COMMAND, NOW, LIMITS).version, NOW, NOW)
    assert again is not None
    gone = ledger.mark(again, NOW, NOW)
    assert isinstance(gone, Record)
    assert gone.attempts == 1
    doubtful = ledger.doubt(gone, NOW + 1, "no_answer", NOW)
    assert doubtful is not None
    assert ledger.release(doubtful, NOW, "not_applied", NOW, sent=True) is not None
    assert ledger.view(COMMAND, NOW, LIMITS).entity_writes == 1


def test_a_mark_is_barred_by_each_switch_and_by_anothers_reservation(ledger: Ledger, caller: Caller) -> None:
    switch = KillSwitch(caller, Path("/nonexistent"))
    mine = reserved(ledger)
    for scope in ("global", "tenant:acme", "account:acme/act_1"):
        switch.stop(scope, "ann", "too fast", NOW)
        assert ledger.view(COMMAND, NOW, LIMITS).stopped
        assert ledger.mark(mine, NOW, NOW) == "stopped"
        assert switch.resume(scope)
        assert not switch.resume(scope)
    switch.stop("tenant:other", "ann", "", NOW)
    assert not ledger.view(COMMAND, NOW, LIMITS).stopped
    assert ledger.mark(replace(mine, owner="two"), NOW, NOW) == "lost"
    assert isinstance(ledger.mark(mine, NOW, NOW), Record)
    assert ledger.mark(mine, NOW, NOW) == "lost"


def test_a_confirmed_command_becomes_history(ledger: Ledger) -> None:
    mine = sent(ledger)
    done = ledger.finish(mine, State.CONFIRMED, Result.CONFIRMED, "", Reading(60 * UNIT, paused=False), NOW + 9)
    assert done is not None
    row = done.to_row()
    assert (row["state"], row["result"], row["confirmed_at_ms"]) == ("confirmed", "confirmed", NOW + 9)
    assert row["observed_micros"] == 60 * UNIT
    assert ledger.record_of(COMMAND.command_id) == done
    view = ledger.view(COMMAND, NOW + 10, LIMITS)
    assert view.changes == (Change(NOW + 9, 50 * UNIT, 60 * UNIT),)
    assert (view.micros, view.paused, view.in_flight) == (60 * UNIT, False, ())
    assert ledger.next_due_ms() is None
    assert ledger.finish(mine, State.REFUSED, Result.REFUSED, "", None, NOW) is None


def test_a_late_executor_cannot_end_anothers_attempt(ledger: Ledger) -> None:
    mine = sent(ledger)
    back = ledger.release(mine, NOW, "not_applied", NOW, sent=True)
    assert back is not None
    theirs = ledger.reserve(back, "two", ledger.view(COMMAND, NOW, LIMITS).version, NOW, NOW)
    assert theirs is not None
    assert isinstance(ledger.mark(theirs, NOW, NOW), Record)
    assert ledger.finish(mine, State.CONFIRMED, Result.CONFIRMED, "", Reading(60 * UNIT, paused=False), NOW) is None


def test_what_others_changed_is_noticed(ledger: Ledger) -> None:
    command = COMMAND
    first = ledger.view(command, NOW, LIMITS)
    assert ledger.observe(command, Reading(50 * UNIT, paused=False), first.version, NOW)
    assert not ledger.observe(command, Reading(51 * UNIT, paused=False), first.version, NOW)
    seen = ledger.view(command, NOW, LIMITS)
    assert (seen.micros, seen.paused, seen.changes) == (50 * UNIT, False, ())
    assert ledger.observe(command, Reading(70 * UNIT, paused=None), seen.version, NOW + 5)
    after = ledger.view(command, NOW + 5, LIMITS)
    assert after.changes == (Change(NOW + 5, 50 * UNIT, 70 * UNIT, own=False),)
    assert (after.micros, after.paused) == (70 * UNIT, False)
    assert ledger.observe(command, Reading(70 * UNIT, paused=True), after.version, NOW + 6)
    assert ledger.view(command, NOW + 6, LIMITS).changes[-1] == Change(NOW + 6, 70 * UNIT, 70 * UNIT, own=False)


def test_outcomes_are_numbered_per_shard_and_told_once_per_result(ledger: Ledger, caller: Caller) -> None:
    outcomes = Outcomes(caller)
    mine = sent(ledger)
    doubtful = ledger.doubt(mine, NOW, "no_answer", NOW + 1)
    assert doubtful is not None
    back = ledger.release(doubtful, NOW, "not_applied", NOW, sent=True)
    assert back is not None
    assert back.result is None
    again = ledger.reserve(back, "me", ledger.view(COMMAND, NOW, LIMITS).version, NOW, NOW)
    assert again is not None
    second = ledger.mark(again, NOW, NOW)
    assert isinstance(second, Record)
    twice = ledger.doubt(second, NOW, "no_answer", NOW + 2)
    assert twice is not None
    ledger.finish(twice, State.CONFIRMED, Result.CONFIRMED, "", Reading(60 * UNIT, paused=False), NOW + 3)
    assert outcomes.numbers() == {3: 2}
    told = outcomes.after(3, 0, 10)
    assert [(o.number, o.result, o.reason, o.observed_micros, o.at_ms) for o in told] == [
        (1, "unknown", "no_answer", None, NOW + 1),
        (2, "confirmed", "", 60 * UNIT, NOW + 3),
    ]
    assert outcomes.after(3, 1, 10) == told[1:]
    outcomes.trim(3, 2)
    assert len(outcomes.after(3, 0, 10)) == 2


def test_large_money_keeps_every_digit(ledger: Ledger) -> None:
    rich = numbered(1, value_micros=999_999_999_999_999, expected_micros=999_999_999_999_998)
    mine = sent(ledger, rich)
    ledger.finish(mine, State.CONFIRMED, Result.CONFIRMED, "", Reading(999_999_999_999_999, paused=False), NOW)
    assert ledger.view(rich, NOW, LIMITS).changes == (Change(NOW, 999_999_999_999_998, 999_999_999_999_999),)
    found = ledger.record_of(rich.command_id)
    assert found is not None
    assert found.command == rich
    assert found.observed_micros == 999_999_999_999_999


def test_the_identity_is_drawn_once(ledger: Ledger) -> None:
    assert ledger.identity() == ledger.identity()


def test_durability_is_what_the_server_says(ledger: Ledger, caller: Caller) -> None:
    assert not ledger.is_durable()
    caller.client.config_set("appendfsync", "always")
    assert ledger.is_durable()
    caller.client.config_set("appendfsync", "no")


def test_the_file_switch_needs_no_redis(tmp_path: Path, url: str) -> None:
    switch = KillSwitch(Caller(connect("unix:///nonexistent.sock")), tmp_path)
    assert not switch.by_file()
    (tmp_path / "STOP").touch()
    assert switch.by_file()
    assert "file" in KillSwitch(Caller(connect(url)), tmp_path).stops()


def test_a_story_lived_elsewhere_is_kept_as_it_is_and_for_lists_only(ledger: Ledger) -> None:
    told = Record(
        command=COMMAND,
        state=State.CONFIRMED,
        result=Result.CONFIRMED,
        attempts=2,
        owner="simulation",
        reserved_at_ms=NOW,
        sent_at_ms=NOW + 1,
        confirmed_at_ms=NOW + 2,
        observed_micros=5,
    )
    open_ = Record(command=numbered(7, created_at_ms=COMMAND.created_at_ms + 1), state=State.APPROVED)
    ledger.keep(0, [told, open_], page=1)
    ledger.keep(0, [replace(told, reason="again")])
    assert list(ledger.records()) == [told, open_]
    assert ledger.due(NOW + 10**9, 10) == []
    assert ledger.next_due_ms() is None
