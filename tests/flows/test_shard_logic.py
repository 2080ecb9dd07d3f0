"""A shard's engine between the log and its store: which entries it takes, and what it says is done."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.workload import CLOCK_MS, config, generate
from connectors.log import Entry, Mark
from flows.halt import StandDown
from flows.shard_logic import ShardEngine
from state.scripts import Reply

STREAM = "headgate.events.00"


class NotedStore:
    """A store that notes which offsets it was given."""

    def __init__(self, offsets=None):
        self.shard, self.tables, self.offsets, self.given = 0, {}, offsets or {}, []

    def acquire(self, wait_s):
        pass

    def load(self, tables):
        return SimpleNamespace(seq=0, offsets=self.offsets)

    def commit(self, offsets, outbox, dead_letters, summaries):
        self.given.append(dict(offsets))
        return Reply.OK

    def checkpoint(self):
        return Reply.OK


def entries(count, lines_each=10):
    lines = list(generate(count * lines_each, 4, 2, 1))
    cut = [b"\n".join(lines[at : at + lines_each]) for at in range(0, len(lines), lines_each)]
    return [Entry(STREAM, 1, None, Mark("tick", 0, CLOCK_MS))] + [
        Entry(STREAM, number, text, None) for number, text in enumerate(cut, 2)
    ]


@pytest.mark.parametrize("every", [1, 30, 10_000])
def test_many_entries_without_a_tick_are_all_taken_wherever_commits_fall(every):
    store = NotedStore()
    engine = ShardEngine(store, config(2))
    for events in engine.take(entries(20)):
        if events >= every:
            engine.commit()
    engine.commit()
    assert engine.shard.row["lines"] == 200
    assert store.given[-1] == {STREAM: 21}
    at = [given[STREAM] for given in store.given]
    assert at == sorted(set(at))


def test_entries_that_the_state_has_already_are_left_out():
    engine = ShardEngine(NotedStore({STREAM: 11}), config(2))
    for _ in engine.take(entries(20)):
        pass
    assert engine.shard.row["lines"] == 100


def test_a_missing_entry_halts():
    engine = ShardEngine(NotedStore(), config(2))
    log = entries(20)
    del log[7]
    with pytest.raises(StandDown, match="entries 8 to 8 are missing"):
        for _ in engine.take(log):
            pass
