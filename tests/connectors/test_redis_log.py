"""What every event log must do (one suite for all of them), and what Redis Streams must do besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from connectors.embedded_redis import EmbeddedRedis, connect_or_start
from connectors.log import Entry, EventLog, LogError, LogTruncated, LogUnavailable, Mark, SequenceGap, cut
from connectors.redis_log import RedisLog

SHARDS = 4
Sent = list[bytes | Mark]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server for this file."""
    with connect_or_start(tmp_path_factory.mktemp("log")) as embedded:
        yield embedded


@pytest.fixture
def admin(server: EmbeddedRedis) -> redis.Redis:
    """A plain client on an empty server."""
    client = redis.Redis.from_url(server.url, protocol=2)
    client.flushall()
    return client


@pytest.fixture(params=["redis"])
def make(request: pytest.FixtureRequest) -> Callable[[], EventLog]:
    """Makes a log like the one under test; all that are made in a test see the same entries. Add yours as a param."""
    assert request.param == "redis"
    request.getfixturevalue("admin")
    url = request.getfixturevalue("server").url
    return lambda: RedisLog(url, SHARDS)


def read_all(log: EventLog, shard: int, max_bytes: int = 1 << 20) -> list[Entry]:
    at: dict[str, int] = {}
    found: list[Entry] = []
    while entries := log.read({shard: at}, max_bytes).get(shard):
        found += entries
        at = at | {entry.stream: entry.offset for entry in entries}
    return found


