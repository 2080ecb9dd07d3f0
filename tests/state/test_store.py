"""The guarded commit: every reply, each fault that the protocol foresees."""

from __future__ import annotations

import time

import numpy as np
import pytest
import redis

from state import manifest
from state.errors import CorruptState, ShardBusy, ShardFenced, ShardLost, StateFormat
from state.keys import MANIFEST, ShardKeys
from state.lease import Holder
from state.reader import ShardReader
from state.scripts import COMMIT, Reply
from state.store import ShardStore
from tests.state.rows import append, change_at_random, new_tables, picture, random_rows

KEYS = ShardKeys.of(2)


def owner(client: redis.Redis, **kw: float) -> ShardStore:
    store = ShardStore(client, 2, patience_s=1.0, **kw)
    store.acquire(force=True)
    store.load(new_tables())
    return store


def grow(store: ShardStore, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for table in store.tables.values():
        append(table, random_rows(rng, table.dtype, 20))


class LosesReplies:
    """Wraps a store's client: the named script runs, but its reply is lost ``times`` times."""

    def __init__(self, client: redis.Redis, sha: str, times: int, *, before: bool = False) -> None:
        self.client, self.sha, self.left, self.before = client, sha, times, before

    def execute_command(self, *parts: object) -> object:
        if self.left and parts[0] == "EVALSHA" and parts[1] == self.sha:
            self.left -= 1
            if not self.before:
                self.client.execute_command(*parts)
            raise redis.TimeoutError
        return self.client.execute_command(*parts)

    def __getattr__(self, name: str) -> object:
        return getattr(self.client, name)


def test_a_commit_is_stored_whole(client: redis.Redis) -> None:
    store = owner(client)
    grow(store)
    reply = store.commit(
        {"log": 7},
        [(1, {b"d": b"one"}), (2, {b"c": b"two"})],
        [(1, {b"reason": b"not_json", b"raw": b"\xff"})],
        {b"ad": b"s"},
    )
    assert reply is Reply.OK
    tables = new_tables()
    loaded = ShardStore(client, 2).peek(tables)
    assert (loaded.seq, loaded.offsets, loaded.out_number, loaded.dlq_number) == (1, {"log": 7}, 2, 1)
    assert picture(tables) == picture(dict(store.tables))
    given_out = ShardReader(store.caller, 2)
    assert list(given_out.outbox()) == [(1, {b"d": b"one"}), (2, {b"c": b"two"})]
    assert list(given_out.dead_letters()) == [(1, {b"reason": b"not_json", b"raw": b"\xff"})]
    assert store.summaries() == {b"ad": b"s"}


def test_a_lost_reply_is_recognised_and_counted_once(client: redis.Redis) -> None:
    store = owner(client)
    client.script_load(COMMIT.text)
    for number in range(1, 6):
        grow(store, number)
        store.caller.client = LosesReplies(client, COMMIT.sha, 2)
        assert store.commit({"log": number}, [(number, {b"d": b"x"})]) is Reply.ALREADY
    assert client.xlen(KEYS.out) == client.xlen(KEYS.delta) == 5
    assert owner(client).place.seq == 5


def test_a_request_that_never_arrived_is_sent_again(client: redis.Redis) -> None:
    store = owner(client)
    client.script_load(COMMIT.text)
    store.caller.client = LosesReplies(client, COMMIT.sha, 1, before=True)
    assert store.commit({"log": 1}) is Reply.OK


def test_a_zombie_is_fenced_and_must_stand_down(client: redis.Redis) -> None:
    zombie = owner(client)
    grow(zombie)
    heir = owner(client)
    assert zombie.commit({"log": 1}) is Reply.FENCED
    with pytest.raises(ShardFenced):
        zombie.commit({"log": 1})
    grow(heir)
    assert heir.commit({"log": 1}) is Reply.OK
    assert heir.renew() is Reply.OK
    with pytest.raises(ShardBusy, match="held by process"):
        zombie.acquire()


def test_every_guarded_call_of_a_zombie_is_fenced(client: redis.Redis) -> None:
    def zombie() -> ShardStore:
        store = owner(client)
        grow(store)
        assert store.commit({"log": 1}).landed
        owner(client)
        return store

    assert zombie().checkpoint(force=True) is Reply.FENCED
    assert zombie().renew() is Reply.FENCED
    assert zombie().release() is Reply.FENCED


def test_commit_before_load_does_nothing(client: redis.Redis) -> None:
    store = ShardStore(client, 2)
    store.acquire()
    assert store.commit({"log": 1}) is Reply.MISMATCH


def test_a_gap_in_the_numbers_is_a_programmers_error(client: redis.Redis) -> None:
    store = owner(client)
    with pytest.raises(ValueError, match="outbox entry 2 does not follow 0"):
        store.commit({}, [(2, {b"d": b"x"})])


def test_a_second_owner_waits_for_the_lease(client: redis.Redis) -> None:
    first = ShardStore(client, 2, ttl_s=0.4)
    lease = first.acquire()
    second = ShardStore(client, 2)
    with pytest.raises(ShardBusy):
        second.acquire(wait_s=0.1)
    second.acquire(wait_s=2.0)
    assert not lease.held()
    assert first.renew() is Reply.FENCED


def test_a_released_shard_is_free_at_once(client: redis.Redis) -> None:
    first = ShardStore(client, 2)
    first.acquire()
    assert first.release() is Reply.OK
    ShardStore(client, 2).acquire()


def test_a_dead_process_does_not_block(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    me = Holder.me()
    dead = Holder(me.host, me.boot, 2**22 - 3, "1")
    other_kernel = Holder(me.host, "elsewhere", 2**22 - 3, "1")
    monkeypatch.setattr(Holder, "me", classmethod(lambda _: dead))
    ShardStore(client, 2, ttl_s=60).acquire()
    ShardStore(client, 1, ttl_s=60).acquire()
    monkeypatch.setattr(Holder, "me", classmethod(lambda _: other_kernel))
    ShardStore(client, 3, ttl_s=60).acquire()
    monkeypatch.undo()
    start = time.monotonic()
    ShardStore(client, 2).acquire()
    assert time.monotonic() - start < 0.2
    with pytest.raises(ShardBusy):
        ShardStore(client, 3).acquire()


def test_own_earlier_lease_does_not_block(client: redis.Redis) -> None:
    store = owner(client, ttl_s=60)
    client.hset(KEYS.meta, "step", 99)
    assert store.commit({}) is Reply.MISMATCH
    store.acquire()


@pytest.mark.parametrize("field", [b"seq", b"out", b"dlq", b"step"])
def test_any_number_that_moved_is_a_mismatch(client: redis.Redis, field: bytes) -> None:
    store = owner(client)
    assert store.commit({}, [(1, {b"d": b"x"})], [(1, {b"reason": b"r"})]).landed
    client.hset(KEYS.meta, field, 0)
    assert store.commit({}) is Reply.MISMATCH


def test_the_same_step_with_other_content_is_a_mismatch(client: redis.Redis) -> None:
    store = owner(client)
    step = store.step
    assert store.commit({"log": 1}).landed
    store.step, store.place = step, type(store.place)(0, 0, 0)
    assert store.commit({"log": 2}) is Reply.MISMATCH


def test_manifest_halts_when_a_shard_is_lost(client: redis.Redis) -> None:
    identity = manifest.ensure(client, 4).identity
    client.delete(KEYS.meta)
    with pytest.raises(ShardLost, match="shards 2"):
        manifest.ensure(client, 4)
    with pytest.raises(ShardLost, match="shard 2"):
        ShardStore(client, 2).acquire()
    with pytest.raises(ShardLost):
        ShardStore(client, 2).peek(new_tables())
    client.delete(MANIFEST)
    with pytest.raises(ShardLost, match="manifest is gone"):
        manifest.ensure(client, 4)
    client.flushall()
    with pytest.raises(ShardLost):
        manifest.ensure(client, 4, identity=identity)
    assert not client.keys()
    manifest.ensure(client, 4)
    with pytest.raises(ShardLost, match="another state"):
        manifest.ensure(client, 4, identity=identity)


def test_manifest_refuses_another_number_of_shards(client: redis.Redis) -> None:
    with pytest.raises(StateFormat, match="made with 4 shards"):
        manifest.ensure(client, 8)
    with pytest.raises(StateFormat, match="made with 4 shards"):
        manifest.ensure(client, 2)


def test_damage_in_redis_halts_the_load(client: redis.Redis) -> None:
    store = owner(client)
    rng = np.random.default_rng(1)
    for number in range(1, 9):
        change_at_random(dict(store.tables), rng)
        grow(store, number)
        assert store.commit({"log": number}).landed
        if number == 4:
            store.checkpoint(force=True)
    dump = {key: client.dump(key) for key in client.keys("{s02}*")}
    damages = [
        lambda: client.xdel(KEYS.delta, "6-0"),
        lambda: client.xdel(KEYS.delta, "8-0"),
        lambda: client.xdel(KEYS.delta, "5-0"),
        lambda: client.delete(KEYS.chunk("ads:0")),
        lambda: client.setrange(KEYS.chunk("ads:0"), 300, b"!"),
        lambda: client.setrange(KEYS.chunk("texts:0"), 4, b"!"),
        lambda: client.hdel(KEYS.chunks, "texts:0"),
        lambda: client.set(KEYS.chunk("ads:0"), b"short"),
        lambda: client.delete(KEYS.delta),
    ]
    for damage in damages:
        damage()
        heir = ShardStore(client, 2)
        heir.acquire(force=True)
        with pytest.raises((CorruptState, StateFormat)):
            heir.load(new_tables())
        for key, value in dump.items():
            client.restore(key, 0, value, replace=True)
    heir = owner(client)
    assert picture(dict(heir.tables)) == picture(dict(store.tables))
