"""The command line as a stranger meets it: quick help, exit codes, one clear line, never a traceback."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from state.kill_switch import FILE_NAME

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "demo", "run", "ingest", "decide", "execute", "status", "ads", "decisions", "explain", "commands", "attributions",
    "replay", "simulate", "stop", "resume", "config", "doctor", "schema", "deadletters", "bench",
)  # fmt: skip
HEAVY = ("numpy", "numba", "redis", "pydantic", "bytewax", "orjson", "msgspec", "rich")


def headgate(*words, cwd, **environment):
    words = [str(word) for word in words]
    keep = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "headgate", *words],
        cwd=cwd,
        env={**keep, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused_in_one_line(done, code):
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("headgate: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_help_takes_less_than_a_third_of_a_second_of_cpu(tmp_path):
    headgate("--help", cwd=tmp_path)
    costs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert headgate("--help", cwd=tmp_path).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < 0.3


def test_help_loads_nothing_heavy(tmp_path):
    code = f"import sys, headgate.__main__; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_is_listed_and_takes_the_three_options(tmp_path):
    listed = headgate("--help", cwd=tmp_path).stdout
    assert all(f"\n  {name} " in listed for name in COMMANDS)
    leaves = {"config": ["check"], "deadletters": ["list"]}
    for name in ("ads", "bench", "config", "deadletters"):
        shown = headgate(name, *leaves.get(name, []), "--help", cwd=tmp_path)
        assert shown.returncode == 0
        assert all(option in shown.stdout for option in ("--config", "--data", "--json"))


@pytest.mark.parametrize(
    "words",
    [
        ["adz"],
        ["ads", "--colour"],
        ["run"],
        ["run", "--events"],
        ["run", "--events", "x", "--as-of", "noon"],
        ["demo", "--seconds", "many"],
        ["bench", "speed"],
        ["decide", "--shards", "0-"],
        ["simulate", "--set", "budget"],
        ["explain"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two(tmp_path, words):
    refused_in_one_line(headgate(*words, cwd=tmp_path), 2)


def test_a_wrong_setting_is_one_line_with_place_and_mend(tmp_path):
    (tmp_path / "headgate.toml").write_text('[defaults]\nmod = "direct"\n')
    said = refused_in_one_line(headgate("config", "check", cwd=tmp_path), 1)
    assert said == 'headgate: headgate.toml:2: unknown key "mod" in [defaults]; did you mean "mode"?\n'
    answer = json.loads(headgate("config", "check", "--json", cwd=tmp_path).stdout)
    assert answer == {"ok": False, "problems": [said.removeprefix("headgate: ").strip()]}


def test_checking_nothing_is_no_success(tmp_path):
    refused_in_one_line(headgate("config", "check", cwd=tmp_path), 1)
    refused_in_one_line(headgate("config", "check", "--config", "none.toml", cwd=tmp_path), 1)


def test_missing_event_files_are_refused_before_anything_starts(tmp_path):
    (tmp_path / "a.ndjson").write_text("")
    said = refused_in_one_line(headgate("run", "--events", "a.ndjson", "b.ndjson", cwd=tmp_path), 1)
    assert "b.ndjson: there is no such file" in said
    refused_in_one_line(headgate("run", "--events", ".", cwd=tmp_path), 1)
    assert not (tmp_path / ".headgate").exists()


def test_options_count_before_and_after_the_command(tmp_path):
    (tmp_path / "c.toml").write_text("[log]\nshards = 4\n")
    for words in (
        ["--config", "c.toml", "--json", "config", "check"],
        ["config", "check", "--config", "c.toml", "--json"],
    ):
        assert json.loads(headgate(*words, cwd=tmp_path).stdout)["ok"]


def test_stop_and_resume_need_no_server(tmp_path):
    stopped = json.loads(headgate("stop", "--reason", "drill", "--data", "d", "--json", cwd=tmp_path).stdout)
    assert stopped["stopped"]
    assert stopped["reason"] == "drill"
    assert (tmp_path / "d" / "STOP").exists()
    assert (tmp_path / "d" / FILE_NAME).exists()  # the executor looks for the same file
    again = json.loads(headgate("stop", "--reason", "other", "--data", "d", "--json", cwd=tmp_path).stdout)
    assert again == stopped
    assert not json.loads(headgate("resume", "--data", "d", "--json", cwd=tmp_path).stdout)["stopped"]
    assert not (tmp_path / "d" / "STOP").exists()


def test_schema_has_every_kind_and_the_settings(tmp_path):
    answer = json.loads(headgate("schema", cwd=tmp_path).stdout)
    assert set(answer) == {"click", "conversion", "crm_stage", "spend", "catalog", "outcome", "control", "settings"}
    assert json.loads(headgate("schema", "spend", cwd=tmp_path).stdout)["additionalProperties"] is True
    assert 'did you mean "click"?' in refused_in_one_line(headgate("schema", "clik", cwd=tmp_path), 1)


def test_doctor_says_what_is_broken_and_how_to_mend_it(tmp_path):
    done = headgate("doctor", "--json", cwd=tmp_path, HEADGATE_STATE_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    broken = [row for row in rows if row["state"] == "broken"]
    assert [row["check"] for row in broken] == ["state"]
    assert "HEADGATE_STATE_URL" in broken[0]["mend"]


def test_a_reader_that_leaves_early_is_no_fault(tmp_path):
    command = f"{sys.executable} -m headgate schema | head -c 10"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == '{"click":{'
    assert "Traceback" not in done.stderr


WAIT = """
import time, headgate.cli, headgate.__main__
headgate.cli.app.command("wait")(lambda: (print("up", flush=True), time.sleep(30)))
headgate.__main__.main(["wait"])
"""
BURST = """
import headgate.cli, headgate.__main__
headgate.cli.app.command("burst")(lambda: {}["x"])
headgate.__main__.main(["burst"])
"""


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_one_line(sign):
    process = subprocess.Popen([sys.executable, "-c", WAIT], cwd=ROOT, stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "up\n"
    started = time.monotonic()
    process.send_signal(sign)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (1, "headgate: interrupted\n")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("debug", "has_trace"), [("", False), ("1", True)])
def test_a_fault_of_ours_is_one_line_unless_debugging(debug, has_trace):
    environment = {**os.environ, "HEADGATE_DEBUG": debug}
    done = subprocess.run(
        [sys.executable, "-c", BURST], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is has_trace
    assert "headgate: a fault of Headgate itself: KeyError" in done.stderr
