"""Each benchmark runs, says what it promises to say, and is exact; how fast is not a matter for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import commit, flow, harness, latency, recovery
from bench.latency import latencies_ms
from headgate.refusal import Refused

ROOT = Path(__file__).parents[2]


def test_every_row_of_the_flow_bench_reaches_the_same_answer():
    answer = flow.measure(events=3_000, ads=60, accounts=6, seed=2)
    assert [row["row"] for row in answer["rows"]] == ["plain-dict", "bytewax-idiomatic", "engine", "flow"]
    for row in answer["rows"]:
        assert row["exact"] is True, row
        assert min(row[name] for name in ("events_per_cpu_s", "wall_events_per_s", "peak_mb")) > 0
    last = answer["rows"][-1]
    assert last["server_cpu_s"] >= 0
    assert last["events_per_cpu_s_with_server"] <= last["events_per_cpu_s"]
    assert last["commits"] >= 6
    ratio = last["events_per_cpu_s"] / answer["rows"][1]["events_per_cpu_s"]
    assert answer["ratio_to_idiomatic"] == pytest.approx(ratio, rel=0.01, abs=0.01)
    assert answer["machine"]["cores"] >= 1
    assert answer["collector"] == "on"


def test_a_wrong_answer_is_told():
    shown = flow.as_shown("flow", {"answer": "b", "events": 5, "cpu_s": 1, "wall_s": 1, "peak_mb": 1}, 5, "a")
    assert shown["exact"] is False
    shown = flow.as_shown("flow", {"answer": "a", "events": 4, "cpu_s": 1, "wall_s": 1, "peak_mb": 1}, 5, "a")
    assert shown["exact"] is False


def test_commit_costs_are_those_of_client_and_server():
    answer = commit.measure(rows=100, ads=200, commits=30)
    assert answer["client_ms_per_1000_rows"] > 0
    assert answer["server_ms_per_1000_rows"] > 0
    assert answer["delta_bytes"] > 100 * 100


def test_recovery_gives_back_what_was_stored():
    answer = recovery.measure(ads=2_000, clicks=20_000, runs=1)
    assert (answer["ads"], answer["clicks"]) == (2_000, 20_000)
    assert answer["exact"] is True
    assert answer["seconds"] > 0
    assert answer["peak_mb"] > answer["state_mb"] > 1


def test_latency_is_taken_of_every_event():
    answer = latency.measure(rate=500, seconds=1.0, warm_s=0.2)
    assert answer["rate"] == 500
    assert 400 <= answer["events"] <= 600
    assert 0 < answer["p50_ms"] <= answer["p99_ms"] <= answer["p999_ms"] <= answer["max_ms"]


def test_a_latency_ends_with_the_commit_that_covers_the_first_tick_behind_the_event():
    ms = 1_000_000
    appended = np.array(
        [
            (0, 1, 0, 0),  # a tick before it
            (0, 2, 3, 10 * ms),
            (1, 1, 1, 11 * ms),
            (0, 3, 2, 12 * ms),
            (0, 4, 0, 15 * ms),  # their tick
            (1, 2, 0, 15 * ms),
            (0, 5, 1, 16 * ms),
            (0, 6, 0, 25 * ms),
        ]
    )
    committed = np.array(
        [
            (0, 3, 14 * ms),  # covers the events, but no tick behind them
            (0, 5, 30 * ms),
            (1, 2, 31 * ms),
            (0, 6, 50 * ms),
        ]
    )
    assert sorted(latencies_ms(appended, committed, 0)) == [18.0, 18.0, 20.0, 20.0, 20.0, 20.0, 34.0]
    assert sorted(latencies_ms(appended, committed, 12 * ms)) == [18.0, 18.0, 34.0]
    with pytest.raises(ValueError, match="never committed"):
        latencies_ms(appended, committed[:3], 0)
    with pytest.raises(ValueError, match="no tick follows"):
        latencies_ms(appended[:-1], committed, 0)


def test_a_child_has_its_own_memory_and_its_failure_is_one_line():
    held = np.ones(40_000_000, np.uint8)
    with pytest.raises(Refused, match=r"bench: bench.flow:plain_dict failed \(FileNotFoundError"):
        harness.in_child("bench.flow:plain_dict", path="none.ndjson", accounts=2)
    own = int(subprocess.run(PEAK, cwd=ROOT, capture_output=True, text=True, check=True, env={}).stdout)
    assert own * 1e6 < held.size + 20e6 < harness.peak_mb() * 1e6 + 20e6


PEAK = [sys.executable, "-c", "from bench.harness import peak_mb; print(round(peak_mb()))"]


def test_the_command_prints_one_object_and_refuses_what_is_not_its_option():
    words = [sys.executable, "-m", "headgate", "bench", "commit", "--ads", "1000", "--json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"client_ms_per_1000_rows", "server_ms_per_1000_rows"} <= json.loads(done.stdout).keys()
    words[-3:] = ["--rate", "5"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "headgate: bench commit: --rate is not for it; it takes --ads\n"
