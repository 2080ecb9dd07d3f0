"""Open-addressing indexes over the tables: from a 64-bit hash to the place of a row.

Rules of this file: a slot is 8 bytes, the upper half of the hash beside the place + 1, so that a miss costs one cache
line; 0 is empty; nothing is ever deleted (an index is rebuilt from its table instead); equal hashes may stand side by
side, which makes the same structure a multimap. Theory: linear probing at a load of at most 0.7 (Knuth, vol. 3, 6.4).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.kernel import Int, kernel

LOAD_MAX: Final = 0.7
SLOTS_MIN: Final = 16_384
SLOTS_STEP: Final = 65_536
"""Below this an index grows fourfold: building it again is dear, its slots are cheap."""
U64 = np.uint64
_LOW: Final = U64(0xFFFFFFFF)
_HIGH: Final = U64(0xFFFFFFFF00000000)

Slots = NDArray[np.uint64]


def slots_for(rows: int) -> int:
    """How many slots (a power of two) keep ``rows`` rows under the load limit."""
    size = SLOTS_MIN
    while size * LOAD_MAX < rows:
        size *= 4 if size < SLOTS_STEP else 2
    return size


@kernel
def insert(slots: Slots, h: np.uint64, place: Int) -> None:
    """Add a row's place under its hash; the caller keeps the load below the limit."""
    mask = U64(slots.size - 1)
    at = h & mask
    while slots[at] != U64(0):
        at = (at + U64(1)) & mask
    slots[at] = (h & _HIGH) | U64(place + 1)


@kernel
def find(slots: Slots, rows: NDArray[Any], h: np.uint64) -> Int:
    """The place of the first row with this hash, or -1."""
    mask = U64(slots.size - 1)
    at = h & mask
    while True:
        slot = slots[at]
        if slot == U64(0):
            return -1
        if (slot & _HIGH) == (h & _HIGH):
            place = np.int64(slot & _LOW) - 1
            if rows[place]["hash"] == h:
                return place
        at = (at + U64(1)) & mask


@kernel
def find_next(slots: Slots, rows: NDArray[Any], h: np.uint64, at: np.uint64) -> tuple[Int, np.uint64]:
    """The next row with this hash at or behind slot ``at`` (start with `first_slot`): (place or -1, where to go on)."""
    mask = U64(slots.size - 1)
    while True:
        slot = slots[at]
        if slot == U64(0):
            return -1, at
        if (slot & _HIGH) == (h & _HIGH):
            place = np.int64(slot & _LOW) - 1
            if rows[place]["hash"] == h:
                return place, (at + U64(1)) & mask
        at = (at + U64(1)) & mask


@kernel
def first_slot(slots: Slots, h: np.uint64) -> np.uint64:
    """Where a walk over equal hashes begins."""
    return h & U64(slots.size - 1)


@kernel
def build(slots: Slots, rows: NDArray[Any], used: Int) -> None:
    """Fill empty ``slots`` with the first ``used`` rows, in their order; rows with hash 0 are left out."""
    for place in range(used):
        h = rows[place]["hash"]
        if h != U64(0):
            insert(slots, h, place)


@kernel
def replace(slots: Slots, rows: NDArray[Any], h: np.uint64, place: Int) -> None:
    """Let the hash lead to ``place`` from now on (insert it where it is new)."""
    mask = U64(slots.size - 1)
    at = h & mask
    while slots[at] != U64(0):
        other = np.int64(slots[at] & _LOW) - 1
        if (slots[at] & _HIGH) == (h & _HIGH) and rows[other]["hash"] == h:
            break
        at = (at + U64(1)) & mask
    slots[at] = (h & _HIGH) | U64(place + 1)


@kernel
def build_latest(slots: Slots, rows: NDArray[Any], used: Int) -> None:
    """As `build`, but of rows with equal hashes only the last is found."""
    for place in range(used):
        h = rows[place]["hash"]
        if h != U64(0):
            replace(slots, rows, h, place)
