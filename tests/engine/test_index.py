"""Open addressing against a dict of lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.index import LOAD_MAX, build, build_latest, find, find_next, first_slot, insert, replace, slots_for

ROW = np.dtype([("hash", "u8"), ("value", "i8")])
# Few distinct low bits and few distinct high bits, so that probes run into each other.
HASHES = st.lists(st.builds(lambda low, high: (high << 32) | low, st.integers(1, 3), st.integers(0, 3)), max_size=40)


def rows_of(hashes: list[int]) -> np.ndarray:
    rows = np.zeros(len(hashes), ROW)
    rows["hash"] = hashes
    return rows


def walk(slots: np.ndarray, rows: np.ndarray, h: int) -> list[int]:
    found = []
    place, at = find_next(slots, rows, np.uint64(h), np.uint64(first_slot(slots, np.uint64(h))))
    while place >= 0:
        found.append(place)
        place, at = find_next(slots, rows, np.uint64(h), np.uint64(at))
    return found


@given(hashes=HASHES)
def test_every_row_is_found_in_the_order_of_insertion(hashes: list[int]) -> None:
    rows = rows_of(hashes)
    slots = np.zeros(64, np.uint64)
    for place, h in enumerate(hashes):
        insert(slots, np.uint64(h), place)
    for h in set(hashes):
        places = [place for place, other in enumerate(hashes) if other == h]
        assert find(slots, rows, np.uint64(h)) == places[0]
        assert walk(slots, rows, h) == places
    assert find(slots, rows, np.uint64(9)) == -1
    built = np.zeros(64, np.uint64)
    build(built, rows, rows.size)
    assert (built == slots).all()


@given(hashes=HASHES)
def test_the_latest_of_equal_rows_is_found(hashes: list[int]) -> None:
    rows = rows_of(hashes)
    built, replaced = np.zeros(64, np.uint64), np.zeros(64, np.uint64)
    build_latest(built, rows, rows.size)
    for place, h in enumerate(hashes):
        replace(replaced, rows, np.uint64(h), place)
    for h in set(hashes):
        last = max(place for place, other in enumerate(hashes) if other == h)
        assert find(built, rows, np.uint64(h)) == find(replaced, rows, np.uint64(h)) == last


@given(rows=st.integers(0, 10**7))
def test_slots_keep_the_load(rows: int) -> None:
    size = slots_for(rows)
    assert size & (size - 1) == 0
    assert rows <= size * LOAD_MAX
