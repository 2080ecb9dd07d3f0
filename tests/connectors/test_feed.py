"""Feeding files: the order in which lines get into the log, once, whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.memory_log import MemoryLog
from connectors.feed import TICK_MS, Fed, Feed, FeedError, feed
from connectors.log import Mark
from engine.hashing import partition

T0 = 1_780_272_000_000
CLOCK_MS = T0 + 10**10
SHARDS = 4


def line(at_ms: int, name: str, account: str = "a") -> bytes:
    head = {"kind": "click", "tenant": "t", "account": account, "source": "s", "ad_id": "x"}
    return json.dumps(head | {"event_id": name, "click_id": name, "occurred_at_ms": at_ms}).encode()


def fed(log: MemoryLog, folder: Path, *files: bytes, terms: str = "") -> Fed:
    paths = []
    for number, data in enumerate(files):
        path = folder / f"{number}.ndjson"
        path.write_bytes(data)
        paths.append(path)
    return feed(log, Feed(paths, terms), CLOCK_MS)


def lines_in(log: MemoryLog, shard: int) -> list[bytes]:
    entries = log.read({shard: {}}, 0).get(shard, [])
    return [text for entry in entries if entry.lines is not None for text in entry.lines.split(b"\n")]


def marks_in(log: MemoryLog, shard: int) -> list[Mark]:
    return [entry.mark for entry in log.read({shard: {}}, 0)[shard] if entry.mark is not None]


HOME = partition("t", "a", SHARDS)


def test_files_are_merged_by_time_and_ties_go_to_the_file_named_first(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    one = [line(T0, "a1"), line(T0 + 20, "a2"), line(T0 + 10, "a3")]
    two = [line(T0, "b1"), line(T0 + 15, "b2"), line(T0 + 99, "b3")]
    fed(log, tmp_path, b"\n".join(one), b"\n".join(two) + b"\n")
    names = [json.loads(text)["event_id"] for text in lines_in(log, HOME)]
    assert names == ["a1", "b1", "b2", "a2", "a3", "b3"]


def test_one_file_keeps_its_order(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    lines = [line(T0 + ms, f"e{i}") for i, ms in enumerate((50, 10, 40, 0))]
    fed(log, tmp_path, b"\n".join(lines))
    assert lines_in(log, HOME) == lines


def test_a_mark_of_order_at_the_start_of_a_file_is_skipped_and_a_last_line_needs_no_end(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    fed(log, tmp_path, b"\xef\xbb\xbf" + line(T0, "e1") + b"\r\n" + line(T0, "e2"))
    assert [json.loads(text)["event_id"] for text in lines_in(log, HOME)] == ["e1", "e2"]


def test_every_shard_gets_the_hours_and_the_end(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    fed(log, tmp_path, b"\n".join([line(T0 - 1, "e1"), line(T0, "e2"), line(T0 + 5 * TICK_MS, "e3")]))
    for shard in range(SHARDS):
        assert [(mark.kind, mark.now_ms) for mark in marks_in(log, shard)] == [
            ("tick", 0),
            ("tick", T0 - TICK_MS),
            ("tick", T0),
            ("tick", T0 + 5 * TICK_MS),
            ("end", T0 + 6 * TICK_MS),
        ]


def test_a_tick_stands_before_the_first_line_of_its_hour(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    fed(log, tmp_path, b"\n".join([line(T0 - 1, "e1"), line(T0, "e2")]))
    entries = log.read({HOME: {}}, 0)[HOME]
    kinds = [entry.mark.now_ms if entry.mark else "lines" for entry in entries]
    assert kinds == [0, T0 - TICK_MS, "lines", T0, "lines", T0 + TICK_MS]


def test_a_time_beyond_the_clock_moves_no_tick(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    fed(log, tmp_path, b"\n".join([line(T0, "e1"), line(CLOCK_MS + 300_001, "e2")]))
    assert marks_in(log, HOME)[-1].now_ms == T0 + TICK_MS


def test_lines_without_an_account_go_to_shard_0(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    fed(log, tmp_path, b"garbage\n\xff\n{}\n")
    assert lines_in(log, 0) == [b"garbage", b"\xff", b"{}"]


def test_feeding_again_appends_nothing_and_other_terms_make_another_feed(tmp_path: Path) -> None:
    log = MemoryLog(SHARDS)
    data = line(T0, "e1")
    first = fed(log, tmp_path, data)
    again = fed(log, tmp_path, data)
    assert (first.resumed, again.resumed, again.appended) == (False, True, 0)
    assert fed(log, tmp_path, data, terms="as of another day").appended > 0
    assert len(lines_in(log, HOME)) == 2


class Dying(MemoryLog):
    """A log whose feeder dies at the n-th append."""

    def __init__(self, shards: int, left: int) -> None:
        super().__init__(shards)
        self.left = left

    def append(
        self, shard: int, producer: str, sequence: int, entries: Sequence[bytes | Mark], *, trusted: bool = False
    ) -> bool:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().append(shard, producer, sequence, entries, trusted=trusted)


@given(deaths=st.lists(st.integers(0, 9), max_size=5))
def test_a_feed_that_dies_anywhere_is_resumed_without_a_gap_or_a_double(
    deaths: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    lines = [line(T0 + i * TICK_MS // 3, f"e{i}", f"a{i % 7}") for i in range(40)]
    data = b"\n".join(lines)
    whole, broken = MemoryLog(SHARDS), Dying(SHARDS, 0)
    fed(whole, folder, data)
    for left in [*deaths, 10**6]:
        broken.left = left
        try:
            fed(broken, folder, data)
        except KeyboardInterrupt:
            continue
    nothing = {shard: {} for shard in range(SHARDS)}
    assert broken.read(nothing, 0) == whole.read(nothing, 0)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"nope\.ndjson: No such file"):
        Feed([tmp_path / "nope.ndjson"], "")
