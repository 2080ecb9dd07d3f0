"""Every line of a file finds the shard of its account and its time, as decoding will see them."""

from __future__ import annotations

import mmap
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.wire.decode import decode, line_of, who
from connectors.wire.route import index_lines
from engine.events import LINE_MAX_BYTES, Field, Refusal
from engine.hashing import murmur2, murmur2_bytes, partition
from tests.connectors.wire_lines import event, mutated, written


def expected(lines: list[bytes], shards: int) -> list[tuple[int, int]]:
    found = []
    for line in lines:
        decoded = decode([line], trusted=True)
        time, shard = -1, 0
        if decoded.events.size:
            row = decoded.events[0]
            tenant, account = who(decoded.data, row)
            if int(row["mask"]) >> Field.OCCURRED_AT_MS & 1:
                time = int(row["occurred_at_ms"])
            if tenant and account:
                shard = partition(tenant, account, shards)
        found.append((time, shard))
    return found


def check(content: bytes, shards: int = 16) -> np.ndarray:
    indexed = index_lines(np.frombuffer(content, np.uint8), shards)
    lines = content.split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    bare = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    assert [content[r["at"] : r["at"] + r["size"]] for r in indexed] == bare
    assert [(int(r["occurred_at_ms"]), int(r["shard"])) for r in indexed] == expected(bare, shards)
    assert indexed["blank"].tolist() == [not line.strip(b" \t\r") for line in bare]
    return indexed


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n", b"\n  "])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_files_of_any_length_and_end(end: bytes, count: int) -> None:
    random = Random(count)
    check(b"\n".join(written(random, event(random)) for _ in range(count)) + end)


def test_mutated_lines() -> None:
    random = Random(9)
    check(b"\n".join(mutated(random) for _ in range(1_500)), shards=7)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    check(content)


def test_a_long_line_has_no_account() -> None:
    line = written(Random(1), event(Random(1)))
    (row,) = index_lines(np.frombuffer(line + b" " * LINE_MAX_BYTES, np.uint8), 16)
    assert (row["shard"], row["occurred_at_ms"]) == (0, -1)
    decoded = decode([line + b" " * LINE_MAX_BYTES], trusted=True)
    assert decoded.events[0]["refusal"] == Refusal.TOO_LONG
    assert len(line_of(decoded.data, decoded.events[0])) == len(line) + LINE_MAX_BYTES


def test_a_memory_map_whose_end_is_a_page_end(tmp_path: Path) -> None:
    random = Random(2)
    content = b"\n".join(written(random, event(random)) for _ in range(60))
    pages = -(-len(content) // mmap.PAGESIZE) * mmap.PAGESIZE
    path = tmp_path / "events.ndjson"
    path.write_bytes(b" " * (pages - len(content)) + content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        data = np.frombuffer(memory, np.uint8)
        assert index_lines(data, 16).size == 60
        del data


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_murmur2_has_one_value(key: bytes) -> None:
    assert int(murmur2_bytes(np.frombuffer(key, np.uint8), len(key))) == murmur2(key) & 0xFFFFFFFF


def test_shards_are_bounded() -> None:
    with pytest.raises(ValueError, match="0 shards"):
        index_lines(np.zeros(0, np.uint8), 0)
