"""Short texts in byte tables, and the order of events that happened at the same millisecond.

Rules of this file: a text is a length byte and that many bytes; the order is that of bytes (all ids are ASCII); room in
the table is the caller's duty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.kernel import Int, kernel

Bytes = NDArray[np.uint8]


@kernel
def put_text(texts: Bytes, at: Int, data: Bytes, start: Int, size: Int) -> int:
    """Write one text at place ``at``; returns the place behind it."""
    texts[at] = np.uint8(size)
    for i in range(size):
        texts[at + 1 + i] = data[start + i]
    return at + 1 + size


@kernel
def put_raw(texts: Bytes, at: Int, data: Bytes, start: Int, size: Int) -> int:
    """Write a raw line (four length bytes, little end first) at place ``at``; returns the place behind it."""
    for i in range(4):
        texts[at + i] = np.uint8((size >> (8 * i)) & 255)
    for i in range(size):
        texts[at + 4 + i] = data[start + i]
    return at + 4 + size


@kernel
def skip_text(texts: Bytes, at: Int) -> Int:
    """The place behind the text at ``at``."""
    return at + 1 + np.int64(texts[at])


@kernel
def compare(one: Bytes, at: Int, size: Int, other: Bytes, other_at: Int, other_size: Int) -> int:
    """-1, 0, 1 as the first span of bytes sorts before, equals, sorts behind the second."""
    for i in range(min(size, other_size)):
        if one[at + i] != other[other_at + i]:
            return -1 if one[at + i] < other[other_at + i] else 1
    if size == other_size:
        return 0
    return -1 if size < other_size else 1


@kernel
def compare_texts(texts: Bytes, at: Int, other: Int) -> int:
    """`compare` of two stored texts of one table."""
    return compare(texts, at + 1, np.int64(texts[at]), texts, other + 1, np.int64(texts[other]))
