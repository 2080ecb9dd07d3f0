"""The lists, over a real embedded Redis into which the samples were committed."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from connectors.wire.decode import decode, line_fields
from engine.decision import pack
from engine.events import Kind, Refusal
from engine.hashing import partition
from engine.plan import Tick
from engine.shard import POLICIES, Shard
from engine.step import Lines, step
from headgate import listing
from headgate.asked import Asked
from headgate.explanation import explain, in_words
from headgate.refusal import Refused
from headgate.session import open_session
from headgate.settings_file import load_settings
from tests.headgate.test_cli import headgate

SAMPLES = Path(__file__).parents[2] / "samples"
BAD = [b'{"kind":"click"}', b"\xff", b"nonsense"]
ADS_KEYS = {
    "tenant", "account", "ad_id", "clicks", "platform_clicks", "impressions", "conversions", "conversions_ppm",
    "revenue_micros", "pipeline_micros", "spend_micros", "verdict", "reason", "posterior", "target_micros",
}  # fmt: skip


def sample_lines():
    return [line for name in ("shop", "clinic") for line in (SAMPLES / f"{name}.ndjson").read_bytes().splitlines()]


def by_shard(lines, shards):
    rows = sorted((json.loads(line) for line in lines), key=lambda row: row["occurred_at_ms"])
    found = {}
    for row in rows:
        found.setdefault(partition(row["tenant"], row["account"], shards), []).append(json.dumps(row).encode())
    return found


def commit_all(session, shard, lines):
    """What the decide flow does, in one commit."""
    state = Shard(shard, session.config)
    store = session.store(shard)
    store.acquire()
    store.load(state.tables)
    if not state.tables["shard"].used:
        state.tables["shard"].reserve(1)
        state.tables["shard"].used = 1
    state.rebuild()
    decoded = decode([b"\n".join(lines)], trusted=False)
    wanted = (Kind.CATALOG, Kind.OUTCOME, Kind.CONTROL)
    places = np.flatnonzero(np.isin(decoded.events["kind"], wanted) & (decoded.events["refusal"] == Refusal.ACCEPTED))
    details = {int(i): line_fields(decoded.data, decoded.events[i]) for i in places}
    stream = f"headgate.events.{shard:02d}"
    end_ms = max(json.loads(line)["occurred_at_ms"] for line in lines if line not in BAD)
    items = [
        Tick(end_ms, end_ms, False, stream, 1),
        Lines(decoded.data, decoded.events, stream, np.array([2]), details=details),
        Tick(end_ms, end_ms, True, stream, 3),
    ]
    output = step(state, items)
    outbox = [(n, {b"d": pack(rows, names, POLICIES, "h" * 32)}) for n, rows, names in output.decisions]
    outbox += [(n, {b"c": orjson.dumps(command.to_row())}) for n, command in output.commands]
    dead = []
    for letter in output.dead_letters:
        words = {b"reason": letter.reason, b"stream": stream, b"position": letter.position}
        dead.append((letter.number, {key: word.encode() for key, word in words.items()} | {b"raw": letter.raw}))
    assert store.commit({stream: 3}, sorted(outbox), dead).landed
    store.release()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    asked = Asked(config=SAMPLES / "headgate.toml", data=folder / "d")
    with open_session(asked, begin=True) as session:
        for shard, lines in by_shard(sample_lines(), len(session.shards)).items():
            commit_all(session, shard, lines)
    return asked


def test_nothing_to_read_is_refused_and_makes_no_folder(tmp_path):
    asked = Asked(data=tmp_path / "none")
    with pytest.raises(Refused, match="there is nothing in"):
        list(listing.ads(asked))
    assert not asked.folder.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="is a file"):
        list(listing.ads(Asked(data=tmp_path / "file")))


def test_ads_add_up_to_the_lines_of_the_files(asked):
    rows = list(listing.ads(asked))
    events = [json.loads(line) for line in sample_lines()]
    clicks = Counter({e["click_id"]: 1 for e in events if e["kind"] == "click"})
    assert all(set(row) == ADS_KEYS for row in rows)
    assert sum(row["clicks"] for row in rows) == len(clicks)
    assert [(r["tenant"], r["account"], r["ad_id"]) for r in rows] == sorted(
        (r["tenant"], r["account"], r["ad_id"]) for r in rows
    )
    assert {row["account"] for row in rows} == {"shop", "clinic"}
    assert all(row["verdict"] and row["reason"] for row in rows)


def test_attributions_have_a_row_for_each_conversion_and_deal(asked):
    rows = list(listing.attributions(asked))
    events = [json.loads(line) for line in sample_lines()]
    assert {r["conversion_id"] for r in rows if "conversion_id" in r} == {
        e["conversion_id"] for e in events if e["kind"] == "conversion" and "reverses" not in e
    }
    assert {r["deal_id"] for r in rows if "deal_id" in r} == {e["deal_id"] for e in events if e["kind"] == "crm_stage"}
    assert all((row["ad_id"] is None) == (row["credit_ppm"] == 0) == (row["layer"] is None) for row in rows)
    assert all(row["click_id"] for row in rows if row["layer"] == "click_key")


def test_decisions_come_newest_last_with_unique_ids(asked):
    rows = list(listing.decisions(asked))
    assert rows
    assert len({row["decision_id"] for row in rows}) == len(rows)
    assert [row["decided_at_ms"] for row in rows] == sorted(row["decided_at_ms"] for row in rows)


def test_commands_have_exactly_the_published_keys(asked):
    for row in listing.commands(asked):
        assert tuple(row) == listing.COMMAND_KEYS
        assert row["sent_at_ms"] is None


def test_explain_finds_an_ad_and_a_decision(asked):
    newest = list(listing.decisions(asked))[-1]
    assert explain(asked, newest["decision_id"]) == newest
    record = explain(asked, f"{newest['tenant']}/{newest['account']}/{newest['ad_id']}")
    assert record["ad_id"] == newest["ad_id"]
    assert newest["verdict"] in in_words(newest)[0]
    with pytest.raises(Refused, match="there is no decision about"):
        explain(asked, "nobody")


def test_status_tells_the_lag_and_the_counts(asked):
    with open_session(asked) as session:
        log = session.log()
        log.append(0, "test", 1, [b"\n".join(BAD)])
        before = log.end_offsets()[0]
    found = listing.status(asked)
    assert (found["idle"], found["lag"]) == (False, sum(before.values()))
    assert found["lines"] == len(sample_lines())
    with open_session(asked) as session:
        commit_all(session, 1, [*BAD, sample_lines()[0]])
    letters = list(listing.dead_letters(asked))
    assert [row["reason"] for row in letters] == ["missing_field", "not_utf8", "not_json"]
    assert [base64.b64decode(row["raw_base64"]) for row in letters] == BAD
    assert letters[0]["position"] == "2.0"
    assert listing.status(asked)["dead_letters"] == 3


def test_the_command_line_prints_lists_a_line_each(asked, tmp_path):
    done = headgate("ads", "--data", asked.data, "--config", asked.config, "--json", "--account", "shop", cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [row for row in listing.ads(asked) if row["account"] == "shop"]
    table = headgate("ads", "--data", asked.data, "--config", asked.config, cwd=tmp_path).stdout.splitlines()
    assert table[0].startswith("tenant\taccount\tad_id\t")


def test_settings_of_the_samples_are_good():
    config = load_settings(SAMPLES / "headgate.toml", {}).engine()
    assert config.of("demo", "clinic").mode == "pipeline"
