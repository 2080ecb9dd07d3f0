"""The workloads are what they say, and every row of the benchmark reaches the witness's exact answer on them."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bench import adversary, idiomatic, plain, samples, workload
from bench.plain import Answer
from engine.config import AccountConfig, EngineConfig
from engine.events import Refusal
from tests.reference.model import Reference

SAMPLES = Path(__file__).parents[2] / "samples"
COLUMNS = (
    "clicks",
    "platform_clicks",
    "impressions",
    "conversions",
    "revenue_micros",
    "pipeline_micros",
    "spend_micros",
)


def witness(lines: Iterable[bytes], config: EngineConfig, clock_ms: int) -> Reference:
    reference = Reference(config, clock_ms)
    for line in lines:
        reference.feed(line)
    reference.end()
    return reference


def answer_of(reference: Reference) -> Answer:
    rows = reference.ads()
    return {(row["tenant"], row["account"], row["ad_id"]): tuple(row[name] for name in COLUMNS) for row in rows}


@pytest.mark.parametrize(("events", "ads", "accounts", "seed"), [(50_000, 500, 6, 1), (5_000, 20, 2, 2)])
def test_plain_and_idiomatic_equal_the_witness(tmp_path: Path, events: int, ads: int, accounts: int, seed: int) -> None:
    lines = list(workload.generate(events, ads, accounts, seed))
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    reference = witness(lines, workload.config(accounts), workload.CLOCK_MS)
    assert reference.dead_letters() == []
    expected = answer_of(reference)
    for run in (plain.run, idiomatic.run):
        answer, cpu_seconds, counted = run(str(path))
        assert answer == expected
        assert counted == events
        assert cpu_seconds > 0


def test_the_workload_has_its_parts_and_is_late_by_at_most_300_s() -> None:
    lines = list(workload.generate(20_000, 100, 4, 3, pseudonyms=True))
    assert lines == list(workload.generate(20_000, 100, 4, 3, pseudonyms=True))
    assert lines != list(workload.generate(20_000, 100, 4, 4, pseudonyms=True))
    events = [json.loads(line) for line in lines]
    kinds = Counter(event["kind"] for event in events)
    assert [round(kinds[kind] / 200) for kind in ("click", "spend", "conversion", "crm_stage")] == [90, 6, 3, 1]
    assert len(lines) - len(set(lines)) == 400
    assert {event["tenant"] for event in events} == {"north", "south"}
    assert any("reverses" in event for event in events)
    newest = np.maximum.accumulate([event["occurred_at_ms"] for event in events])
    lag = newest - np.array([event["occurred_at_ms"] for event in events])
    assert 0 < lag.max() <= workload.DELAY_MS
    layers = Counter(row["layer"] for row in witness(lines, workload.config(4), workload.CLOCK_MS).attributions())
    assert set(layers) == {"click_key", "own_ad_id", "contact", None}


def test_the_answer_is_a_function_of_the_set_of_events() -> None:
    lines = list(workload.generate(4_000, 40, 2, 5))
    shuffled = np.random.default_rng(1).permutation(np.array(lines, dtype=object)).tolist()
    config = workload.config(2)
    assert answer_of(witness(lines, config, workload.CLOCK_MS)) == answer_of(
        witness(shuffled, config, workload.CLOCK_MS)
    )


def test_the_configuration_is_the_same_as_toml() -> None:
    tables = tomllib.loads(workload.config_toml(6))["tenants"]
    modes = {(t, a): table["mode"] for t, accounts in tables.items() for a, table in accounts["accounts"].items()}
    assert modes == {key: account.mode for key, account in workload.config(6).accounts.items()}


def test_the_adversary_meets_every_reason_and_every_line_has_one_end() -> None:
    reasons: Counter[str] = Counter()
    for seed, strict in ((1, False), (2, False), (3, False), (4, True)):
        lines = list(adversary.adversarial(seed, 4_000))
        assert lines == list(adversary.adversarial(seed, 4_000))
        reference = witness(lines, adversary.config(strict=strict), adversary.CLOCK_MS)
        counts = reference.counts
        reasons.update(reason for reason, _ in reference.dead_letters())
        others = counts["accepted"] + counts["duplicates"] + counts["conflicting_duplicates"] + counts["blank"]
        assert counts["lines"] == len(lines) == others + len(reference.dead_letters())
        assert min(counts[name] for name in ("accepted", "duplicates", "conflicting_duplicates", "blank")) > 0
    assert set(reasons) == {refusal.name.lower() for refusal in Refusal if 0 < refusal < Refusal.BLANK}


def test_the_sample_files_are_as_written_and_tell_their_story(tmp_path: Path) -> None:
    paths = samples.write(tmp_path)
    assert sum(path.stat().st_size for path in paths) <= 400_000
    for path in paths:
        assert path.read_bytes() == (SAMPLES / path.name).read_bytes()
    clinic = AccountConfig(mode="pipeline", stages=workload.SERVICE)
    reference = Reference(EngineConfig(accounts={("demo", "clinic"): clinic}), samples.END_MS)
    for path in paths[:2]:
        reference.feed_file(path.read_bytes())
    reference.end()
    assert reference.dead_letters() == []
    ads = {row["ad_id"]: row for row in reference.ads()}
    roas = {name: (row["revenue_micros"] + row["pipeline_micros"]) / row["spend_micros"] for name, row in ads.items()}
    assert roas["video_reviews"] > 3
    assert roas["static_discount"] < 0.5
    assert ads["static_discount"]["spend_micros"] > 200_000_000
    assert ads["creator_unboxing"]["spend_micros"] < 100_000_000
    assert roas["doctor_explains"] > 3
    assert roas["free_guide"] == 0
