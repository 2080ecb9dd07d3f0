"""The executor's loop on a real ledger and a simulated platform, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from connectors.simulated_platform import SimulatedPlatform, WorldPlatform, changes_in
from engine.config import AccountConfig, EngineConfig, GuardrailConfig
from engine.proposal import Action
from engine.record import Answer, Request, Result, State
from flows.execute import ExecutorError
from state.caller import Caller
from state.redis_client import connect
from tests.flows.execute_bench import (
    ACTING,
    START,
    UNIT,
    WIDE,
    Crash,
    House,
    UnreliablePlatform,
    command,
)
from tests.ledger_server import ledger_server


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
def house(caller: Caller, tmp_path: Path) -> House:
    return House(caller, tmp_path)


def granting(autonomy: Any, **limits: Any) -> EngineConfig:
    return EngineConfig(defaults=AccountConfig(autonomy=autonomy, guardrails=replace(WIDE, **limits)))


def ends(house: House) -> list[tuple[str, str | None, str]]:
    return [(r.state.value, r.result and r.result.value, r.reason) for r in house.ledger.records()]


def test_a_command_is_applied_read_back_and_told(house: House) -> None:
    house.outbox.put(0, command(1))
    house.executor().run_until_drained()
    (line,) = changes_in(house.file)
    assert (line["micros"], line["command_id"]) == (60 * UNIT, command(1).command_id)
    assert line["applied_at_ms"] >= command(1).not_before_ms
    assert ends(house) == [("confirmed", "confirmed", "")]
    (event,) = house.log.lines
    assert event["event_id"] == f"o-{command(1).command_id}-confirmed"
    assert (event["source"], event["value_micros"], event["observed_micros"]) == (
        "headgate.executor",
        60 * UNIT,
        60 * UNIT,
    )
    house.executor().run_until_drained()
    assert len(house.log.lines) == len(changes_in(house.file)) == 1


def test_observe_touches_nothing_and_tells_nothing(house: House) -> None:
    house.config = EngineConfig()
    house.outbox.put(0, command(1), command(2, autonomy="observe"))
    house.executor().run_until_drained()
    assert ends(house) == [("proposed", "held", "autonomy_observe")] * 2
    assert changes_in(house.file) == house.log.lines == []


def test_what_is_granted_now_counts_at_the_send(house: House) -> None:
    house.outbox.put(0, command(1))
    house.executor().turn()
    house.config = EngineConfig()
    house.executor().run_until_drained()
    assert ends(house) == [("approved", "held", "autonomy_observe")]
    assert changes_in(house.file) == []


def test_an_approval_lets_one_command_pass(house: House) -> None:
    house.config = granting("approve")
    house.outbox.put(0, command(1), command(2, budget_entity="ad_set:2"))
    house.executor().run_until_drained()
    first, _ = house.ledger.awaiting()
    assert changes_in(house.file) == []
    house.ledger.approve(first, house.time.now_ms)
    house.executor().run_until_drained()
    assert [line["command_id"] for line in changes_in(house.file)] == [first.command.command_id]
    house.time.sleep(3_600_000)
    house.executor().run_until_drained()
    assert ends(house) == [("confirmed", "confirmed", ""), ("failed", "held", "expired")]


def test_guardrails_hold_at_the_send(house: House) -> None:
    house.config = granting("act", velocity_ppm=100_000)
    house.outbox.put(0, command(1))
    house.executor().run_until_drained()
    assert ends(house) == [("approved", "held", "velocity")]
    assert house.log.results() == [(command(1).command_id, "held")]
    assert changes_in(house.file) == []


def test_rates_are_waited_for_and_velocity_sees_what_was_sent(house: House) -> None:
    house.config = granting("act", max_changes_entity=2, max_changes_campaign=2, velocity_ppm=250_000)
    house.outbox.put(0, command(1), command(2, budget_entity="ad_set:2", expires_at_ms=START + 9_000_000))
    house.executor().run_until_drained()
    first, second = changes_in(house.file)
    assert second["applied_at_ms"] - first["applied_at_ms"] > WIDE.campaign_window_ms
    now = house.time.now_ms
    late = {"not_before_ms": now, "expires_at_ms": now + 7_200_000, "expected_micros": 60 * UNIT}
    house.outbox.put(0, command(3, budget_entity="ad_set:2", value_micros=70 * UNIT, **late))
    house.executor().run_until_drained()
    assert ends(house)[2] == ("approved", "held", "velocity")


def test_a_persons_edit_is_a_conflict_and_then_backed_off_from(house: House) -> None:
    house.config = granting("act", cooldown_ms=6 * 3_600_000)
    house.executor().run_until_drained()
    one = command(1)
    house.ledger.observe(one, house.platform.read(Request.of(one)), 0, START)
    edit = replace(Request.of(one), value_micros=80 * UNIT)
    house.platform.edit(edit, START)
    house.outbox.put(0, one)
    house.executor().run_until_drained()
    house.outbox.put(0, command(2, expected_micros=80 * UNIT, value_micros=90 * UNIT))
    house.executor().run_until_drained()
    assert ends(house) == [("approved", "held", "conflict"), ("approved", "held", "cooldown")]


def test_pause_and_resume(house: House) -> None:
    house.outbox.put(0, command(1, action=Action.PAUSE, value_micros=None))
    house.executor().run_until_drained()
    house.outbox.put(0, command(2, action=Action.RESUME, value_micros=None))
    house.executor().run_until_drained()
    assert [(line["action"], line["paused"], line["micros"]) for line in changes_in(house.file)] == [
        ("pause", True, 50 * UNIT),
        ("resume", False, 50 * UNIT),
    ]
    assert {state for state, _, _ in ends(house)} == {"confirmed"}


@pytest.mark.parametrize("scope", ["global", "tenant:acme", "account:acme/act_1", "file"])
def test_each_kill_switch_stops_sends_until_it_is_lifted(house: House, scope: str) -> None:
    if scope == "file":
        house.switch.file.touch()
    else:
        house.switch.stop(scope, "ann", "why", START)
    house.outbox.put(0, command(1))
    executor = house.executor()
    for _ in range(40):
        executor.turn()
        house.time.sleep(500)
    assert changes_in(house.file) == []
    house.switch.file.unlink() if scope == "file" else house.switch.resume(scope)
    executor.run_until_drained()
    assert len(changes_in(house.file)) == 1


def test_a_switch_thrown_between_reservation_and_send_still_stops(house: House) -> None:
    def throw(moment: str) -> None:
        if moment == "after reserve":
            house.switch.stop("global", "ann", "", START)
        if moment == "after mark":
            house.switch.file.touch()

    house.outbox.put(0, command(1))
    house.time.sleep(10_000)
    house.executor(throw).turn()
    (record,) = house.ledger.records()
    assert (record.state, record.attempts) == (State.APPROVED, 0)
    house.switch.resume("global")
    house.switch.file.unlink()
    house.time.sleep(5_000)
    house.executor(lambda moment: throw(moment) if moment == "after mark" else None).turn()
    (record,) = house.ledger.records()
    assert (record.state, record.attempts, record.reason) == (State.APPROVED, 1, "stopped")
    assert changes_in(house.file) == []
    assert house.ledger.view(record.command, house.time.now_ms, WIDE).entity_writes == 0


def test_a_late_command_expires(house: House) -> None:
    house.outbox.put(0, command(1))
    house.time.sleep(3_600_001)
    house.executor().run_until_drained()
    assert ends(house) == [("failed", "held", "expired")]
    assert house.log.results() == [(command(1).command_id, "held")]


def test_a_refusal_and_an_unknown_platform_are_ends(house: House) -> None:
    class Refusing:
        def read(self, request: Request) -> Any:
            return SimulatedPlatform.read(house.platform, request)

        def apply(self, request: Request, now_ms: int) -> Answer:
            return Answer(Result.REFUSED, 50 * UNIT, "below_minimum")

    inner, house.platform = house.platform, Refusing()
    house.platform.read = inner.read
    house.outbox.put(0, command(1), command(2, budget_entity="ad_set:2", platform="nowhere"))
    house.executor().run_until_drained()
    assert ends(house) == [("refused", "refused", "below_minimum"), ("approved", "held", "unknown_platform")]


def test_garbage_in_the_outbox_is_one_clear_error(house: House) -> None:
    house.outbox.entries[0] = [{b"c": b"{}"}]
    with pytest.raises(ExecutorError, match="entry 1 of shard 0"):
        house.executor().turn()


def test_a_log_that_lost_its_tail_is_given_the_outcomes_again(house: House) -> None:
    house.outbox.put(0, command(1), command(2, budget_entity="ad_set:2"))
    house.executor().run_until_drained()
    before = house.log.results()
    house.log.lines.pop()
    house.log.sequences = {key: value - 1 for key, value in house.log.sequences.items()}
    house.executor().run_until_drained()
    assert house.log.results() == before


def test_a_world_is_a_platform(house: House) -> None:
    class World:
        def __init__(self) -> None:
            self.seen: list[dict[str, Any]] = []

        def apply(self, command: dict[str, Any], now_ms: int) -> dict[str, Any]:
            self.seen.append(command)
            return {"result": "confirmed", "observed_micros": command["value_micros"]}

    world = World()
    house.platform = WorldPlatform(world)
    house.outbox.put(0, command(1))
    house.executor().run_until_drained()
    assert ends(house) == [("confirmed", "confirmed", "")]
    assert set(world.seen[0]) == {
        "command_id",
        "budget_entity",
        "action",
        "value_micros",
        "expected_micros",
    }


# --- crashes ----------------------------------------------------------------------------------------------------------


def drive(house: House, random: Random, crash_rate: float, *, twins: bool = False) -> int:
    """Work until drained through crashes: each call may be the last of its process, before or after its effect."""
    crashes = 0

    def fate(moment: str) -> None:
        nonlocal crashes
        if random.random() < crash_rate:
            if twins and "apply" not in moment:
                # The process stands still instead; another one does the work, then this one goes on.
                house.time.sleep(random.choice([1, 6_000, 30_000]))
                other = house.executor()
                for _ in range(random.randrange(4)):
                    other.turn()
                return
            crashes += 1
            house.time.sleep(random.choice([0, 10, 5_000, 25_000]))
            raise Crash

    while True:
        try:
            house.executor(fate).run_until_drained()
        except Crash:
            continue
        return crashes


def run_case(caller: Caller, folder: Path, seed: int, **options: Any) -> tuple[Counter[str], list[str], House, int]:
    """One seeded case; gives how often each command was applied, the commands, the house and the crashes."""
    caller.client.flushall()
    folder.mkdir()
    random = Random(seed)
    house = House(caller, folder, settle_ms=options.pop("settle_ms", 20_000))
    if options.pop("bad_line", True):
        house.platform = UnreliablePlatform(house.platform, house.time, random, late_ms=15_000)
    number, crashes, names = 0, 0, []
    budgets = {(shard, entity): 50 * UNIT for shard in (0, 1) for entity in ("ad_set:1", "ad_set:2")}
    for _ in range(2):
        for (shard, entity), budget in budgets.items():
            number += 1
            # Every value is another one, so a reading tells whose it is.
            value = budget + (number + random.randrange(1, 50) * 100) * 10_000
            budgets[shard, entity] = value
            times = {"created_at_ms": house.time.now_ms, "not_before_ms": house.time.now_ms + random.randrange(9_000)}
            one = command(
                number,
                account=f"act_{shard}",
                budget_entity=entity,
                value_micros=value,
                expected_micros=budget,
                expires_at_ms=house.time.now_ms + 10**8,
                **times,
            )
            house.outbox.put(shard, one)
            names.append(one.command_id)
        crashes += drive(house, random, 0.08, **options)
    if isinstance(house.platform, UnreliablePlatform):
        house.platform.land(all_of_them=True)
    lines = changes_in(house.file)
    final = {(int(line["account"][-1]), line["budget_entity"]): line["micros"] for line in lines}
    house.final_right = final == budgets  # type: ignore[attr-defined]
    return Counter(line["command_id"] for line in lines), names, house, crashes


def assert_exact(applied: Counter[str], names: list[str], house: House) -> None:
    given_up = {r.command.command_id for r in house.ledger.records() if r.state is State.FAILED}
    told = Counter(house.log.results())
    assert max(told.values()) == 1
    assert max(applied.values(), default=0) <= 1, "a command was applied twice"
    if not given_up:
        assert applied == Counter(names), "a command was lost"
        assert house.final_right  # type: ignore[attr-defined]
        assert all(told[name, "confirmed"] == 1 for name in names)


def test_20_cases_of_each_kind(caller: Caller, tmp_path: Path) -> None:
    for seed in range(1000, 1020):
        for kind, options in (("good", {"bad_line": False}), ("bad", {}), ("twins", {"twins": True})):
            applied, names, house, _ = run_case(caller, tmp_path / f"{kind}-{seed}", seed, **options)
            assert_exact(applied, names, house)


@pytest.mark.slow
def test_200_cases_of_crashes_between_any_two_steps_with_a_good_line(caller: Caller, tmp_path: Path) -> None:
    crashes = 0
    for seed in range(200):
        applied, names, house, died = run_case(caller, tmp_path / str(seed), seed, bad_line=False)
        assert_exact(applied, names, house)
        assert {(r.state, r.reason) for r in house.ledger.records()} == {(State.CONFIRMED, "")}
        crashes += died
    assert crashes > 1000


@pytest.mark.slow
def test_60_cases_of_crashes_over_a_bad_line(caller: Caller, tmp_path: Path) -> None:
    given_up = 0
    for seed in range(60):
        applied, names, house, _ = run_case(caller, tmp_path / str(seed), seed)
        assert_exact(applied, names, house)
        given_up += sum(r.state is not State.CONFIRMED for r in house.ledger.records())
    assert given_up == 0


@pytest.mark.slow
def test_60_cases_of_processes_that_stand_still_while_another_works(caller: Caller, tmp_path: Path) -> None:
    for seed in range(60):
        applied, names, house, _ = run_case(caller, tmp_path / str(seed), seed, twins=True)
        assert_exact(applied, names, house)


def test_the_same_harness_finds_what_a_missing_settle_time_breaks(caller: Caller, tmp_path: Path) -> None:
    doubled = 0
    for seed in range(40):
        applied, _, _, _ = run_case(caller, tmp_path / str(seed), seed, settle_ms=0)
        doubled += sum(count > 1 for count in applied.values())
    assert doubled > 0


def test_limits_of_the_bench_are_the_ones_meant() -> None:
    assert ACTING.defaults.guardrails == WIDE
    assert GuardrailConfig() != WIDE
