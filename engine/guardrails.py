"""The one function that every change of a budget passes, at the plan and again at the send.

Rules of this file: pure and integer; what is not known (None) bars, it never permits; a limit is checked on the value
that would be sent, after fuzz and rounding, and once more on the clamped result by its own definition.

Theory of operation: propose -> fuzz -> round -> clamp -> verify. First come the bars that no value can pass (the kill
switch, protection, silence of the data, the zone, rates, cooldown). Then every limit on the amount gives an interval
around the current budget; the wished value is moved into their intersection, on the money grid, towards the current
budget. What was moved too little to matter is held, under the name of the limit that bound it. Autonomy is asked last,
so "held for autonomy" means that all else would have let the command through.

A stop (pause) is not bound by amounts, velocity, cooldown or an unknown budget; it is bound by the kill switch,
protection, stale data, the zone and the rates, of which one write is always kept for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import GuardrailConfig, Level
from engine.proposal import Action, Held, Hold, Permitted, Proposal, Situation, Totals, Verdict
from engine.velocity import PPM, Change, fits, path, room

__all__ = ["Action", "Held", "Hold", "Permitted", "Proposal", "Situation", "Totals", "Verdict", "judge", "opens_at"]


def judge(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Verdict:
    """Say whether a change may be sent, and with which value.

    Parameters
    ----------
    proposal, situation, limits : see their classes; money in micros of the account currency.

    Returns
    -------
    `Permitted` with a value that satisfies every limit, or `Held` with the first reason that bars it.
    """
    bar = _bar(proposal, situation, limits)
    if bar is not None:
        return Held(bar)
    verdict: Verdict = Permitted(proposal.value_micros)
    if proposal.action is Action.SET_BUDGET:
        verdict = _amount(proposal, situation, limits)
    elif proposal.action is Action.RESUME:
        verdict = _resumed(proposal, situation, limits)
    if isinstance(verdict, Held):
        return verdict
    bar = _autonomy_bar(situation)
    return verdict if bar is None else Held(bar)


def opens_at(changes: Sequence[Change], limits: GuardrailConfig) -> int:
    """When the last change no longer bars a new one: its cooldown is over, and its velocity window has passed it.

    Parameters
    ----------
    changes : of one entity. limits : of its account.

    Returns
    -------
    int, ms; -1 without a change. A change lands a jitter after its tick, so at the tick one window later the bars still
    stand for that jitter: a new command had better wait for it than for another whole window.
    """
    last_ms = max((change.at_ms for change in changes), default=None)
    return -1 if last_ms is None else last_ms + max(limits.cooldown_ms, limits.velocity_window_ms + 1)


def _bar(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Hold | None:
    """The first limit that no value could pass."""
    if abs(proposal.fuzz_ppm) > limits.fuzz_ppm or proposal.value_micros < 0:
        return Hold.BAD_PROPOSAL
    if situation.stopped is None:
        return Hold.UNKNOWN_SWITCH
    if situation.stopped:
        return Hold.STOPPED
    if proposal.budget_entity in limits.protected:
        return Hold.PROTECTED
    if situation.holdout is None:
        return Hold.UNKNOWN_HOLDOUT
    if situation.holdout:
        return Hold.HOLDOUT
    bar = _silence_bar(situation, limits)
    if bar is None:
        bar = _stop_bar(situation) if proposal.action is Action.PAUSE else _move_bar(proposal, situation, limits)
    return _rate_bar(proposal, situation, limits) if bar is None else bar


def _silence_bar(situation: Situation, limits: GuardrailConfig) -> Hold | None:
    """Unknown is not zero: while spend or conversions are silent nothing is concluded from them."""
    spend, conversion = situation.spend_seen_ms, situation.conversion_seen_ms
    if spend is None or situation.now_ms - spend > limits.stale_spend_ms:
        return Hold.STALE_SPEND
    if conversion is None or situation.now_ms - conversion > limits.stale_conversions_ms:
        return Hold.STALE_CONVERSIONS
    return None


def _stop_bar(situation: Situation) -> Hold | None:
    if situation.in_zone is None:
        return Hold.UNKNOWN_ZONE
    if situation.in_zone:
        return Hold.ZONE
    if situation.in_flight is None:
        return Hold.UNKNOWN_FLIGHT
    # A budget change in flight does not touch the status, so it never delays a stop.
    return Hold.IN_FLIGHT if any(action is not Action.SET_BUDGET for action in situation.in_flight) else None


def _move_bar(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Hold | None:
    if situation.in_flight is None:
        return Hold.UNKNOWN_FLIGHT
    if situation.in_flight:
        return Hold.IN_FLIGHT
    if situation.current_micros is None:
        return Hold.UNKNOWN_BUDGET
    if proposal.expected_micros is not None and proposal.expected_micros != situation.current_micros:
        return Hold.CONFLICT
    if situation.changes is None:
        return Hold.UNKNOWN_HISTORY
    if any(situation.now_ms - change.at_ms < limits.cooldown_ms for change in situation.changes):
        return Hold.COOLDOWN
    return None


def _rate_bar(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Hold | None:
    reserve = 0 if proposal.action is Action.PAUSE else 1
    scopes = (
        (situation.entity_writes, limits.max_changes_entity, Hold.RATE_ENTITY),
        (situation.campaign_writes, limits.max_changes_campaign, Hold.RATE_CAMPAIGN),
        (situation.account_writes, limits.max_changes_account, Hold.RATE_ACCOUNT),
    )
    for writes, most, reason in scopes:
        if writes is None:
            return Hold.UNKNOWN_WRITES
        if writes + 1 > most - reserve:
            return reason
    return None


def _amount(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Verdict:
    """Fuzz, round, clamp and verify a new budget."""
    current = situation.current_micros
    assert current is not None  # _move_bar saw to both
    assert situation.changes is not None
    wish = proposal.value_micros
    if not _matters(current, wish, limits):
        return Held(Hold.CHANGE_MIN)
    if wish > current and (unknown := _unknown_total(situation, limits)):
        return Held(unknown)
    grid = limits.round_micros
    target = (wish * (PPM + proposal.fuzz_ppm) // PPM + grid // 2) // grid * grid
    values = path(situation.changes, current, situation.now_ms, limits.velocity_window_ms)
    floors = _floors(values, limits)
    ceilings = _ceilings(current, values, situation, limits)
    low = -(-max(floor for floor, _ in floors) // grid) * grid
    high = min(ceiling for ceiling, _ in ceilings) // grid * grid
    binding: tuple[str, ...] = ()
    if target > high:
        binding = _names(ceilings, min(ceiling for ceiling, _ in ceilings))
    elif target < low:
        binding = _names(floors, max(floor for floor, _ in floors))
    if low > high:
        return Held(binding[0] if binding else Hold.VELOCITY)
    value = min(max(target, low), high)
    if not _matters(current, value, limits) or (value > current) != (wish > current):
        return Held(binding[0] if binding else Hold.CHANGE_MIN)
    broken = _broken(value, values, situation, limits)
    return Permitted(value, binding) if broken is None else Held(broken)


def _resumed(proposal: Proposal, situation: Situation, limits: GuardrailConfig) -> Verdict:
    """A resume moves no amount, but it must not bring back a budget that lies outside its limits."""
    current = situation.current_micros
    assert current is not None  # _move_bar saw to it
    if unknown := _unknown_total(situation, limits):
        return Held(unknown)
    if current < limits.budget_min_micros:
        return Held(Hold.BUDGET_MIN)
    if current > limits.budget_max_micros:
        return Held(Hold.BUDGET_MAX)
    for total, cap, reason in _caps(situation, limits):
        if total > cap:
            return Held(reason)
    return Permitted(proposal.value_micros)


def _matters(current: int, value: int, limits: GuardrailConfig) -> bool:
    return value != current and abs(value - current) * PPM >= limits.change_min_ppm * current


def _unknown_total(situation: Situation, limits: GuardrailConfig) -> Hold | None:
    totals = situation.totals
    needed = (
        (totals.pool_cap_micros, totals.pool_micros),
        (limits.cap_campaign_micros, totals.campaign_micros),
        (limits.cap_account_micros, totals.account_micros),
    )
    unknown = any(cap is not None and total is None for cap, total in needed)
    return Hold.UNKNOWN_TOTAL if unknown else None


def _caps(situation: Situation, limits: GuardrailConfig) -> list[tuple[int, int, Hold]]:
    """(total, cap, name) of every cap that is set and whose total is known."""
    totals = situation.totals
    caps = (
        (totals.pool_micros, totals.pool_cap_micros, Hold.CAP_POOL),
        (totals.campaign_micros, limits.cap_campaign_micros, Hold.CAP_CAMPAIGN),
        (totals.account_micros, limits.cap_account_micros, Hold.CAP_ACCOUNT),
    )
    return [(total, cap, name) for total, cap, name in caps if total is not None and cap is not None]


def _floors(values: list[int], limits: GuardrailConfig) -> list[tuple[int, Hold]]:
    return [(room(values, limits.velocity_ppm)[0], Hold.VELOCITY), (limits.budget_min_micros, Hold.BUDGET_MIN)]


def _ceilings(current: int, values: list[int], situation: Situation, limits: GuardrailConfig) -> list[tuple[int, Hold]]:
    ceilings = [(room(values, limits.velocity_ppm)[1], Hold.VELOCITY), (limits.budget_max_micros, Hold.BUDGET_MAX)]
    # A scope that is over its cap already (a person did it) bars raises; it does not forbid reductions.
    ceilings += [(current + max(0, cap - total), name) for total, cap, name in _caps(situation, limits)]
    return ceilings


def _names(limits: list[tuple[int, Hold]], bound: int) -> tuple[str, ...]:
    return tuple(name for value, name in limits if value == bound)


def _broken(value: int, values: list[int], situation: Situation, limits: GuardrailConfig) -> Hold | None:
    """Check a value against the definitions of the limits, not against the intervals that led to it."""
    current = values[-1]
    if value % limits.round_micros:
        return Hold.ROUNDING
    if value < limits.budget_min_micros:
        return Hold.BUDGET_MIN
    if value > limits.budget_max_micros:
        return Hold.BUDGET_MAX
    if not fits(values, value, limits.velocity_ppm):
        return Hold.VELOCITY
    for total, cap, reason in _caps(situation, limits):
        if value > current and total - current + value > cap:
            return reason
    return None


def _autonomy_bar(situation: Situation) -> Hold | None:
    """What the owner granted: look on, propose (a person acts by hand), send what a person approved, act."""
    if situation.autonomy is Level.OBSERVE:
        return Hold.AUTONOMY_OBSERVE
    if situation.autonomy is Level.PROPOSE:
        return Hold.AUTONOMY_PROPOSE
    if situation.autonomy is Level.APPROVE and not situation.approved:
        return Hold.AWAITING_APPROVAL
    return None
