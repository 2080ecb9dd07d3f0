"""`headgate simulate`: the loop closes, every write is counted and checked, and wrong worlds end in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.worlds.market import Market
from connectors.worlds.protocol import CheckedWorld, WorldError
from engine.command import Command, Evidence
from engine.config import AccountConfig, EngineConfig, GuardrailConfig
from engine.events import Refusal
from engine.plan import Tick
from engine.proposal import Action
from engine.step import Lines, Output
from headgate.breaches import Breaches
from headgate.settings import Settings
from headgate.simulation import Simulation, fitting, simulate

HOUR = 3_600_000
DAY = 24 * HOUR


def config_of(market: Market) -> EngineConfig:
    return Settings.model_validate(market.settings()).engine()


def order(number: int, at_ms: int, value: int | None, **changes: Any) -> Command:
    """A command as the engine would make it for the first ad of the shop."""
    command = Command(
        command_id=f"c-{number}",
        decision_id=f"d-{number}",
        tenant="sim",
        account="shop",
        campaign_id="shop-campaign-001",
        budget_entity="ad_set:shop-set-001",
        platform="simulated",
        action=Action.SET_BUDGET if value is not None else Action.PAUSE,
        value_micros=value,
        expected_micros=25_000_000,
        created_at_ms=at_ms,
        not_before_ms=at_ms + 7_000,
        expires_at_ms=at_ms + HOUR,
        reason="test",
        autonomy="act",
        decision_number=number,
        evidence=Evidence(spend_seen_ms=at_ms, conversion_seen_ms=at_ms, in_zone=False, holdout=False),
    )
    return replace(command, **changes)


class Script:
    """A stand-in for the engine: gives out prepared commands at their ticks and keeps what it was handed."""

    def __init__(self, start_ms: int, commands: dict[int, list[Command]]) -> None:
        self.start_ms = start_ms
        self.commands = commands
        self.items: list[Any] = []

    def __call__(self, items: Sequence[Any]) -> Output:
        self.items += items
        hour = (items[-1].now_ms - self.start_ms) // HOUR
        assert isinstance(items[-1], Tick)
        return Output(commands=list(enumerate(self.commands.get(hour, []))))

    def outcomes(self) -> list[dict[str, Any]]:
        lines = [item for item in self.items if isinstance(item, Lines)]
        assert all(item.events["refusal"].max(initial=0) == Refusal.ACCEPTED for item in lines)
        return [row for item in lines for row in item.details.values() if row["kind"] == "outcome"]


def run_script(commands: dict[int, list[Command]], hours: int = 6, **params: Any) -> tuple[Simulation, Script, Market]:
    market = Market(1, launches=0, duplicates=0.0, **params)
    script = Script(market.start_ms, commands)
    simulation = Simulation(CheckedWorld(market, "market"), config_of(market), HOUR, script)
    for hour in range(1, hours + 1):
        simulation.tick(market.start_ms + hour * HOUR)
    return simulation, script, market


def start() -> int:
    return Market(1).start_ms


def test_a_command_lands_at_its_moment_and_its_outcome_comes_back() -> None:
    at_ms = start() + 2 * HOUR
    simulation, script, market = run_script({2: [order(1, at_ms, 28_000_000)]})
    assert market.report()["ads"]["shop-ad-001"]["budget_micros"] == 28_000_000
    (outcome,) = script.outcomes()
    assert outcome["occurred_at_ms"] == at_ms + 7_000
    assert (outcome["result"], outcome["observed_micros"]) == ("confirmed", 28_000_000)
    counts = simulation.counts()
    assert counts["commands"] == {"confirmed": 1}
    assert counts["writes"] == 1
    assert counts["writes_per_ad_day"] == pytest.approx(1 / 5, rel=0.05)
    assert counts["velocity_breaches"] == counts["cap_breaches"] == 0


def test_the_guardrails_stand_between_a_command_and_the_world() -> None:
    at_ms = start() + 2 * HOUR
    too_far = order(1, at_ms, 40_000_000)
    simulation, script, market = run_script({2: [too_far]})
    assert market.report()["ads"]["shop-ad-001"]["budget_micros"] == 25_000_000
    assert simulation.counts()["commands"] == {"held": 1}
    assert simulation.counts()["holds"] == {"velocity": 1}
    assert [outcome["result"] for outcome in script.outcomes()] == ["held"]


def test_a_newer_command_supersedes_and_a_wrong_expectation_is_held() -> None:
    at_ms = start() + 2 * HOUR
    older = order(1, at_ms, 28_000_000, not_before_ms=at_ms + 30 * 60_000)
    newer = order(2, at_ms, 26_000_000)
    stranger = order(3, at_ms + HOUR, 26_000_000, expected_micros=99_000_000)
    simulation, _, market = run_script({2: [older, newer], 3: [stranger]})
    assert market.report()["ads"]["shop-ad-001"]["budget_micros"] == 26_000_000
    assert simulation.counts()["commands"] == {"confirmed": 1, "held": 2}
    assert simulation.counts()["holds"] == {"superseded": 1, "conflict": 1}


def test_refused_and_unknown_answers_are_resolved() -> None:
    at_ms = start() + 2 * HOUR
    simulation, script, _ = run_script({2: [order(1, at_ms, 28_000_000)]}, refused_share=1.0)
    assert simulation.counts()["commands"] == {"refused": 1}
    assert [outcome["result"] for outcome in script.outcomes()] == ["refused"]
    simulation, script, market = run_script({2: [order(1, at_ms, 28_000_000)]}, hours=30, unknown_share=1.0)
    budget = market.report()["ads"]["shop-ad-001"]["budget_micros"]
    (outcome,) = script.outcomes()
    assert outcome["result"] == ("confirmed" if budget == 28_000_000 else "refused")
    assert market.report()["commands"]["repeated"] == 0


def test_pause_stops_spend() -> None:
    at_ms = start() + 2 * HOUR
    _, _, market = run_script({2: [order(1, at_ms, None)]}, hours=26)
    row = market.report()["ads"]["shop-ad-001"]
    assert row["status"] == "paused"
    assert row["spend_micros"] < 5_000_000


@pytest.mark.parametrize("policy", ["thresholds", "headgate"])
def test_the_whole_loop_moves_money_within_its_limits(policy: str) -> None:
    market = Market(2, mode="both", ads=8, daily_budget=400.0, days=10)
    shares: list[float] = []
    result = simulate(
        CheckedWorld(market, "market"),
        config_of(market),
        10,
        policy,
        on_progress=lambda share, simulation: shares.append(share),
    )
    engine = result["engine"]
    assert engine["velocity_breaches"] == engine["cap_breaches"] == 0, engine["breach_examples"]
    assert engine["dead_letters"] == {}
    assert engine["events"] > 2000
    assert sum(engine["decisions"].values()) > 10
    assert engine["commands"].get("confirmed", 0) == result["world"]["commands"]["confirmed"] > 0
    assert result["world"]["commands"]["repeated"] == 0
    assert len(result["world"]["ads"]) == 16
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_two_runs_of_a_seed_are_equal() -> None:
    def once() -> dict[str, Any]:
        market = Market(3, ads=6, unknown_share=0.1, refused_share=0.1)
        result = simulate(CheckedWorld(market, "market"), config_of(market), 5, "thresholds")
        return {name: value for name, value in result["engine"].items() if "cpu" not in name} | result["world"]

    assert once() == once()


class Liar:
    """Somebody's world: emits bad lines and trusted kinds."""

    start_ms = 1_700_000_000_000 // HOUR * HOUR

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def advance(self, until_ms: int) -> list[Any]:
        events, self.events = self.events, []
        return events

    def apply(self, command: dict[str, Any], now_ms: int) -> dict[str, Any]:
        return {"result": "confirmed", "observed_micros": 0}

    def report(self) -> dict[str, Any]:
        return {"profit_micros": 0, "oracle_profit_micros": 0, "ads": {}}