class TestEventLog:
    """The contract."""

    def test_entries_come_back_in_order_with_contiguous_numbers(self, make: Callable[[], EventLog]) -> None:
        log = make()
        sent: Sent = [b'{"a":1}\n{"b":2}', Mark("tick", 10, 20), b"\xff\x00", Mark("end", 30, 40)]
        assert log.append(1, "feed", 1, sent[:2])
        assert log.append(1, "feed", 2, sent[2:])
        found = read_all(make(), 1)
        assert [entry.mark or entry.lines for entry in found] == sent
        assert [entry.offset for entry in found] == [1, 2, 3, 4]
        assert {entry.stream for entry in found} == set(log.end_offsets()[1])
        assert log.end_offsets()[1] == {found[0].stream: 4}
        assert log.end_offsets()[0] in ({}, dict.fromkeys(log.end_offsets()[0], 0))

    def test_an_append_is_done_once(self, make: Callable[[], EventLog]) -> None:
        log = make()
        assert log.append(0, "feed", 1, [b"a"])
        assert not log.append(0, "feed", 1, [b"a"])
        assert not make().append(0, "feed", 1, [b"a"])
        assert log.append(0, "feed", 2, [b"b"])
        assert not log.append(0, "feed", 1, [b"a"])
        assert [entry.lines for entry in read_all(log, 0)] == [b"a", b"b"]
        assert log.last_sequence(0, "feed") == 2

    def test_producers_and_shards_count_apart(self, make: Callable[[], EventLog]) -> None:
        log = make()
        assert log.append(0, "feed", 1, [b"a"])
        assert log.append(0, "intake", 1, [b"b"])
        assert log.append(2, "feed", 1, [b"c"])
        assert [entry.lines for entry in read_all(log, 0)] == [b"a", b"b"]
        assert [entry.lines for entry in read_all(log, 2)] == [b"c"]
        assert log.last_sequence(2, "intake") == log.last_sequence(1, "feed") == 0

    def test_a_skipped_sequence_is_refused(self, make: Callable[[], EventLog]) -> None:
        log = make()
        log.append(0, "feed", 1, [b"a"])
        with pytest.raises(SequenceGap, match="send from 2"):
            log.append(0, "feed", 3, [b"c"])
        assert len(read_all(log, 0)) == 1

    def test_a_nameless_producer_is_a_programmers_error(self, make: Callable[[], EventLog]) -> None:
        with pytest.raises(ValueError, match="a name and a number"):
            make().append(0, "", 1, [b"a"])
        with pytest.raises(ValueError, match="a name and a number"):
            make().append(0, "feed", 0, [b"a"])

    def test_all_shards_are_read_in_one_call(self, make: Callable[[], EventLog]) -> None:
        log = make()
        for shard in (0, 1, 3):
            log.append(shard, "feed", 1, [b"%d" % shard, b"more"])
        first = log.read({0: {}}, 1 << 20)[0][0]
        found = log.read({0: {first.stream: 1}, 1: {}, 2: {}, 3: {}}, 1 << 20)
        assert {shard: [entry.lines for entry in entries] for shard, entries in found.items()} == {
            0: [b"more"],
            1: [b"1", b"more"],
            3: [b"3", b"more"],
        }
        assert log.read({}, 1 << 20) == {}

    def test_reading_is_bounded_and_misses_nothing(self, make: Callable[[], EventLog]) -> None:
        log = make()
        sent = [bytes([97 + n % 26]) * 65_000 for n in range(120)]
        for n in range(0, 120, 10):
            log.append(0, "feed", n // 10 + 1, sent[n : n + 10])
        at: dict[str, int] = {}
        found: list[Entry] = []
        while entries := log.read({0: at}, 300_000).get(0):
            assert sum(len(entry.lines or b"") for entry in entries) <= 400_000
            found += entries
            at = {entries[-1].stream: entries[-1].offset}
        assert [entry.lines for entry in found] == sent

    def test_a_position_beyond_the_end_is_an_error_for_a_new_reader(self, make: Callable[[], EventLog]) -> None:
        log = make()
        log.append(0, "feed", 1, [b"a"])
        stream = next(iter(log.end_offsets()[0]))
        with pytest.raises(LogTruncated):
            make().read({0: {stream: 9}}, 1 << 20)


def test_a_trimmed_entry_is_noticed(server: EmbeddedRedis, admin: redis.Redis) -> None:
    log = RedisLog(server.url, SHARDS)
    log.append(0, "feed", 1, [b"a", b"b", b"c"])
    log.trim(0, 2)
    stream = "headgate.events.00"
    assert [entry.offset for entry in log.read({0: {stream: 2}}, 1000)[0]] == [3]
    with pytest.raises(LogTruncated, match="entry 2 was trimmed"):
        log.read({0: {stream: 1}}, 1000)
    log.trim(0, 3)
    with pytest.raises(LogTruncated, match="was trimmed"):
        RedisLog(server.url, SHARDS).read({0: {stream: 2}}, 1000)
    assert RedisLog(server.url, SHARDS).read({0: {stream: 3}}, 1000) == {}
    log.append(0, "feed", 2, [b"d"])
    assert log.read({0: {stream: 3}}, 1000)[0][0] == Entry(stream, 4, b"d", None)


def test_a_server_that_lost_its_tail_is_noticed(tmp_path: Path) -> None:
    with connect_or_start(tmp_path) as first:
        log = RedisLog(first.url, SHARDS)
        log.append(0, "feed", 1, [b"a"])
        kept = (first.data / "appendonly.aof").read_bytes()
        log.append(0, "feed", 2, [b"b"])
        at = {0: {"headgate.events.00": 2}}
        assert log.read(at, 1000) == {}
    (first.data / "appendonly.aof").write_bytes(kept)
    with connect_or_start(tmp_path):
        with pytest.raises(LogTruncated, match="lost its tail"):
            log.read(at, 1000)
        with pytest.raises(SequenceGap, match="send from 2"):
            log.append(0, "feed", 3, [b"c"])


def test_lost_replies_append_once(server: EmbeddedRedis, admin: redis.Redis) -> None:
    log = RedisLog(server.url, SHARDS)
    log.append(0, "feed", 1, [b"1"])
    plain = log._client.execute_command
    for n in range(2, 12):

        def lossy(*parts: object) -> object:
            plain(*parts)
            raise redis.TimeoutError

        log._client.execute_command = lossy
        with pytest.raises(LogUnavailable):
            log.append(0, "feed", n, [b"%d" % n])
        log._client.execute_command = plain
        assert not log.append(0, "feed", n, [b"%d" % n])
    assert [entry.lines for entry in read_all(log, 0)] == [b"%d" % n for n in range(1, 12)]


def test_a_server_that_is_away_or_refuses_is_one_line(server: EmbeddedRedis, admin: redis.Redis) -> None:
    with pytest.raises(LogUnavailable, match="does not answer"):
        RedisLog("unix:///nowhere/redis.sock").read({0: {}}, 1000)
    with pytest.raises(LogUnavailable, match="not understood"):
        RedisLog("http://localhost")
    admin.set("{s00}:log", "not a stream")
    with pytest.raises(LogError, match="refused a call"):
        RedisLog(server.url, SHARDS).append(0, "feed", 1, [b"a"])


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)), st.integers(1, 60), st.integers(1, 5))
def test_cut_keeps_every_line_in_order(lines: list[bytes], max_bytes: int, max_lines: int) -> None:
    entries = list(cut(lines, max_bytes, max_lines))
    assert [line for entry in entries for line in entry.split(b"\n")] == lines
    for entry in entries:
        assert entry.count(b"\n") < max_lines
        assert len(entry) <= max_bytes or b"\n" not in entry
