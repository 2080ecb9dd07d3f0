"""Worlds of any make are found, built and held to their protocol, or refused with one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.worlds.loader import load, parse
from connectors.worlds.protocol import CheckedWorld, World, WorldError

MARKET = "connectors.worlds.market:Market"
GOOD = """
from neighbour import START

class Good:
    def __init__(self, seed, pace=1):
        if pace < 0:
            raise ValueError("pace must not be negative")
        self.start_ms = START
        self.seed, self.pace = seed, pace
    def advance(self, until_ms): return []
    def apply(self, command, now_ms): return {"result": "confirmed", "observed_micros": 0}
    def report(self): return {"profit_micros": 0, "oracle_profit_micros": 0, "ads": {}}

class Half:
    start_ms = 0
    def __init__(self, seed): pass
    def advance(self, until_ms): return []

class Timeless(Good):
    def __init__(self, seed):
        super().__init__(seed)
        self.start_ms = "noon"

class Broken(Good):
    def __init__(self, seed):
        [][1]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "neighbour.py").write_text("START = 86_400_000\n")
    (tmp_path / "bad_syntax.py").write_text("class Good(:\n")
    (tmp_path / "bad_import.py").write_text("import no_such_module_anywhere\n")
    return tmp_path


def test_the_shipped_market_loads_with_parameters() -> None:
    world = load(MARKET, 5, {"ads": "3", "mode": "both", "daily_budget": "120", "season": "0"})
    assert isinstance(world, World)
    assert len(world.report()["ads"]) == 6
    assert world.settings() is not None


def test_a_file_loads_with_its_neighbours(folder: Path) -> None:
    world = load(f"{folder}/good.py:Good", 1, {"pace": "2"})
    assert world.start_ms == 86_400_000
    assert world.settings() is None
    assert world.advance(1) == []


@pytest.mark.parametrize(
    ("spec", "params", "fault"),
    [
        ("Market", {}, "name it as"),
        ("a.b:", {}, "name it as"),
        ("{folder}/none.py:Good", {}, "there is no file"),
        ("no_such_package.world:World", {}, "there is no module"),
        ("connectors.worlds.nothing:World", {}, "there is no module"),
        ("connectors.worlds.market:Markt", {}, "no class Markt.*it has Market"),
        ("{folder}/good.py:START", {}, "no class START.*Broken, Good, Half"),
        ("{folder}/good.py:Half", {}, r"lacks apply\(\), report\(\)"),
        ("{folder}/good.py:Timeless", {}, "start_ms must be an int"),
        ("{folder}/good.py:Broken", {}, "IndexError"),
        ("{folder}/good.py:Good", {"speed": "1"}, "unexpected keyword argument 'speed'"),
        ("{folder}/good.py:Good", {"pace": "-1"}, "pace must not be negative"),
        ("{folder}/bad_syntax.py:Good", {}, "SyntaxError"),
        ("{folder}/bad_import.py:Good", {}, "no_such_module_anywhere"),
        (MARKET, {"ads": "many"}, "ads must be a whole number"),
        (MARKET, {"adds": "3"}, "adds"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(folder: Path, spec: str, params: dict[str, str], fault: str) -> None:
    with pytest.raises(WorldError, match=fault) as raised:
        load(spec.format(folder=folder), 1, params)
    assert "\n" not in str(raised.value)


def test_parameters_are_read_as_what_they_look_like() -> None:
    read = [parse(text) for text in ("7", "-2", "1e3", "0.25", "True", "false", "direct", "")]
    assert read == [7, -2, 1000.0, 0.25, True, False, "direct", ""]
    assert [type(value) for value in read[:3]] == [int, int, float]


class Odd:
    """A world that answers what it was told to."""

    start_ms = 0

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def advance(self, until_ms: int) -> Any:
        return self._say()

    def apply(self, command: dict[str, Any], now_ms: int) -> Any:
        return self._say()

    def report(self) -> Any:
        return self._say()

    def _say(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("method", "arguments", "answer", "fault"),
    [
        ("advance", (1,), None, "list of events, not NoneType"),
        ("advance", (1,), [{}, "click"], "no dict: 'click'"),
        ("advance", (1,), KeyError("ad 3\nof 5"), r"advance\(\) failed: KeyError: .*ad 3"),
        ("apply", ({}, 1), [], "must return a dict, not list"),
        ("apply", ({}, 1), {"result": "done", "observed_micros": 1}, "confirmed, refused, unknown, not 'done'"),
        ("apply", ({}, 1), {"result": "confirmed", "observed_micros": 1.0}, "observed_micros must be an int"),
        ("apply", ({}, 1), {"result": "confirmed", "observed_micros": True}, "observed_micros must be an int"),
        ("report", (), {"ads": {}}, "lacks profit_micros, oracle_profit_micros"),
        ("report", (), 5, "must return a dict"),
    ],
)
def test_a_wrong_answer_is_one_line(method: str, arguments: tuple[Any, ...], answer: Any, fault: str) -> None:
    world = CheckedWorld(Odd(answer), "odd")
    with pytest.raises(WorldError, match=fault) as raised:
        getattr(world, method)(*arguments)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("world odd: ")
