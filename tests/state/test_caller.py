"""Calls to a Redis that is away, busy, full or misnamed."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from connectors.embedded_redis import connect_or_start
from state import manifest
from state.caller import Caller
from state.errors import StateError, StateUnavailable
from state.redis_client import connect
from state.scripts import MANIFEST, RENEW, Reply
from state.store import ShardStore
from tests.state.rows import new_tables


def test_a_client_never_repeats_by_itself(bare: redis.Redis) -> None:
    connection = bare.connection_pool.get_connection()
    assert connection.retry.get_retries() == 0
    assert connection.protocol == 2
    bare.connection_pool.release(connection)


def test_a_redis_that_is_away_is_one_line_after_some_patience() -> None:
    with pytest.raises(StateUnavailable, match="does not answer") as caught:
        manifest.ensure(connect("unix:///nowhere/redis.sock"), 4, patience_s=0.05)
    assert "\n" not in str(caught.value)
    with pytest.raises(StateUnavailable, match="not understood"):
        connect("localhost:6379")


def test_a_script_is_loaded_anew_after_a_restart(tmp_path: Path) -> None:
    first = connect_or_start(tmp_path)
    client = connect(first.url)
    manifest.ensure(client, 1)
    store = ShardStore(client, 0)
    store.acquire()
    store.load(new_tables())
    assert store.commit({"log": 1}) is Reply.OK
    first.stop()
    with connect_or_start(tmp_path):
        assert store.commit({"log": 2}) is Reply.OK
        assert store.renew() is Reply.OK
        assert store.standing().offsets == {"log": 2}


def test_a_full_redis_refuses_and_nothing_is_lost(client: redis.Redis) -> None:
    store = ShardStore(client, 0)
    store.acquire()
    store.load(new_tables())
    assert store.commit({"log": 1}) is Reply.OK
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StateUnavailable, match="refuses to write"):
            store.commit({"log": 2}, [(1, {b"d": b"x"})])
    finally:
        client.config_set("maxmemory", 0)
    assert store.standing().seq == 1
    assert store.commit({"log": 2}, [(1, {b"d": b"x"})]) is Reply.OK


def test_a_refused_call_is_not_repeated(bare: redis.Redis) -> None:
    bare.set("{s00}:meta", "not a hash")
    with pytest.raises(StateError, match="refused a call"):
        Caller(bare).run(RENEW, ["{s00}:meta"], ["nonce", 1000])
    assert len(MANIFEST.sha) == 40
