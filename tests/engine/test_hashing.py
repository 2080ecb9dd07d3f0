"""Hashes are bound to what they stand for; partitions agree with Kafka's Java client."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.hashing import (
    SALT_AD,
    SALT_CLICK,
    account_hash,
    hash_bytes,
    hash_text,
    id_hash,
    murmur2,
    partition,
)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_equals_the_java_client(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected


@given(text=st.binary(max_size=40), before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_a_hash_depends_on_its_span_alone(text: bytes, before: bytes, after: bytes) -> None:
    alone = np.frombuffer(text + bytes(8), np.uint8)
    inside = np.frombuffer(before + text + after + bytes(8), np.uint8)
    assert hash_bytes(alone, 0, len(text)) == hash_bytes(inside, len(before), len(text))


def test_equal_ids_of_other_accounts_and_kinds_never_meet() -> None:
    one, other = account_hash("t", "a"), account_hash("ta", "")
    assert one != other
    assert len({id_hash(account, salt, "x") for account in (one, other) for salt in (SALT_AD, SALT_CLICK)}) == 4


@given(texts=st.sets(st.text(st.characters(codec="ascii"), max_size=12), min_size=50, max_size=200))
def test_no_collisions_among_a_few_hundred(texts: set[str]) -> None:
    assert len({hash_text(text) for text in texts}) == len(texts)


def test_partition_is_that_of_the_joined_key() -> None:
    assert partition("acme", "act_1", 16) == (murmur2(b"acme/act_1") & 0x7FFFFFFF) % 16
