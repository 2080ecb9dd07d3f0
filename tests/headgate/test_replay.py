"""Replay derives what stands, and finds what was tampered with: an outbox entry, a log entry, a dead letter, a row."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import workload
from headgate.asked import Asked
from headgate.refusal import Refused
from headgate.replay import replay
from headgate.roles import decide_flow, feed_files, run_flow
from headgate.session import open_session
from state.store import ShardStore

ROOT = Path(__file__).parents[2]
CATALOG = (
    '{{"kind":"catalog","event_id":"cat{n}","tenant":"{t}","account":"{a}","source":"ads","occurred_at_ms":{at},'
    '"ad_id":"ad_{n:06d}","ad_set_id":"s{n}","campaign_id":"c1","budget_entity":"ad_set:s{n}","status":"active",'
    '"daily_budget_micros":100000000,"launched_at_ms":{at},"currency":"USD"}}'
)


def lines():
    """A workload with budgets, so that commands are made, and lines that are refused."""
    names = [workload.account_name(n % 4) for n in range(24)]
    catalog = [
        CATALOG.format(n=n, t=t, a=a, at=workload.START_MS).encode() for n, (t, a) in enumerate(names)
    ]  # ad n belongs to account n modulo 4
    bad = [b"no json", b'{"kind":"clack"}', b"\xff"]
    return [*catalog, *bad, *workload.generate(4_000, 24, 4, 3)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A data folder in which all of the workload was decided."""
    folder = tmp_path_factory.mktemp("replay")
    config, events = folder / "headgate.toml", folder / "events.ndjson"
    config.write_text(workload.config_toml(4) + "[log]\nshards = 4\n")
    events.write_bytes(b"\n".join(lines()) + b"\n")
    asked = Asked(config, folder / "data", as_json=True)
    with open_session(asked, begin=True) as session:
        feed_files(session, [events], workload.CLOCK_MS, trusted=False, quiet=True)
        run_flow(decide_flow(session, until_idle=True))
        yield asked


@contextmanager
def tampered(asked, key, change):
    """One stream with ``change`` applied to its list of (id, fields), put back afterwards."""
    with open_session(asked) as session:
        client = session.caller.client
        before = client.dump(key)
        found = client.execute_command("XRANGE", key, "-", "+")
        entries = [(name, dict(zip(flat[::2], flat[1::2], strict=True))) for name, flat in found]
        client.delete(key)
        for name, fields in change(entries):
            client.xadd(key, fields, id=name)
        try:
            yield
        finally:
            client.restore(key, 0, before, replace=True)


def shard_with(asked, field):
    """A shard whose outbox holds an entry of this kind."""
    with open_session(asked) as session:
        return next(s for s in session.shards if any(field in fields for _, fields in session.reader(s).outbox()))


def test_what_stands_is_derived_again(asked):
    answer = replay(asked)
    assert list(answer) == ["shards", "decisions", "commands", "dead_letters", "equal", "first_difference"]
    assert answer["equal"] is True
    assert answer["first_difference"] is None
    assert answer["shards"] == 4
    assert answer["decisions"] > 24
    assert answer["commands"] > 0
    assert answer["dead_letters"] == 3
    assert replay(asked) == answer


@pytest.mark.parametrize(("field", "what"), [(b"d", "decision"), (b"c", "command")])
def test_one_changed_byte_of_the_outbox_is_found(asked, field, what):
    shard = shard_with(asked, field)

    def change(entries):
        place = max(i for i, (_, fields) in enumerate(entries) if field in fields)
        text = bytearray(entries[place][1][field])
        at = 24 if field == b"d" else text.index(b'"created_at_ms":') + 18  # a number of the first record
        text[at] ^= 1
        entries[place][1][field] = bytes(text)
        change.number = int(entries[place][0].partition(b"-")[0])
        return entries

    with tampered(asked, f"{{s{shard:02d}}}:out", change):
        answer = replay(asked)
    assert answer["equal"] is False
    first = answer["first_difference"]
    assert (first["shard"], first["what"], first["place"]) == (shard, what, change.number)
    assert first["stored"] != first["derived"]


@pytest.mark.parametrize("cut", ["last", "middle", "first"])
def test_a_missing_outbox_entry_is_found(asked, cut):
    shard = shard_with(asked, b"c")
    with tampered(asked, f"{{s{shard:02d}}}:out", lambda entries: without(entries, cut)):
        first = replay(asked)["first_difference"]
    assert first["shard"] == shard
    assert "missing" in first["how"] or "does not stand" in first["how"]


def without(entries, cut):
    del entries[{"last": -1, "middle": len(entries) // 2, "first": 0}[cut]]
    return entries


def test_one_changed_number_in_the_log_is_found(asked):
    shard = shard_with(asked, b"d")

    def change(entries):
        place = next(i for i, (_, fields) in enumerate(entries) if b'"impressions":' in fields.get(b"l", b""))
        entries[place][1][b"l"] = entries[place][1][b"l"].replace(b'"impressions":', b'"impressions":1', 1)
        return entries

    with tampered(asked, f"{{s{shard:02d}}}:log", change):
        answer = replay(asked)
    assert answer["equal"] is False
    assert answer["first_difference"]["shard"] == shard


def test_a_changed_dead_letter_is_found(asked):
    def change(entries):
        entries[0][1][b"reason"] = b"too_long"
        return entries

    with tampered(asked, "{s00}:dlq", change):
        first = replay(asked)["first_difference"]
    assert (first["what"], first["place"]) == ("dead_letter", 1)
    assert first["stored"] == {"reason": "b'too_long'"}


def test_a_log_that_does_not_reach_back_is_refused(asked):
    shard = shard_with(asked, b"d")
    key = f"{{s{shard:02d}}}:log"
    with tampered(asked, key, lambda entries: entries[1:]), pytest.raises(Refused, match="no longer reaches back"):
        replay(asked)
    with tampered(asked, key, lambda entries: entries[:-1]), pytest.raises(Refused, match="ends before"):
        replay(asked)


def test_another_configuration_is_said(asked, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(asked.config.read_text() + "[defaults]\nbreak_even_roas = 1.5\n")
    with pytest.raises(Refused, match=r"another configuration \(policy hash [0-9a-f]{16}\) than .*other.toml"):
        replay(Asked(other, asked.data, as_json=True))


def test_the_command_says_it_in_one_line(asked):
    def change(entries):
        entries[0][1][b"reason"] = b"too_long"
        return entries

    words = [sys.executable, "-m", "headgate", "replay", "--config", asked.config, "--data", asked.data]
    good = subprocess.run([*words, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["equal"] is True
    with tampered(asked, "{s00}:dlq", change):
        bad = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert bad.stderr.startswith("headgate: shard 0: dead_letter 1 differs in reason")
    assert bad.stderr.count("\n") == 1


def test_a_row_that_no_event_made_is_found(asked):
    """Last: it changes the state for good."""
    with open_session(asked) as session:
        shard, loaded = next((one, all_) for one, all_ in map(session.peek, session.shards) if one.tables["ads"].used)
        store = ShardStore(session.caller.client, shard.number)
        store.acquire()
        store.load(shard.tables)
        shard.tables["ads"].rows[0]["clicks"] += 1
        shard.touch("ads", 0)
        assert store.commit(loaded.offsets).landed
        store.release()
    first = replay(asked)["first_difference"]
    assert (first["shard"], first["what"], first["place"]) == (shard.number, "state", "ads")
