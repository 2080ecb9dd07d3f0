"""Each limit on both sides of its threshold, and what must hold over every history and every sliding window."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import GuardrailConfig, Level
from engine.guardrails import Action, Held, Hold, Permitted, Proposal, Situation, Totals, judge
from engine.velocity import Change, fits, path, room

HOUR = 3_600_000
NOW = 1_700_000_000_000
UNIT = 1_000_000
LIMITS = GuardrailConfig()
CALM = Situation(
    now_ms=NOW,
    autonomy=Level.ACT,
    stopped=False,
    current_micros=50 * UNIT,
    changes=(),
    entity_writes=0,
    campaign_writes=0,
    account_writes=0,
    in_flight=(),
    spend_seen_ms=NOW,
    conversion_seen_ms=NOW,
    in_zone=False,
    holdout=False,
)


def move(value_micros: int, **more: object) -> Proposal:
    return Proposal(budget_entity="ad_set:1", action=Action.SET_BUDGET, value_micros=value_micros, **more)


PAUSE = Proposal(budget_entity="ad_set:1", action=Action.PAUSE, value_micros=0)
RESUME = Proposal(budget_entity="ad_set:1", action=Action.RESUME, value_micros=0)


def test_a_small_wish_passes_untouched() -> None:
    assert judge(move(55 * UNIT), CALM, LIMITS) == Permitted(55 * UNIT)


def test_a_large_wish_is_clamped_by_velocity_and_says_so() -> None:
    assert judge(move(500 * UNIT), CALM, LIMITS) == Permitted(60 * UNIT, ("velocity",))
    assert judge(move(UNIT), CALM, LIMITS) == Permitted(40 * UNIT, ("velocity",))


def test_fuzz_comes_before_the_clamp() -> None:
    assert judge(move(55 * UNIT, fuzz_ppm=20_000), CALM, LIMITS) == Permitted(56_100_000)
    assert judge(move(60 * UNIT, fuzz_ppm=30_000), CALM, LIMITS) == Permitted(60 * UNIT, ("velocity",))
    assert judge(move(60 * UNIT, fuzz_ppm=-30_000), CALM, LIMITS) == Permitted(58_200_000)


def test_fuzz_never_turns_a_raise_into_a_reduction_and_never_makes_a_change_of_none() -> None:
    tiny = replace(LIMITS, change_min_ppm=0)
    assert judge(move(50_100_000, fuzz_ppm=-30_000), CALM, tiny) == Held("change_min")
    assert judge(move(50 * UNIT, fuzz_ppm=30_000), CALM, tiny) == Held("change_min")
    assert judge(move(51 * UNIT, fuzz_ppm=30_000), CALM, LIMITS) == Held("change_min")


def test_rounding_is_half_up_on_the_grid_and_inward_at_a_limit() -> None:
    assert judge(move(55_004_999), CALM, LIMITS) == Permitted(55_000_000)
    assert judge(move(55_005_000), CALM, LIMITS) == Permitted(55_010_000)
    odd = replace(CALM, current_micros=33_333_333)
    assert judge(move(50 * UNIT), odd, LIMITS) == Permitted(39_990_000, ("velocity",))
    assert judge(move(UNIT), odd, LIMITS) == Permitted(26_670_000, ("velocity",))


CASES = [
    ("stopped", {"stopped": True}, {"stopped": False}),
    ("unknown_switch", {"stopped": None}, {"stopped": False}),
    ("holdout", {"holdout": True}, {"holdout": False}),
    ("unknown_holdout", {"holdout": None}, {"holdout": False}),
    ("stale_spend", {"spend_seen_ms": NOW - 36 * HOUR - 1}, {"spend_seen_ms": NOW - 36 * HOUR}),
    ("stale_spend", {"spend_seen_ms": None}, {"spend_seen_ms": NOW}),
    ("stale_conversions", {"conversion_seen_ms": NOW - 168 * HOUR - 1}, {"conversion_seen_ms": NOW - 168 * HOUR}),
    ("stale_conversions", {"conversion_seen_ms": None}, {"conversion_seen_ms": NOW}),
    ("unknown_writes", {"campaign_writes": None}, {"campaign_writes": 0}),
    ("autonomy_observe", {"autonomy": Level.OBSERVE}, {"autonomy": Level.ACT}),
    ("autonomy_propose", {"autonomy": Level.PROPOSE}, {"autonomy": Level.ACT}),
    ("awaiting_approval", {"autonomy": Level.APPROVE}, {"autonomy": Level.APPROVE, "approved": True}),
]


@pytest.mark.parametrize("wish", [move(55 * UNIT), PAUSE, RESUME], ids=lambda wish: wish.action)
@pytest.mark.parametrize(("reason", "barred", "free"), CASES)
def test_every_action_meets_the_common_bars(reason: str, barred: dict, free: dict, wish: Proposal) -> None:
    assert judge(wish, replace(CALM, **barred), LIMITS) == Held(reason)
    assert isinstance(judge(wish, replace(CALM, **free), LIMITS), Permitted)


MOVES = [
    ("unknown_budget", {"current_micros": None}, {"current_micros": 50 * UNIT}),
    ("unknown_history", {"changes": None}, {"changes": ()}),
    ("unknown_flight", {"in_flight": None}, {"in_flight": ()}),
    ("in_flight", {"in_flight": (Action.SET_BUDGET,)}, {"in_flight": ()}),
    (
        "cooldown",
        {"changes": (Change(NOW - 6 * HOUR + 1, 50 * UNIT, 50 * UNIT),)},
        {"changes": (Change(NOW - 6 * HOUR, 50 * UNIT, 50 * UNIT),)},
    ),
    ("rate_entity", {"entity_writes": 1}, {"entity_writes": 0}),
    ("rate_campaign", {"campaign_writes": 14}, {"campaign_writes": 13}),
    ("rate_account", {"account_writes": 99}, {"account_writes": 98}),
]


@pytest.mark.parametrize("wish", [move(55 * UNIT), RESUME], ids=lambda wish: wish.action)
@pytest.mark.parametrize(("reason", "barred", "free"), MOVES)
def test_moves_and_resumes_meet_their_bars(reason: str, barred: dict, free: dict, wish: Proposal) -> None:
    assert judge(wish, replace(CALM, **barred), LIMITS) == Held(reason)
    assert isinstance(judge(wish, replace(CALM, **free), LIMITS), Permitted)


STOPS = [
    ("ignorance_zone", {"in_zone": True}, {"in_zone": False}),
    ("unknown_zone", {"in_zone": None}, {"in_zone": False}),
    ("unknown_flight", {"in_flight": None}, {"in_flight": ()}),
    ("in_flight", {"in_flight": (Action.PAUSE,)}, {"in_flight": (Action.SET_BUDGET,)}),
    ("rate_entity", {"entity_writes": 2}, {"entity_writes": 1}),
    ("rate_campaign", {"campaign_writes": 15}, {"campaign_writes": 14}),
    ("rate_account", {"account_writes": 100}, {"account_writes": 99}),
]


@pytest.mark.parametrize(("reason", "barred", "free"), STOPS)
def test_a_stop_meets_zone_rates_and_its_like_in_flight(reason: str, barred: dict, free: dict) -> None:
    assert judge(PAUSE, replace(CALM, **barred), LIMITS) == Held(reason)
    assert isinstance(judge(PAUSE, replace(CALM, **free), LIMITS), Permitted)


def test_a_stop_is_not_delayed_by_velocity_cooldown_or_an_unknown_budget() -> None:
    wild = replace(CALM, current_micros=None, changes=(Change(NOW, 10 * UNIT, 90 * UNIT),), in_zone=False)
    assert isinstance(judge(PAUSE, wild, LIMITS), Permitted)
    assert isinstance(judge(PAUSE, replace(wild, changes=None), LIMITS), Permitted)


def test_the_zone_bars_stops_only() -> None:
    assert isinstance(judge(move(45 * UNIT), replace(CALM, in_zone=True), LIMITS), Permitted)


def test_protected_entities_are_not_touched_by_anything() -> None:
    limits = replace(LIMITS, protected=("ad_set:1",))
    for wish in (move(55 * UNIT), PAUSE, RESUME):
        assert judge(wish, CALM, limits) == Held("protected")
    assert isinstance(judge(replace(PAUSE, budget_entity="ad_set:2"), CALM, limits), Permitted)


def test_the_minimum_change_on_both_sides() -> None:
    assert judge(move(51_500_000), CALM, LIMITS) == Permitted(51_500_000)
    assert judge(move(51_490_000), CALM, LIMITS) == Held("change_min")
    assert judge(move(48_500_000), CALM, LIMITS) == Permitted(48_500_000)
    assert judge(move(48_510_000), CALM, LIMITS) == Held("change_min")
    assert judge(move(52 * UNIT, fuzz_ppm=-20_000), CALM, LIMITS) == Held("change_min")


def test_budget_limits_on_both_sides() -> None:
    limits = replace(LIMITS, budget_min_micros=45 * UNIT, budget_max_micros=55 * UNIT)
    assert judge(move(45 * UNIT), CALM, limits) == Permitted(45 * UNIT)
    assert judge(move(44 * UNIT), CALM, limits) == Permitted(45 * UNIT, ("budget_min",))
    assert judge(move(55 * UNIT), CALM, limits) == Permitted(55 * UNIT)
    assert judge(move(56 * UNIT), CALM, limits) == Permitted(55 * UNIT, ("budget_max",))
    assert judge(move(40 * UNIT), replace(CALM, current_micros=45 * UNIT), limits) == Held("budget_min")
    assert judge(move(60 * UNIT), replace(CALM, current_micros=55 * UNIT), limits) == Held("budget_max")


@pytest.mark.parametrize(
    ("name", "limits", "totals"),
    [
        ("cap_account", replace(LIMITS, cap_account_micros=100 * UNIT), {"account_micros": 95 * UNIT}),
        ("cap_campaign", replace(LIMITS, cap_campaign_micros=100 * UNIT), {"campaign_micros": 95 * UNIT}),
        ("cap_pool", LIMITS, {"pool_micros": 95 * UNIT, "pool_cap_micros": 100 * UNIT}),
    ],
)
def test_caps_on_totals(name: str, limits: GuardrailConfig, totals: dict) -> None:
    known = replace(CALM, totals=Totals(**totals))
    assert judge(move(55 * UNIT), known, limits) == Permitted(55 * UNIT)
    assert judge(move(57 * UNIT), known, limits) == Permitted(55 * UNIT, (name,))
    full = dict.fromkeys(totals, 100 * UNIT)
    assert isinstance(judge(RESUME, replace(CALM, totals=Totals(**full)), limits), Permitted)
    over = {key: 120 * UNIT if key != "pool_cap_micros" else value for key, value in totals.items()}
    assert judge(move(55 * UNIT), replace(CALM, totals=Totals(**over)), limits) == Held(name)
    assert judge(move(45 * UNIT), replace(CALM, totals=Totals(**over)), limits) == Permitted(45 * UNIT)
    assert judge(RESUME, replace(CALM, totals=Totals(**over)), limits) == Held(name)
    blind = {key: None if key != "pool_cap_micros" else value for key, value in totals.items()}
    assert judge(move(55 * UNIT), replace(CALM, totals=Totals(**blind)), limits) == Held("unknown_total")
    assert judge(move(45 * UNIT), replace(CALM, totals=Totals(**blind)), limits) == Permitted(45 * UNIT)


def test_a_budget_another_hand_changed_is_a_conflict() -> None:
    assert judge(move(55 * UNIT, expected_micros=49 * UNIT), CALM, LIMITS) == Held("conflict")
    assert isinstance(judge(move(55 * UNIT, expected_micros=50 * UNIT), CALM, LIMITS), Permitted)


def test_nonsense_is_held() -> None:
    assert judge(move(55 * UNIT, fuzz_ppm=30_001), CALM, LIMITS) == Held("bad_proposal")
    assert judge(move(-1), CALM, LIMITS) == Held("bad_proposal")
    assert judge(move(5 * UNIT), replace(CALM, current_micros=0), LIMITS) == Held("velocity")


def test_the_window_is_closed_and_slides() -> None:
    free = replace(LIMITS, cooldown_ms=0)
    earlier = Change(NOW - 6 * HOUR, 50 * UNIT, 60 * UNIT)
    at60 = replace(CALM, current_micros=60 * UNIT, changes=(earlier,))
    assert judge(move(66 * UNIT), at60, free) == Held("velocity")
    passed = replace(at60, changes=(replace(earlier, at_ms=NOW - 6 * HOUR - 1),))
    assert judge(move(72 * UNIT), passed, free) == Permitted(72 * UNIT)


def test_a_return_after_a_reduction_is_measured_from_the_lower_start() -> None:
    free = replace(LIMITS, cooldown_ms=0, velocity_ppm=500_000)
    # 100 -> 70 an hour ago; back to 100 is gross 60 of 100 in one window and 30 of 70 in a later one.
    down = replace(CALM, current_micros=70 * UNIT, changes=(Change(NOW - HOUR, 100 * UNIT, 70 * UNIT),))
    assert judge(move(100 * UNIT), down, free) == Permitted(90 * UNIT, ("velocity",))
    # With 20 % and a small first step the later, lower start binds.
    twice = replace(CALM, current_micros=90 * UNIT, changes=(Change(NOW - HOUR, 91 * UNIT, 90 * UNIT),))
    assert judge(move(120 * UNIT), twice, replace(LIMITS, cooldown_ms=0)) == Permitted(107_200_000, ("velocity",))


def test_a_strangers_change_between_ours_counts() -> None:
    changes = (Change(NOW - 2 * HOUR, 50 * UNIT, 51 * UNIT), Change(NOW - HOUR, 56 * UNIT, 57 * UNIT))
    assert path(changes, 58 * UNIT, NOW, 6 * HOUR) == [50 * UNIT, 51 * UNIT, 56 * UNIT, 57 * UNIT, 58 * UNIT]
    old = (Change(NOW - 7 * HOUR, 50 * UNIT, 51 * UNIT),)
    assert path(old, 58 * UNIT, NOW, 6 * HOUR) == [51 * UNIT, 58 * UNIT]


@given(
    st.integers(50, 200),
    st.lists(st.integers(-8, 8), max_size=6),
    st.integers(-40, 40),
    st.sampled_from([50_000, 100_000, 200_000, 333_333]),
)
def test_room_is_exactly_what_fits(start: int, steps: list[int], way: int, velocity_ppm: int) -> None:
    values = [start]
    for step in steps:
        values.append(values[-1] + step)
    low, high = room(values, velocity_ppm)
    target = values[-1] + way
    assert (low <= target <= high) == fits(values, target, velocity_ppm)


# --- every history, every window ------------------------------------------------------------------------------------

TIGHT = GuardrailConfig(
    max_changes_entity=3,
    max_changes_campaign=4,
    max_changes_account=6,
    budget_min_micros=8 * UNIT,
    budget_max_micros=70 * UNIT,
    cap_account_micros=150 * UNIT,
    cooldown_ms=0,
    change_min_ppm=10_000,
)
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, HOUR // 2, HOUR - 1, HOUR, HOUR + 1, 3 * HOUR, 6 * HOUR, 6 * HOUR + 1, 20 * HOUR]),
        st.integers(0, 2),
        st.sampled_from(["set", "set", "set", "set", "pause", "person"]),
        st.integers(100_000, 3_000_000),
        st.integers(-30_000, 30_000),
    ),
    max_size=40,
)


def windows_hold(start: int, moves: list[tuple[int, int, bool]], width: int, ppm: int) -> bool:
    """Every closed window that ends with an own move, by brute force: from every place before it."""
    values = [start] + [value for _, value, _ in moves]
    for last in range(len(moves)):
        if not moves[last][2]:
            continue  # a person may do as they like
        for first in range(last + 1):
            if moves[last][0] - moves[first][0] > width:
                continue
            seen = values[first : last + 2]
            gross = sum(abs(b - a) for a, b in pairwise(seen))
            net = max(abs(seen[-1] - value) for value in seen)
            if gross * 1_000_000 > ppm * seen[0] or net * 1_000_000 > ppm * seen[0]:
                return False
    return True


def most_in_a_window(times: list[int], width: int) -> int:
    return max((sum(1 for t in times if first <= t <= first + width) for first in times), default=0)


def within(times: list[int], now: int, width: int) -> int:
    return sum(1 for t in times if now - t <= width)


@settings(max_examples=300, deadline=None)
@given(steps, st.tuples(*[st.integers(8 * UNIT, 70 * UNIT)] * 3))
def test_replaying_what_was_permitted_breaks_no_limit(wishes: list, starts: tuple[int, int, int]) -> None:
    now = NOW
    budgets = list(starts)
    moves: list[list[tuple[int, int, bool]]] = [[], [], []]
    writes: list[list[int]] = [[], [], []]
    campaigns = (0, 0, 1)
    for wait, entity, what, share_ppm, fuzz in wishes:
        now += wait
        if what == "person":
            budgets[entity] = budgets[entity] * share_ppm // 1_000_000
            moves[entity].append((now, budgets[entity], False))
            continue
        values = [starts[entity]] + [value for _, value, _ in moves[entity]]
        campaign = [t for e in range(3) if campaigns[e] == campaigns[entity] for t in writes[e]]
        account = [t for e in range(3) for t in writes[e]]
        situation = replace(
            CALM,
            now_ms=now,
            current_micros=budgets[entity],
            changes=tuple(
                Change(t, a, b, own) for (a, b), (t, _, own) in zip(pairwise(values), moves[entity], strict=True)
            ),
            entity_writes=within(writes[entity], now, TIGHT.entity_window_ms),
            campaign_writes=within(campaign, now, TIGHT.campaign_window_ms),
            account_writes=within(account, now, TIGHT.account_window_ms),
            spend_seen_ms=now,
            conversion_seen_ms=now,
            totals=Totals(account_micros=sum(budgets)),
        )
        wish = move(budgets[entity] * share_ppm // 1_000_000, fuzz_ppm=fuzz) if what == "set" else PAUSE
        verdict = judge(wish, situation, TIGHT)
        assert judge(wish, situation, TIGHT) == verdict
        if isinstance(verdict, Held):
            continue
        writes[entity].append(now)
        if what == "pause":
            continue
        again = judge(move(verdict.value_micros), situation, TIGHT)
        assert again == Permitted(verdict.value_micros)
        before = sum(budgets)
        raised = verdict.value_micros > budgets[entity]
        budgets[entity] = verdict.value_micros
        moves[entity].append((now, verdict.value_micros, True))
        assert verdict.value_micros % TIGHT.round_micros == 0
        assert TIGHT.budget_min_micros <= verdict.value_micros <= TIGHT.budget_max_micros
        assert sum(budgets) <= TIGHT.cap_account_micros if raised else sum(budgets) < before
    for entity in range(3):
        assert windows_hold(starts[entity], moves[entity], TIGHT.velocity_window_ms, TIGHT.velocity_ppm)
        assert most_in_a_window(writes[entity], TIGHT.entity_window_ms) <= TIGHT.max_changes_entity
    for campaign in (0, 1):
        times = [t for e in range(3) if campaigns[e] == campaign for t in writes[e]]
        assert most_in_a_window(times, TIGHT.campaign_window_ms) <= TIGHT.max_changes_campaign
    assert most_in_a_window([t for w in writes for t in w], TIGHT.account_window_ms) <= TIGHT.max_changes_account


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_moves_alone_always_leave_a_write_for_a_stop(entity: int, campaign: int, account: int) -> None:
    rates = replace(CALM, entity_writes=entity, campaign_writes=campaign, account_writes=account)
    if not isinstance(judge(move(55 * UNIT), rates, LIMITS), Held):
        after = replace(rates, entity_writes=entity + 1, campaign_writes=campaign + 1, account_writes=account + 1)
        assert isinstance(judge(PAUSE, after, LIMITS), Permitted)


KNOWLEDGE = [field.name for field in fields(Situation) if "None" in str(field.type)]
some = st.integers(1, 100).map(lambda value: value * UNIT)


@given(
    st.sampled_from([Action.SET_BUDGET, Action.PAUSE, Action.RESUME]),
    some,
    some,
    st.lists(st.sampled_from(KNOWLEDGE), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([(), (Change(NOW - 8 * HOUR, 40 * UNIT, 45 * UNIT),), (Change(NOW - HOUR, UNIT, UNIT),)]),
)
def test_knowing_less_never_permits_more(
    action: Action, current: int, wish: int, forgotten: list[str], zone: bool, writes: int, changes: tuple
) -> None:
    known = replace(CALM, current_micros=current, in_zone=zone, entity_writes=writes, changes=changes)
    proposal = Proposal(budget_entity="ad_set:1", action=action, value_micros=wish)
    less = judge(proposal, replace(known, **dict.fromkeys(forgotten)), LIMITS)
    if isinstance(less, Permitted):
        assert judge(proposal, known, LIMITS) == less


def test_all_reasons_are_distinct_words() -> None:
    assert len({hold.value for hold in Hold}) == len(list(Hold))