def test_bad_events_of_a_world_are_dead_letters() -> None:
    bad = [
        {"kind": "nonsense"},
        {"kind": "click"},
        {"kind": "control", "event_id": "x"},
        {"kind": "catalog", "ad_id": 5},
    ]
    result = simulate(CheckedWorld(Liar(bad), "liar"), EngineConfig(), 1)
    assert result["engine"]["dead_letters"] == {"missing_field": 2, "unknown_kind": 2}


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(WorldError, match="cannot be written as JSON"):
        simulate(CheckedWorld(Liar([{"kind": object()}]), "liar"), EngineConfig(), 1)


def shown(entity: str, budget: int, campaign: str = "k", pool: str | None = None) -> dict[str, Any]:
    return {
        "kind": "catalog", "tenant": "t", "account": "a", "campaign_id": campaign, "pool": pool,
        "budget_entity": entity, "daily_budget_micros": budget,
    }  # fmt: skip


def checker(**limits: Any) -> Breaches:
    pool = limits.pop("pool", None)
    account = AccountConfig(guardrails=GuardrailConfig(**limits), pool_daily_budget_micros=pool)
    breaches = Breaches(EngineConfig(defaults=account))
    for entity in ("e1", "e2"):
        breaches.saw(shown(entity, 100_000_000))
    return breaches


