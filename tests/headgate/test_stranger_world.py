"""A world that somebody else wrote, in a file of his own that knows nothing of Headgate, and what is listed of it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.worlds.protocol import WorldError
from headgate import listing
from headgate.asked import Asked
from headgate.explanation import explain
from headgate.refusal import Misused, Refused
from headgate.simulated_folder import NOTE, UNFINISHED
from headgate.worlds import play
from tests.headgate.test_cli import headgate, refused_in_one_line

HARBOUR = '''
import random

HOUR = 3_600_000


class Harbour:
    """Three ferry ads: one good, one bad, one between; what they are worth never changes."""

    def __init__(self, seed, **params):
        self.start_ms = 1_750_000_000_000 // HOUR * HOUR
        self.chance = random.Random(seed)
        self.params = {"catalog": True, "currency": "USD", "refused": 0.0, "unknown": 0.0, "junk": 0} | params
        self.worth = {"ferry-1": 6.0, "ferry-2": 0.1, "ferry-3": 1.6}
        self.budget = dict.fromkeys(self.worth, 120_000_000)
        self.paused = set()
        self.last = self.start_ms
        self.number = 0
        self.seen = []
        self.told = set()

    def event(self, kind, at, **fields):
        self.number += 1
        head = {"kind": kind, "event_id": f"e{self.number}", "tenant": "port.of:x", "account": "Ferry_9"}
        return head | {"source": "harbour", "occurred_at_ms": at} | fields

    def advance(self, until_ms):
        assert until_ms >= self.last, "time runs backwards"
        events = self.launch() if self.last == self.start_ms else []
        while (self.last // HOUR + 1) * HOUR <= until_ms:
            self.last = (self.last // HOUR + 1) * HOUR
            for ad in self.worth:
                events += self.hour(ad)
        self.last = until_ms
        events += [dict(event) for event in events if self.chance.random() < 0.1]
        self.chance.shuffle(events)
        return events

    def launch(self):
        if not self.params["catalog"] or self.told:
            return []
        self.told.add("launch")
        return [self.catalog(ad, self.start_ms) for ad in self.worth]

    def catalog(self, ad, at):
        return self.event(
            "catalog", at, ad_id=ad, ad_set_id=f"set-{ad}", campaign_id="sea", budget_entity=f"ad_set:{ad}",
            daily_budget_micros=self.budget[ad], status="paused" if ad in self.paused else "active",
            launched_at_ms=self.start_ms - 10 * 24 * HOUR, currency=self.params["currency"],
        )

    def hour(self, ad):
        if ad in self.paused:
            return []
        money = self.params["currency"]
        at = self.last
        spend = self.budget[ad] // 24
        found = [
            self.event("spend", at, ad_id=ad, period_start_ms=at - HOUR, period_end_ms=at, spend_micros=spend,
                       impressions=100, clicks=2, currency=money)
        ]
        for i in range(2):
            key = f"{ad}.{at // HOUR}.{i}"
            found.append(self.event("click", at - 1000, click_id=key, ad_id=ad))
            if self.chance.random() < 0.25:
                value = int(self.worth[ad] * spend * 2)
                found.append(self.event("conversion", at - 500, conversion_id=f"s{key}", type="ticket",
                                        value_micros=value, currency=money, click_id=key))
        if self.params["junk"]:
            found += [{"kind": "nonsense"}, self.event("spend", at, ad_id=ad), self.event("control", at, action="x"),
                      self.event("click", at, click_id="a b", ad_id=ad), {"kind": 2**70}, {}, {5: "five"},
                      self.event("click", at, click_id=2**64, ad_id=ad), self.event("click", at + 10**10, ad_id=ad,
                      click_id="far"), self.event("conversion", at, conversion_id="c", type="t", value_micros=-5,
                      currency=money), {"kind": "click", "event_id": "\\ud800"}]
        return found

    def apply(self, command, now_ms):
        assert set(command) == {"command_id", "budget_entity", "action", "value_micros", "expected_micros"}
        value, expected = int(command["value_micros"]), int(command["expected_micros"])
        assert type(command["value_micros"]) is int and type(command["expected_micros"]) is int
        ad = command["budget_entity"].removeprefix("ad_set:")
        self.seen.append([command["command_id"], ad, command["action"], value, expected, now_ms])
        luck = self.chance.random()
        if luck < self.params["refused"]:
            return {"result": "refused", "observed_micros": self.budget[ad]}
        if luck < self.params["refused"] + self.params["unknown"]:
            return {"result": "unknown", "observed_micros": self.budget[ad]}
        if command["action"] == "set_budget":
            self.budget[ad] = value
        elif command["action"] == "pause":
            self.paused.add(ad)
        else:
            self.paused.discard(ad)
        return {"result": "confirmed", "observed_micros": self.budget[ad]}

    def report(self):
        ads = {ad: {"budget_micros": budget, "paused": ad in self.paused} for ad, budget in self.budget.items()}
        return {"profit_micros": 1, "oracle_profit_micros": 2, "ads": ads, "seen": self.seen,
                "params": self.params, 7: {"a key": None}}


class Silent:
    def __init__(self, seed):
        self.start_ms = 1_750_000_000_000


class Broken(Harbour):
    def advance(self, until_ms):
        if until_ms > self.start_ms + 50 * HOUR:
            raise KeyError("the tide")
        return super().advance(until_ms)
'''


@pytest.fixture
def harbour(tmp_path: Path) -> str:
    file = tmp_path / "elsewhere" / "harbour.py"
    file.parent.mkdir()
    file.write_text(HARBOUR)
    return f"{file}:Harbour"


def run(
    world: str, tmp_path: Path, policy: str | None = None, days: float = 6, data: Path | None = None, **params: object
) -> dict[str, Any]:
    config = tmp_path / "headgate.toml"
    if not config.exists():
        config.write_text("")
    given = {key: str(value) for key, value in params.items()}
    return play(Asked(config, data, as_json=True), world, 5, days, policy, given)


def equal_part(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["world"] | {key: value for key, value in answer["engine"].items() if "cpu" not in key}


@pytest.mark.parametrize("policy", ["thresholds", "headgate"])
def test_a_strangers_world_is_played(harbour: str, tmp_path: Path, policy: str) -> None:
    answer = run(harbour, tmp_path, policy)
    engine, world = answer["engine"], answer["world"]
    assert engine["velocity_breaches"] == engine["cap_breaches"] == 0, engine["breach_examples"]
    assert engine["dead_letters"] == {}
    assert world["ads"]["ferry-1"]["budget_micros"] > 120_000_000, engine
    assert world["ads"]["ferry-2"]["paused"], engine
    assert engine["decisions"]["scale"] > 4
    assert engine["decisions"]["kill-proposed"] >= 1
    assert engine["commands"]["confirmed"] == engine["writes"] == len(world["seen"])
    assert engine["writes_per_ad_day"] == pytest.approx(len(world["seen"]) / 3 / 6, rel=0.1)
    assert engine["cpu_seconds"] > 0
    assert [row[3] for row in world["seen"] if row[2] == "pause"] == [0]
    assert world["7"] == {"a key": None}


def test_a_standing_wish_acts_once_a_window(harbour: str, tmp_path: Path) -> None:
    answer = run(harbour, tmp_path, "thresholds")
    moments = [row[5] for row in answer["world"]["seen"] if row[1] == "ferry-1"]
    steps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(steps) > 10
    window = 6 * 3_600_000
    assert all(window < step < window + 20_000 for step in steps[:10]), steps


def test_two_runs_are_equal_and_parameters_have_types(harbour: str, tmp_path: Path) -> None:
    params = {"refused": 0.2, "unknown": "0.2", "depth": 7, "flag": "true", "name": "blue"}
    first, second = (run(harbour, tmp_path, "thresholds", **params) for _ in range(2))
    assert equal_part(first) == equal_part(second)
    kept = first["world"]["params"]
    assert (kept["refused"], kept["depth"], kept["flag"], kept["name"]) == (0.2, 7, True, "blue")
    results = first["engine"]["commands"]
    assert results["refused"] > 0
    assert set(results) <= {"confirmed", "refused", "held", "unknown", "open"}
    assert first["engine"]["velocity_breaches"] == 0


def test_without_a_catalog_all_is_counted_and_nothing_is_moved(harbour: str, tmp_path: Path) -> None:
    engine = run(harbour, tmp_path, "thresholds", catalog=False)["engine"]
    assert engine["commands"] == {}
    assert engine["decisions"]["scale"] > 0
    assert engine["holds"]["unknown_entity"] > 0


def test_bad_events_are_counted_by_reason(harbour: str, tmp_path: Path) -> None:
    engine = run(harbour, tmp_path, days=2, junk=1)["engine"]
    expected = {"unknown_kind", "missing_field", "bad_id", "bad_type", "out_of_range", "future"}
    assert expected <= set(engine["dead_letters"])
    assert sum(engine["dead_letters"].values()) > 0.5 * engine["events"]
    assert sum(engine["decisions"].values()) > 0


def test_another_currency_wants_a_config(harbour: str, tmp_path: Path) -> None:
    engine = run(harbour, tmp_path, currency="EUR")["engine"]
    assert set(engine["dead_letters"]) == {"bad_currency"}
    (tmp_path / "headgate.toml").write_text('[tenants."port.of:x".accounts.Ferry_9]\ncurrency = "EUR"\n')
    engine = run(harbour, tmp_path, currency="EUR")["engine"]
    assert engine["dead_letters"] == {}
    assert engine["commands"]["confirmed"] > 0


def test_the_config_counts(harbour: str, tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text('[guardrails]\nprotected = ["ad_set:ferry-1"]\nbudget_max = 130\n')
    answer = run(harbour, tmp_path, "thresholds")
    assert answer["world"]["ads"]["ferry-1"]["budget_micros"] == 120_000_000
    assert answer["engine"]["holds"]["protected"] > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nobody", "there is no class Nobody"),
        ("Silent", "lacks advance(), apply(), report()"),
        ("Broken", "advance() failed: KeyError: 'the tide'"),
    ],
)
def test_a_wrong_world_is_one_line(harbour: str, tmp_path: Path, name: str, words: str) -> None:
    world = harbour.replace(":Harbour", f":{name}")
    done = headgate("simulate", "--world", world, "--days", 3, "--data", tmp_path / "d", cwd=tmp_path)
    assert words in refused_in_one_line(done, 1)
    assert not (tmp_path / "d").exists() or not list((tmp_path / "d").iterdir())
    with pytest.raises(WorldError):
        play(Asked(), str(tmp_path / "nowhere.py:Harbour"), 1, 1, None, {})
    with pytest.raises(Misused, match="there is no"):
        play(Asked(), harbour, 1, 1, "treshold", {})


def test_what_was_played_can_be_listed(harbour: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    params: dict[str, object] = {"refused": 0.1, "unknown": 0.1, "junk": 1}
    answer = run(harbour, tmp_path, "thresholds", data=folder, **params)
    assert equal_part(answer) == equal_part(run(harbour, tmp_path, "thresholds", **params)), "keeping changes nothing"
    asked, engine, world = Asked(data=folder), answer["engine"], answer["world"]
    decisions = list(listing.decisions(asked))
    assert Counter(row["verdict"] for row in decisions) == engine["decisions"]
    assert len({row["decision_id"] for row in decisions}) == len(decisions)
    commands = list(listing.commands(asked))
    assert Counter(row["result"] or "open" for row in commands) == engine["commands"]
    sent = {row[0]: row[5] for row in world["seen"]}
    assert {row["command_id"]: row["sent_at_ms"] for row in commands if row["sent_at_ms"]} == sent
    assert all((row["confirmed_at_ms"] is not None) == (row["result"] == "confirmed") for row in commands)
    landed = {
        row["budget_entity"]: row for row in commands if (row["result"], row["action"]) == ("confirmed", "set_budget")
    }
    for entity, row in landed.items():
        assert row["observed_micros"] == world["ads"][entity.removeprefix("ad_set:")]["budget_micros"]
    ads = list(listing.ads(asked))
    assert {row["ad_id"] for row in ads} == set(world["ads"])
    assert {(row["tenant"], row["account"]) for row in ads} == {("port.of:x", "Ferry_9")}
    conversions = [row for row in listing.attributions(asked) if row["credit_ppm"]]
    assert len(conversions) == sum(row["conversions"] for row in ads) > 10
    assert Counter(row["reason"] for row in listing.dead_letters(asked)) == engine["dead_letters"]
    status = listing.status(asked)
    assert (status["idle"], status["dead_letters"]) == (True, sum(engine["dead_letters"].values()))
    assert status["decisions"] == len(decisions)
    assert explain(asked, "ferry-2")["ad_id"] == "ferry-2"


def test_a_simulated_folder_is_neither_fed_nor_overwritten(harbour: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    run(harbour, tmp_path, days=1, data=folder)
    (tmp_path / "some.ndjson").write_text(json.dumps({"kind": "click"}))
    for words in (
        ("run", "--events", tmp_path / "some.ndjson"),
        ("ingest", "--events", tmp_path / "some.ndjson"),
        ("execute", "--until-idle"),
    ):
        assert "holds a simulation" in refused_in_one_line(headgate(*words, "--data", folder, cwd=tmp_path), 1)
    assert "keeps no log" in refused_in_one_line(headgate("replay", "--data", folder, cwd=tmp_path), 1)
    with pytest.raises(Refused, match="is not empty"):
        run(harbour, tmp_path, days=1, data=folder)
    (folder / NOTE).rename(folder / UNFINISHED)
    with pytest.raises(Refused, match="did not come to its end"):
        list(listing.ads(Asked(data=folder)))


def test_servers_in_the_settings_are_left_alone(harbour: str, tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text(
        '[state]\nurl = "redis://127.0.0.1:1"\n[ledger]\nurl = "redis://127.0.0.1:1"\n[log]\nshards = 3\n'
    )
    folder = tmp_path / "kept"
    folder.mkdir()
    answer = run(harbour, tmp_path, "thresholds", days=3, data=folder)
    commands = list(listing.commands(Asked(tmp_path / "headgate.toml", folder)))
    assert len(commands) == sum(answer["engine"]["commands"].values()) > 0
