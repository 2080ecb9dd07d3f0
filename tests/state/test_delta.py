"""A delta comes back as it went in, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state import delta
from state.errors import CorruptState, StateFormat
from tests.state.rows import AD, LAYOUT, append, change_at_random, new_tables, picture, random_rows

DTYPES = {name: dtype for name, (dtype, _) in LAYOUT.items()}


def encoded(seed: int, rounds: int) -> tuple[list[bytes], dict]:
    rng = np.random.default_rng(seed)
    tables = new_tables()
    blobs = []
    for seq in range(1, rounds + 1):
        change_at_random(tables, rng)
        changes = [c for c in (t.change() for t in tables.values()) if c is not None]
        blobs.append(delta.encode(changes, seq))
        for table in tables.values():
            table.mark_saved()
    return blobs, picture(tables)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 8))
def test_a_chain_of_deltas_rebuilds_the_tables(seed: int, rounds: int) -> None:
    blobs, want = encoded(seed, rounds)
    tables = new_tables()
    for seq, blob in enumerate(blobs, 1):
        found = delta.decode(blob, DTYPES)
        assert found.seq == seq
        for change in found.changes:
            tables[change.table].apply(change)
    assert picture(tables) == want


def test_redoing_the_last_deltas_twice_changes_nothing() -> None:
    for seed in range(40):
        blobs, want = encoded(seed, 8)
        tables = new_tables()
        for blob in (*blobs, *blobs[4:]):
            for change in delta.decode(blob, DTYPES).changes:
                tables[change.table].apply(change)
        assert picture(tables) == want


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    blob = encoded(3, 1)[0][0]
    for at in range(0, len(blob), max(1, len(blob) // 200)):
        broken = bytearray(blob)
        broken[at] ^= 1 << (at % 8)
        with pytest.raises(CorruptState):
            delta.decode(bytes(broken), DTYPES)
        with pytest.raises(CorruptState):
            delta.decode(blob[:at], DTYPES)


def test_another_row_layout_is_refused_by_name() -> None:
    tables = new_tables()
    append(tables["ads"], random_rows(np.random.default_rng(1), AD, 3))
    blob = delta.encode([tables["ads"].change()], 1)
    with pytest.raises(StateFormat, match="'ads'"):
        delta.decode(blob, {"ads": np.dtype([("id", "u8")])})
    with pytest.raises(StateFormat, match="'ads'"):
        delta.decode(blob, {})


def test_decoding_copies_no_rows() -> None:
    blob = encoded(5, 1)[0][0]
    for change in delta.decode(blob, DTYPES).changes:
        assert change.appended.size == 0 or not change.appended.flags.owndata
