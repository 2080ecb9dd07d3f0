"""Fuzzy checkpoints recover exactly, whatever call the owner died at, and whoever reads meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import redis

from connectors.embedded_redis import EmbeddedRedis
from state import layout, manifest
from state.caller import Caller
from state.keys import ShardKeys
from state.redis_client import connect
from state.scripts import Reply, Script
from state.store import ShardStore
from tests.state.rows import Picture, append, change_at_random, new_tables, picture, random_rows, touch


class Crash(Exception):
    """The process dies here."""


class CrashingCaller(Caller):
    """Dies before or after its n-th script call."""

    def __init__(self, client: redis.Redis, dies_at: int, *, after: bool) -> None:
        super().__init__(client, patience_s=1.0)
        self.left, self.after = dies_at, after

    def run(self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        answer = super().run(script, keys, args)
        if self.left == 0:
            raise Crash
        return answer


class Model:
    """What each commit ought to have stored."""

    def __init__(self) -> None:
        self.at: dict[int, Picture] = {0: picture(new_tables())}

    def live(self, store: ShardStore, rng: np.random.Generator, commits: int) -> None:
        for _ in range(commits):
            change_at_random(dict(store.tables), rng)
            self.at[store.place.seq + 1] = picture(dict(store.tables))
            assert store.commit({"log": store.place.seq + 1}) is Reply.OK
            assert store.checkpoint(300, force=bool(rng.random() < 0.3)) is Reply.OK


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Chunks of 8 to 256 rows, so that tables of a few hundred rows have many."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", 256)
    layout.chunk_rows.cache_clear()
    yield
    layout.chunk_rows.cache_clear()


def start(client: redis.Redis, caller: Caller | None = None) -> ShardStore:
    store = ShardStore(client, 2, patience_s=1.0)
    if caller is not None:
        store.caller = caller
    store.acquire(force=True)
    return store


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_call_recovers_exactly(client: redis.Redis, seed: int, after: bool) -> None:
    n = 1
    while True:
        client.flushall()
        manifest.ensure(client, 4)
        model = Model()
        rng = np.random.default_rng(seed)
        try:
            store = start(client, CrashingCaller(client, n, after=after))
            store.load(new_tables())
            model.live(store, rng, 40)
            survived = True
        except Crash:
            survived = False
        heir = start(client)
        loaded = heir.load(new_tables())
        assert picture(dict(heir.tables)) == model.at[loaded.seq]
        assert loaded.offsets == ({"log": loaded.seq} if loaded.seq else {})
        model.live(heir, np.random.default_rng(seed + 1000), 3)
        again = new_tables()
        assert picture(again) != model.at[heir.place.seq]
        start(client).load(again)
        assert picture(again) == model.at[heir.place.seq]
        if survived:
            break
        n += 1
    assert n > 60


def test_deltas_and_dropped_chunks_are_gone_after_a_checkpoint(client: redis.Redis) -> None:
    keys = ShardKeys.of(2)
    store = start(client)
    store.load(new_tables())
    clicks = store.tables["clicks"]
    rng = np.random.default_rng(1)
    for _ in range(10):
        append(clicks, random_rows(rng, clicks.dtype, 20))
        store.commit({})
    while store.checkpoint(1000, force=not client.hexists(keys.chunks, "clicks:0")) and store.checkpointing:
        pass
    assert client.xlen(keys.delta) == 0
    assert client.hlen(keys.chunks) == 200 // layout.chunk_rows(clicks.dtype.itemsize) + 1
    clicks.drop(150)
    store.commit({})
    touch(clicks, 3, random_rows(rng, clicks.dtype, 1))
    store.commit({})
    store.checkpoint(force=True)
    assert set(client.hkeys(keys.chunks)) == {b"clicks:9", b"clicks:10", b"clicks:11", b"clicks:12"}
    assert len(client.keys("{s02}:chunk:*")) == 4
    tables = new_tables()
    start(client).load(tables)
    assert picture(tables) == picture(dict(store.tables))


def test_checkpoints_begin_by_themselves_and_bound_the_deltas(client: redis.Redis) -> None:
    store = start(client)
    store.load(new_tables())
    store.checkpoints.limits = (2000, 8000, 50)
    rng = np.random.default_rng(5)
    longest = 0
    for _ in range(300):
        change_at_random(dict(store.tables), rng)
        assert store.commit({}) is Reply.OK
        assert store.checkpoint(2000) is Reply.OK
        longest = max(longest, client.xlen(ShardKeys.of(2).delta))
    assert longest < 60


def test_no_step_is_taken_while_something_is_unsaved(client: redis.Redis) -> None:
    store = start(client)
    store.load(new_tables())
    append(store.tables["ads"], random_rows(np.random.default_rng(1), store.tables["ads"].dtype, 5))
    store.commit({})
    touch(store.tables["ads"], 0, random_rows(np.random.default_rng(2), store.tables["ads"].dtype, 1))
    step = store.step
    assert store.checkpoint(force=True) is Reply.OK
    assert store.step == step


def test_peek_sees_one_commit_while_the_owner_goes_on(client: redis.Redis, server: EmbeddedRedis) -> None:
    store = start(client)
    store.load(new_tables())
    ads, clicks = store.tables["ads"], store.tables["clicks"]
    done = threading.Event()

    def live() -> None:
        for number in range(1, 400):
            append(clicks, np.full(3, number, np.dtype("u8")).repeat(2).view(clicks.dtype))
            append(ads, np.zeros(1, ads.dtype))
            for place in range(min(ads.used, 30)):
                row = ads.rows[place : place + 1].copy()
                row["id"] = number
                touch(ads, place, row)
            ads.rows[ads.used - 1]["id"] = number
            if number % 7 == 0:
                clicks.drop(2)
            assert store.commit({"log": number}) is Reply.OK
            store.checkpoint(500, force=number % 20 == 0)
        done.set()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    looks = 0
    reader = connect(server.url)
    while not done.is_set():
        tables = new_tables()
        seen = ShardStore(reader, 2).peek(tables)
        if not seen.seq:
            continue
        looks += 1
        assert seen.offsets == {"log": seen.seq}
        assert tables["ads"].used == seen.seq
        assert set(tables["ads"].live()["id"][:30].tolist()) == {seen.seq}
        assert tables["clicks"].base + tables["clicks"].used == 3 * seen.seq
        assert int(tables["clicks"].live()["key"][-1]) == seen.seq
        assert tables["clicks"].base == 2 * (seen.seq // 7)
    thread.join()
    reader.close()
    assert looks > 3
