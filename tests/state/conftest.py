"""A real embedded redis-server for the state's tests, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from connectors.embedded_redis import EmbeddedRedis, connect_or_start
from state import manifest
from state.redis_client import connect


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server for all tests of the state."""
    with connect_or_start(tmp_path_factory.mktemp("state")) as embedded:
        yield embedded


@pytest.fixture
def bare(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A client on an empty server."""
    client = connect(server.url)
    client.flushall()
    client.script_flush()
    yield client
    client.close()


@pytest.fixture
def client(bare: redis.Redis) -> redis.Redis:
    """A client on a server with four empty shards."""
    manifest.ensure(bare, 4)
    return bare
