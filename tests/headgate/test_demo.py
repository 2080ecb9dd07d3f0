"""`headgate demo`: the picture, the words, the folder, and the real thing for a few seconds."""

from __future__ import annotations

import io
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from connectors.worlds.market import Market
from headgate.asked import Asked
from headgate.demo import show, toml_of
from headgate.demo_view import AdLine, Frame, draw, in_words
from headgate.refusal import Refused
from headgate.settings_file import load_settings

DAY = 86_400_000


def record(**changes: Any) -> dict[str, Any]:
    row = {
        "decided_at_ms": 3 * DAY, "ad_id": "ad-1", "verdict": "scale", "because": "it pays", "held": None,
        "budget_micros": 50_000_000, "target_micros": 60_000_000,
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "day  3.0  ad-1: scale 50.00 to 60.00: it pays"),
        ({"held": "cap_pool"}, "day  3.0  ad-1: scale, held (cap pool): it pays"),
        ({"verdict": "pause", "target_micros": None}, "day  3.0  ad-1: pause, its budget stops: it pays"),
        ({"verdict": "hold", "target_micros": 50_000_000}, "day  3.0  ad-1: hold: it pays"),
    ],
)
def test_a_decision_in_words(changes: dict[str, Any], words: str) -> None:
    assert in_words(record(**changes), 0) == words


def text_of(frame: Frame | None) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(draw(frame))
    return console.export_text()


def test_the_picture_shows_where_the_money_moves() -> None:
    up = AdLine("ad-1", "active", "scale", "likely_good", 100_000_000, 250_000_000, 60_000_000, 50_000_000)
    down = AdLine("ad-2", "active", "reduce", "likely_bad", 100_000_000, 0, 40_000_000, 50_000_000)
    gone = AdLine("ad-3", "paused", "hold", "paused", 0, 0, 50_000_000, 50_000_000)
    text = text_of(Frame(2.5, 12.0, [up, down, gone], ["day 2: something"], {"decisions": 7, "commands": 2}))
    for words in ("+10.00", "-10.00", "2.50", "paused", "likely good", "day 2.5", "7 decisions", "day 2: something"):
        assert words in text
    assert "starting" in text_of(None)


def test_the_markets_settings_survive_as_a_file(tmp_path: Path) -> None:
    wanted = Market(1, mode="both").settings() | {"defaults": {"autonomy": "act"}}
    file = tmp_path / "headgate.toml"
    file.write_text(toml_of(wanted))
    assert tomllib.loads(file.read_text()) == wanted
    config = load_settings(file).engine()
    assert config.of("sim", "service").mode == "pipeline"
    assert config.of("sim", "shop").autonomy == "act"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(Refused, match="is not empty"):
        show(Asked(None, tmp_path, True), 5)


@pytest.mark.slow
def test_the_real_thing_decides_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "headgate", "demo", "--seconds", "14", "--json", "--data", str(folder)]
    done = subprocess.run(command, capture_output=True, timeout=110, check=True)
    answer = orjson.loads(done.stdout)
    assert set(answer) == {"first_decision_s", "decisions", "commands", "verdicts"}
    assert answer["first_decision_s"] < 60
    assert answer["decisions"] == sum(answer["verdicts"].values()) > 0
    assert b"--data" not in done.stderr
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in listing
    listed = [sys.executable, "-m", "headgate", "decisions", "--json", "--data", str(folder)]
    listed += ["--config", str(folder / "headgate.toml")]
    rows = subprocess.run(listed, capture_output=True, timeout=60, check=True).stdout.splitlines()
    assert len(rows) == answer["decisions"]
