"""A Redis that forgot its last writes is noticed by the next one, whatever sort of write was lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from connectors.embedded_redis import EmbeddedRedis, connect_or_start
from state import manifest
from state.errors import ShardLost
from state.redis_client import connect
from state.scripts import Reply
from state.store import ShardStore
from tests.state.rows import append, change_at_random, new_tables, picture, random_rows


class Forgetful:
    """A server whose append-only file can be set back to an earlier moment."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.embedded = connect_or_start(data, fsync="always")
        self.client = connect(self.embedded.url)

    @property
    def aof(self) -> Path:
        return self.embedded.data / "appendonly.aof"

    def remember(self) -> None:
        shutil.copy(self.aof, self.data / "earlier.aof")

    def forget(self, cut: int = 0) -> None:
        """Kill the server; start it with the remembered file, or with ``cut`` bytes less than it has."""
        os.kill(self.embedded.pid, signal.SIGKILL)
        self.embedded.stop()
        if cut:
            with self.aof.open("r+b") as file:
                file.truncate(self.aof.stat().st_size - cut)
        else:
            shutil.copy(self.data / "earlier.aof", self.aof)
        self.embedded: EmbeddedRedis = connect_or_start(self.data, fsync="always")

    def close(self) -> None:
        self.client.close()
        self.embedded.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Forgetful]:
    """A server of its own, with one shard owned and one commit made."""
    forgetful = Forgetful(tmp_path)
    yield forgetful
    forgetful.close()


def owner(client: redis.Redis) -> ShardStore:
    store = ShardStore(client, 0, patience_s=5.0)
    store.acquire(force=True)
    store.load(new_tables())
    return store


def grow(store: ShardStore) -> None:
    for table in store.tables.values():
        append(table, random_rows(np.random.default_rng(table.used), table.dtype, 9))


@pytest.mark.parametrize(
    ("lost", "next_write", "reply"),
    [
        ("commit", lambda s: s.commit({"log": 3}), Reply.MISMATCH),
        ("commit", lambda s: s.checkpoint(force=True), Reply.MISMATCH),
        ("chunks", lambda s: s.commit({"log": 3}), Reply.MISMATCH),
        ("chunks", lambda s: s.checkpoint(), Reply.MISMATCH),
        ("finish", lambda s: s.commit({"log": 3}), Reply.MISMATCH),
        ("owner", lambda s: s.commit({"log": 3}), Reply.FENCED),
        ("all", lambda s: s.commit({"log": 3}), Reply.FENCED),
    ],
)
def test_a_lost_write_is_noticed(
    server: Forgetful, lost: str, next_write: Callable[[ShardStore], Reply], reply: Reply
) -> None:
    if lost == "all":
        server.client.ping()
        server.remember()
    manifest.ensure(server.client, 1)
    if lost == "owner":
        server.remember()
    store = owner(server.client)
    grow(store)
    assert store.commit({"log": 1}) is Reply.OK
    if lost in ("commit", "chunks"):
        server.remember()
    if lost == "commit":
        grow(store)
        assert store.commit({"log": 2}) is Reply.OK
    if lost in ("chunks", "finish"):
        assert store.checkpoint(1, force=True) is Reply.OK
        assert store.checkpointing
    if lost == "finish":
        server.remember()
        while store.checkpointing:
            assert store.checkpoint() is Reply.OK
    server.forget()
    assert next_write(store) is reply
    if lost == "all":
        with pytest.raises(ShardLost):
            store.acquire()
        return
    heir = owner(server.client)
    assert heir.commit({"log": heir.place.seq + 1}) is Reply.OK


def test_a_cut_tail_leaves_an_earlier_commit_whole(server: Forgetful) -> None:
    manifest.ensure(server.client, 1)
    rng = np.random.default_rng(11)
    store = owner(server.client)
    at = {0: picture(new_tables())}
    for cut in (1, 50, 700, 5000):
        for _ in range(6):
            change_at_random(dict(store.tables), rng)
            at[store.place.seq + 1] = picture(dict(store.tables))
            assert store.commit({"log": store.place.seq + 1}) is Reply.OK
            store.checkpoint(400, force=bool(rng.random() < 0.4))
        server.forget(cut)
        assert store.commit({"log": 0}) in (Reply.MISMATCH, Reply.FENCED)
        store = owner(server.client)
        assert picture(dict(store.tables)) == at[store.place.seq]
