"""The simulated platform keeps what it acknowledged, and does what it is told as often as it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.simulated_platform import SimulatedPlatform, WorldPlatform, changes_in
from engine.proposal import Action
from engine.record import Answer, Reading, Request, Result

SET = Request("c-1", "acme", "act_1", "ad_set:1", Action.SET_BUDGET, 60, 50)
PAUSE = Request("c-2", "acme", "act_1", "ad_set:1", Action.PAUSE, None, None)
RESUME = replace(PAUSE, command_id="c-3", action=Action.RESUME)


def test_an_entity_never_changed_stands_as_the_command_expects(tmp_path: Path) -> None:
    platform = SimulatedPlatform(tmp_path / "deep" / "platform.ndjson")
    assert platform.read(SET) == Reading(50, paused=False)
    assert platform.read(RESUME) == Reading(None, paused=True)
    assert changes_in(tmp_path / "none") == []


def test_changes_survive_a_restart_and_belong_to_their_account(tmp_path: Path) -> None:
    path = tmp_path / "platform.ndjson"
    platform = SimulatedPlatform(path)
    assert platform.apply(SET, 7) == Answer(Result.CONFIRMED, 60)
    assert platform.apply(PAUSE, 8) == Answer(Result.CONFIRMED, 60)
    again = SimulatedPlatform(path)
    assert again.read(SET) == Reading(60, paused=True)
    assert again.apply(RESUME, 9) == Answer(Result.CONFIRMED, 60)
    assert again.read(SET) == Reading(60, paused=False)
    assert again.read(replace(SET, account="act_2")) == Reading(50, paused=False)
    assert [(line["command_id"], line["applied_at_ms"]) for line in changes_in(path)] == [
        ("c-1", 7),
        ("c-2", 8),
        ("c-3", 9),
    ]


def test_a_doubled_send_is_two_lines(tmp_path: Path) -> None:
    platform = SimulatedPlatform(tmp_path / "platform.ndjson")
    platform.apply(SET, 7)
    platform.apply(SET, 7)
    platform.edit(replace(SET, value_micros=70), 8)
    assert [line["by"] for line in changes_in(tmp_path / "platform.ndjson")] == ["headgate", "headgate", "person"]


def test_a_line_cut_off_by_a_crash_was_never_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "platform.ndjson"
    SimulatedPlatform(path).apply(SET, 7)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert SimulatedPlatform(path).read(SET) == Reading(60, paused=False)
    assert path.read_bytes() == whole


def test_what_one_process_changes_another_sees(tmp_path: Path) -> None:
    one, other = (SimulatedPlatform(tmp_path / "platform.ndjson") for _ in range(2))
    one.apply(SET, 7)
    assert other.read(SET) == Reading(60, paused=False)
    other.apply(PAUSE, 8)
    assert one.read(SET) == Reading(60, paused=True)
    assert len(changes_in(tmp_path / "platform.ndjson")) == 2


def test_a_line_that_another_process_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "platform.ndjson"
    platform = SimulatedPlatform(path)
    platform.apply(SET, 7)
    with path.open("ab") as file:
        file.write(b'{"command_id":"c-9"')
    assert platform.read(SET) == Reading(60, paused=False)
    platform.apply(PAUSE, 8)
    assert [line["command_id"] for line in changes_in(path)] == ["c-1", "c-2"]


class World:
    def __init__(self, *replies: dict[str, Any]) -> None:
        self.replies = list(replies)

    def apply(self, command: dict[str, Any], now_ms: int) -> dict[str, Any]:
        return self.replies.pop(0)


def test_a_world_stands_as_it_was_last_seen() -> None:
    world = World(
        {"result": "confirmed", "observed_micros": 60},
        {"result": "unknown", "observed_micros": 60},
        {"result": "confirmed", "observed_micros": 60},
    )
    platform = WorldPlatform(world)
    assert platform.read(SET) == Reading(50, paused=False)
    assert platform.apply(SET, 1) == Answer(Result.CONFIRMED, 60)
    assert platform.apply(PAUSE, 2) == Answer(Result.UNKNOWN, 60)
    assert platform.read(PAUSE) == Reading(60, paused=False)
    platform.apply(PAUSE, 3)
    assert platform.read(PAUSE) == Reading(60, paused=True)
    platform.see("acme", "act_1", "ad_set:1", Reading(65, paused=False))
    assert platform.read(SET) == Reading(65, paused=False)
