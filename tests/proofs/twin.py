"""The same events through the same product, once, undisturbed: what every killed run is compared with.

Rules of this file: servers of its own; one decide process from end to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench.workload import CLOCK_MS
from connectors.feed import Feed, feed
from connectors.redis_log import RedisLog
from tests.proofs import verdict
from tests.proofs.processes import Nursery, RedisServer


@contextmanager
def fed(folder: Path, files: list[Path], shards: int) -> Iterator[RedisServer]:
    """A server whose log was fed these files, one after another, without a hitch."""
    with RedisServer(folder, "everysec") as server:
        log = RedisLog(server.url, shards)
        for file in files:
            feed(log, Feed([file], f"False {CLOCK_MS}"), CLOCK_MS)
        log.close()
        yield server


@contextmanager
def copied(folder: Path, source: redis.Redis, shards: int) -> Iterator[RedisServer]:
    """A server that holds another one's log, and nothing else."""
    with RedisServer(folder, "everysec") as server:
        target = server.client()
        for shard in range(shards):
            for name in ("log", "producers"):
                key = f"{{s{shard:02d}}}:{name}"
                target.restore(key, 0, source.dump(key))
        target.close()
        yield server


def decided(nursery: Nursery, server: RedisServer, config: Path, data: Path) -> verdict.Books:
    """What comes of a server's log when it is decided from end to end; ``config`` is that of another run."""
    own = data.with_name("twin.toml")
    text = config.read_text().splitlines()
    urls = [place for place, line in enumerate(text) if line in {"[log]", "[state]"}]
    for place in urls:
        at = next(i for i in range(place, len(text)) if text[i].startswith("url"))
        text[at] = f'url = "{server.url}"'
    own.write_text("\n".join(text))
    child = nursery.run("decide", "--until-idle", "--config", own, "--data", data, "--json")
    assert child.code == 0, child.said()
    return verdict.read(own, data)
