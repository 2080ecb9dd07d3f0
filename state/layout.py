"""Binary headers of stored rows: what a delta and a chunk have in common.

Rules of this file: little-endian; rows are stored as they lie in memory; a fingerprint of the row layout guards
against reading rows written by another version.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES: Final = 1 << 20


@lru_cache(maxsize=256)
def fingerprint(dtype: np.dtype[Any]) -> int:
    """A 32-bit fingerprint of a row layout: names, types, places and size.

    Parameters
    ----------
    dtype : numpy dtype of a row.

    Returns
    -------
    int, uint32.
    """
    return zlib.crc32(repr((dtype.descr, dtype.itemsize)).encode())


@lru_cache(maxsize=256)
def chunk_rows(itemsize: int) -> int:
    """How many rows of ``itemsize`` bytes one chunk covers: about 1 MiB, a power of two, at least 1."""
    return 1 << max(0, (CHUNK_BYTES // itemsize).bit_length() - 1)


def as_bytes(rows: NDArray[Any]) -> memoryview:
    """The bytes of contiguous rows, without a copy."""
    return np.ascontiguousarray(rows).view(np.uint8).data


def other_layout(table: str) -> str:
    """The message for rows that this version cannot read."""
    return f"table {table!r} was stored with another layout; use the version that wrote it, or replay from the log"
