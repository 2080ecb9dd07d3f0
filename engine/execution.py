"""The executor's decisions as a table: (record, fact, now) -> the next action. No IO, no clock.

Rules of this file: a command leaves the house only by `Send`, and only right after `Mark` made the intent durable; a
command whose fate is open is never sent again before the settle time has passed and the platform was read; a fact
that does not belong to a record's state is late news about an older one and is answered by `Rest`.

Theory of operation: the shell keeps one record per command, performs the action it is given, and comes back with the
fact that resulted. `Looked` starts every visit, after a crash too: all that is needed to go on is in the record.

    proposed --approve--> approved --Weigh, Reserve--> reserved --Mark--> sent --Send, Read--> confirmed | refused
                             ^---------------- Release ----------------|       |--> unknown --settle, Read--> ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.command import Command
from engine.config import Level
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
from engine.proposal import Action, Held, Hold, Permitted, Proposal, Situation
from engine.record import Reading, Record, Result, State, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Times and limits of the executor.

    Attributes
    ----------
    owner : str, this executor's nonce.
    settle_ms : int, how long after a send a platform may still change its mind; more than lease, time-out and lag.
    lease_ms : int, how long a reservation is left to the executor that made it, from its weighing on.
    retry_ms, slow_retry_ms : int, how long to wait where a bar may lift at once, and where it takes a while (a
        rate, a platform that cannot be read).
    attempts_max : int, sends of one command, each after the platform showed the old value.
    give_up_ms : int, how long after a send an entity that cannot be read is asked for.
    """

    owner: str
    settle_ms: int = 20_000
    lease_ms: int = 5_000
    retry_ms: int = 1_000
    slow_retry_ms: int = 15_000
    attempts_max: int = 3
    give_up_ms: int = 3_600_000


_SLOW: Final = frozenset({Hold.RATE_ENTITY, Hold.RATE_CAMPAIGN, Hold.RATE_ACCOUNT, Hold.UNKNOWN_BUDGET})
PASSING: Final = _SLOW | {Hold.STOPPED, Hold.IN_FLIGHT, Hold.AWAITING_APPROVAL}
"""Bars that may lift within the life of a command; all others end it."""


def next_action(record: Record, fact: Fact, now_ms: int, terms: Terms) -> Step:
    """What to do about a command now.

    Parameters
    ----------
    record : the command as the ledger has it, after the fact.
    fact : what just happened.
    now_ms : int, the executor's clock.
    terms : times and limits.

    Returns
    -------
    The one action to perform; `Rest` where the record is at its end or the fact is not about its state.
    """
    if record.is_final:
        return Rest()
    rule = TABLE.get((record.state, type(fact)))
    return Rest() if rule is None else rule(record, fact, now_ms, terms)


def first_state(command: Command, granted: Level) -> tuple[State, Result | None, str, int]:
    """How a command enters the ledger: (state, result, reason, when to look at it).

    Parameters
    ----------
    command : as decided.
    granted : what the owner grants now; the lower of this and the command's own autonomy counts.
    """
    level = lower(command, granted)
    if level is Level.OBSERVE:
        return State.PROPOSED, Result.HELD, Hold.AUTONOMY_OBSERVE, 0
    if level is Level.PROPOSE:
        return State.PROPOSED, Result.HELD, Hold.AUTONOMY_PROPOSE, 0
    if level is Level.APPROVE:
        return State.PROPOSED, None, Hold.AWAITING_APPROVAL, command.expires_at_ms
    return State.APPROVED, None, "", command.not_before_ms


def lower(command: Command, granted: Level) -> Level:
    """The autonomy that counts: what was granted at the decision or is granted now, whichever is less."""
    return min(Level[command.autonomy.upper()], granted)


def proposal_of(command: Command) -> Proposal:
    """The wish that a command is: final, so without fuzz, and made for the budget it expects."""
    return Proposal(
        budget_entity=command.budget_entity,
        action=command.action,
        value_micros=command.value_micros or 0,
        expected_micros=command.expected_micros,
    )


def situation_of(
    record: Record, view: View, reading: Reading | None, granted: Level, now_ms: int, *, stopped: bool
) -> Situation:
    """What is known at the send: the ledger and the platform now, the evidence as it was at the decision.

    Parameters
    ----------
    record, view, reading : the command, what the ledger knows around it, what the platform shows (None: not read).
    granted : what the owner grants now.
    stopped : whether a switch outside the ledger (the file) is on.
    """
    known = record.command.evidence
    return Situation(
        now_ms=now_ms,
        autonomy=lower(record.command, granted),
        approved=record.approved,
        stopped=view.stopped or stopped,
        current_micros=None if reading is None else reading.micros,
        changes=view.changes,
        entity_writes=view.entity_writes,
        campaign_writes=view.campaign_writes,
        account_writes=view.account_writes,
        in_flight=view.in_flight,
        spend_seen_ms=known.spend_seen_ms,
        conversion_seen_ms=known.conversion_seen_ms,
        in_zone=known.in_zone,
        holdout=known.holdout,
        totals=known.totals(),
    )


def applied(command: Command, reading: Reading) -> bool:
    """Whether a platform shows what the command asked for."""
    if command.action is Action.SET_BUDGET:
        return reading.micros == command.value_micros
    return reading.paused is (command.action is Action.PAUSE)


def untouched(command: Command, reading: Reading) -> bool:
    """Whether a platform still shows what was there before the command."""
    if command.action is Action.SET_BUDGET:
        return reading.micros == command.expected_micros
    return reading.paused is (command.action is Action.RESUME)


