"""A client whose memory follows from one life of a server does not go on with the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.embedded_redis import connect_or_start
from state import manifest
from state.errors import StateUnavailable
from state.redis_client import connect
from state.scripts import Reply
from state.store import ShardStore
from tests.state.rows import new_tables


def owner(url: str, *, one_life: bool) -> ShardStore:
    client = connect(url, one_life=one_life)
    manifest.ensure(client, 1)
    store = ShardStore(client, 0, patience_s=1.0)
    store.acquire(force=True)
    store.load(new_tables())
    assert store.commit({"log": 1}) is Reply.OK
    return store


def test_what_one_life_of_a_server_told_is_not_committed_to_the_next(tmp_path: Path) -> None:
    with connect_or_start(tmp_path) as first:
        store = owner(first.url, one_life=True)
    with connect_or_start(tmp_path):
        for _ in range(2):
            with pytest.raises(StateUnavailable, match="was started anew") as caught:
                store.commit({"log": 2})
            assert "\n" not in str(caught.value)
        assert ShardStore(connect(first.url), 0).standing().offsets == {"log": 1}


def test_a_lost_connection_to_the_same_life_is_no_matter(tmp_path: Path) -> None:
    with connect_or_start(tmp_path) as first:
        store = owner(first.url, one_life=True)
        connect(first.url).client_kill_filter(_type="normal", skipme=True)
        assert store.commit({"log": 2}) is Reply.OK


def test_a_reader_goes_on_with_whatever_server_is_there(tmp_path: Path) -> None:
    with connect_or_start(tmp_path) as first:
        store = owner(first.url, one_life=False)
    with connect_or_start(tmp_path):
        assert store.standing().seq == 1