def test_the_checker_sees_velocity_net_and_gross() -> None:
    breaches = checker()
    breaches.wrote("t", "a", "e1", 0, 120_000_000)
    assert breaches.velocity == 0
    breaches.wrote("t", "a", "e1", 6 * HOUR, 121_000_000)
    assert breaches.velocity == 1, "a window is closed at both ends"
    breaches = checker()
    for at_ms, budget in ((0, 115_000_000), (HOUR, 108_000_000)):
        breaches.wrote("t", "a", "e1", at_ms, budget)
    assert breaches.velocity == 1, "there and back is movement too"
    breaches = checker()
    breaches.wrote("t", "a", "e1", 0, 120_000_000)
    breaches.wrote("t", "a", "e1", 6 * HOUR + 1, 144_000_000)
    assert breaches.velocity == 0


def test_the_checker_sees_caps() -> None:
    for limits, budget, count in (
        ({"budget_max_micros": 110_000_000}, 111_000_000, 1),
        ({"budget_min_micros": 90_000_000}, 89_000_000, 1),
        ({"cap_account_micros": 210_000_000}, 111_000_000, 1),
        ({"cap_campaign_micros": 210_000_000}, 110_000_000, 0),
        ({"pool": 205_000_000}, 106_000_000, 1),
        ({"cap_account_micros": 150_000_000}, 99_000_000, 0),
    ):
        breaches = checker(**limits)
        breaches.wrote("t", "a", "e1", 0, budget)
        assert breaches.caps == count, (limits, breaches.examples)
    breaches.wrote("t", "a", "e9", 0, 1)
    assert breaches.caps == 1


def test_without_a_file_the_worlds_own_settings_count(tmp_path: Path) -> None:
    market = CheckedWorld(Market(1, mode="both"), "market")
    assert len(fitting(market, Settings()).engine().accounts) == 2
    from_file = Settings().with_origin(tmp_path / "headgate.toml")
    assert fitting(market, from_file) is from_file
    liar = CheckedWorld(Liar([]), "liar")
    assert fitting(liar, Settings()).engine().accounts == {}


def test_settings_that_are_none_are_refused() -> None:
    liar = Liar([])
    liar.settings = lambda: {"tenants": 5}  # type: ignore[attr-defined] # a world may offer more than the protocol
    with pytest.raises(WorldError, match=r"no headgate\.toml: tenants"):
        fitting(CheckedWorld(liar, "liar"), Settings())