def _await_approval(record: Record, fact: Looked, now_ms: int, terms: Terms) -> Step:
    if now_ms >= record.command.expires_at_ms:
        return Finish(State.FAILED, Result.HELD, "expired")
    return Wait(record.command.expires_at_ms, Hold.AWAITING_APPROVAL)


def _begin(record: Record, fact: Looked, now_ms: int, terms: Terms) -> Step:
    if now_ms >= record.command.expires_at_ms:
        return Finish(State.FAILED, Result.HELD, "expired")
    if now_ms < record.command.not_before_ms:
        return Wait(record.command.not_before_ms)
    return Weigh()


def _obey(record: Record, fact: Weighed, now_ms: int, terms: Terms) -> Step:
    command, verdict = record.command, fact.verdict
    if isinstance(verdict, Held):
        if verdict.reason in PASSING:
            pause = terms.slow_retry_ms if verdict.reason in _SLOW else terms.retry_ms
            return Wait(min(now_ms + pause, command.expires_at_ms), verdict.reason)
        return Finish(State.APPROVED, Result.HELD, verdict.reason)
    return _exactly(command, verdict, fact)


def _exactly(command: Command, verdict: Permitted, fact: Weighed) -> Step:
    """The executor sends what was decided or nothing: a clamp at this point means that the decision is stale."""
    if command.action is Action.SET_BUDGET and verdict.value_micros != command.value_micros:
        return Finish(State.APPROVED, Result.HELD, verdict.binding[0] if verdict.binding else Hold.ROUNDING)
    return Reserve(fact.version, fact.at_ms)


def _reserved(record: Record, fact: Reserved, now_ms: int, terms: Terms) -> Step:
    """A process that stood still since the weighing must not act on what it saw then."""
    lease_end = (record.reserved_at_ms or 0) + terms.lease_ms
    return Mark() if now_ms < min(lease_end, record.command.expires_at_ms) else Release(now_ms, "late", sent=False)


def _outrun(record: Record, fact: Reserved, now_ms: int, terms: Terms) -> Step:
    return Wait(now_ms, "outrun")


def _reclaim(record: Record, fact: Looked, now_ms: int, terms: Terms) -> Step:
    """A reservation without a mark was certainly never sent; whoever made it may still be about to."""
    lease_end = (record.reserved_at_ms or 0) + terms.lease_ms
    if record.owner != terms.owner and now_ms < lease_end:
        return Wait(lease_end, "reserved_elsewhere")
    return Release(now_ms, "reclaimed", sent=False)


def _barred(record: Record, fact: Marked, now_ms: int, terms: Terms) -> Step:
    return Release(now_ms + terms.retry_ms, fact.reason, sent=False)


def _send(record: Record, fact: Marked, now_ms: int, terms: Terms) -> Step:
    return Send()


def _withdraw(record: Record, fact: Withdrawn, now_ms: int, terms: Terms) -> Step:
    return Release(now_ms + terms.retry_ms, fact.reason, sent=False)


def _hear(record: Record, fact: Answered, now_ms: int, terms: Terms) -> Step:
    answer = fact.answer
    if answer.result is Result.REFUSED:
        return Finish(State.REFUSED, Result.REFUSED, answer.reason or "refused", answer.observed_micros)
    if answer.result is Result.CONFIRMED:
        return Read()  # "200 OK" is not "applied"
    return Doubt(_settled_at(record, terms), answer.reason or "no_answer")


def _resolve(record: Record, fact: Looked, now_ms: int, terms: Terms) -> Step:
    settled = _settled_at(record, terms)
    return Wait(settled, "settling") if now_ms < settled else Read()


def _compare(record: Record, fact: ReadBack, now_ms: int, terms: Terms) -> Step:
    command, reading = record.command, fact.reading
    settled = _settled_at(record, terms)
    if reading is None and now_ms >= (record.sent_at_ms or 0) + terms.give_up_ms:
        return Finish(State.FAILED, Result.UNKNOWN, "unreadable")
    if reading is None:
        return _doubt(record, settled if now_ms < settled else now_ms + terms.settle_ms, "unreadable")
    if applied(command, reading):
        return Finish(State.CONFIRMED, Result.CONFIRMED, "", reading.micros)
    if now_ms < settled:
        return _doubt(record, settled, "not_seen_yet")
    if not untouched(command, reading):
        return Finish(State.FAILED, Result.UNKNOWN, Hold.CONFLICT, reading.micros)
    if record.attempts < terms.attempts_max and now_ms < command.expires_at_ms:
        return Release(now_ms, "not_applied", sent=True)
    return Finish(State.FAILED, Result.REFUSED, "not_applied", reading.micros)


def _doubt(record: Record, until_ms: int, reason: str) -> Step:
    return Doubt(until_ms, reason) if record.state is State.SENT else Wait(until_ms, reason)


def _settled_at(record: Record, terms: Terms) -> int:
    return (record.sent_at_ms or 0) + terms.settle_ms


TABLE: Final[dict[tuple[State, type], Callable[..., Step]]] = {
    (State.PROPOSED, Looked): _await_approval,
    (State.APPROVED, Looked): _begin,
    (State.APPROVED, Weighed): _obey,
    (State.APPROVED, Reserved): _outrun,
    (State.RESERVED, Looked): _reclaim,
    (State.RESERVED, Reserved): _reserved,
    (State.RESERVED, Marked): _barred,
    (State.SENT, Looked): _resolve,
    (State.SENT, Marked): _send,
    (State.SENT, Withdrawn): _withdraw,
    (State.SENT, Answered): _hear,
    (State.SENT, ReadBack): _compare,
    (State.UNKNOWN, Looked): _resolve,
    (State.UNKNOWN, ReadBack): _compare,
}
