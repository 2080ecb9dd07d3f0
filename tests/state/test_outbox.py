"""Readers of the outbox miss nothing and notice what was trimmed."""

from __future__ import annotations

import pytest
import redis

from state.caller import Caller
from state.errors import CorruptState
from state.outbox import Outbox
from state.reader import ShardReader
from state.scripts import Reply
from state.store import ShardStore
from tests.state.rows import new_tables


def fill(client: redis.Redis, shard: int, count: int) -> None:
    store = ShardStore(client, shard)
    store.acquire()
    store.load(new_tables())
    first = store.place.out_number + 1
    entries = [(number, {b"d": b"%d" % number}) for number in range(first, first + count)]
    assert store.commit({"log": first}, entries) is Reply.OK
    store.release()


def test_all_shards_are_read_in_one_call(client: redis.Redis) -> None:
    fill(client, 0, 3)
    fill(client, 2, 2)
    found = Outbox(client).read({0: 1, 1: 0, 2: 0})
    assert [(entry.shard, entry.number, entry.fields[b"d"]) for entry in found] == [
        (0, 2, b"2"),
        (0, 3, b"3"),
        (2, 1, b"1"),
        (2, 2, b"2"),
    ]
    assert Outbox(client).read({0: 3}) == []
    assert Outbox(client).read({}) == []


def test_a_long_history_is_read_in_pages(client: redis.Redis) -> None:
    fill(client, 1, 700)
    fill(client, 1, 1)
    reader = ShardReader(Caller(client), 1)
    assert [number for number, _ in reader.outbox()] == list(range(1, 702))
    assert [number for number, _ in reader.outbox(after=699)] == [700, 701]


def test_a_reader_behind_the_trim_is_told(client: redis.Redis) -> None:
    fill(client, 1, 5)
    outbox = Outbox(client)
    outbox.trim(1, 3)
    assert [entry.number for entry in outbox.read({1: 3})] == [4, 5]
    with pytest.raises(CorruptState, match="outbox entry 1 of shard 1 is gone"):
        outbox.read({1: 0})
    fill(client, 1, 1)
    assert [entry.number for entry in outbox.read({1: 5})] == [6]
