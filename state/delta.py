"""One binary delta: what a commit changed in a shard's tables, as absolute row images.

Rules of this file: a delta is self-contained (version, sequence number, layout fingerprints, CRC32); decoding makes
views into the stored bytes, never copies; bytes that fail a check raise, they are never half applied.

Layout: header, then for each changed table its own header, name, appended rows, ids of touched rows, their images;
each part padded to 8 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.table import Change, Rows
from state.errors import CorruptState, StateFormat
from state.layout import as_bytes, fingerprint, other_layout

MAGIC: Final = b"HGD1"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sHHQII")  # magic, version, tables, seq, size of the rest, crc of all but size and crc
_CHECKED: Final = 16  # bytes of the header that the crc covers
_TABLE: Final = struct.Struct("<HHIqqqII")  # name size, 0, fingerprint, base, used, start, appended, touched
_PADS: Final = tuple(bytes(n) for n in range(8))


@dataclass(frozen=True, slots=True)
class Delta:
    """A decoded delta; the arrays of the changes are views into the stored bytes."""

    seq: int
    changes: tuple[Change, ...]


def encode(changes: Sequence[Change], seq: int) -> bytes:
    """Pack changes into one delta.

    Parameters
    ----------
    changes : changes of distinct tables, from `Table.change`.
    seq : int, the sequence number this delta gets.

    Returns
    -------
    bytes.
    """
    parts: list[bytes | memoryview] = [b""]
    for change in changes:
        name = change.table.encode()
        head = _TABLE.pack(
            len(name),
            0,
            fingerprint(change.appended.dtype),
            change.base,
            change.used,
            change.start,
            change.appended.size,
            change.touched.size,
        )
        parts += (head, name, _pad(len(name)))
        for rows in (change.appended, change.touched, change.images):
            if rows.size:
                parts += (as_bytes(rows), _pad(rows.nbytes))
    size = 0
    crc = zlib.crc32(_HEADER.pack(MAGIC, VERSION, len(changes), seq, 0, 0)[:_CHECKED])
    for part in parts:
        size += len(part)
        crc = zlib.crc32(part, crc)
    parts[0] = _HEADER.pack(MAGIC, VERSION, len(changes), seq, size, crc)
    return b"".join(parts)


def checksum(blob: bytes) -> int:
    """The CRC32 that a delta carries (not recomputed)."""
    return int(_HEADER.unpack_from(blob)[5])


def decode(blob: bytes, dtypes: Mapping[str, np.dtype[Any]]) -> Delta:
    """Read a delta back.

    Parameters
    ----------
    blob : bytes, as `encode` made it.
    dtypes : table name -> dtype of its rows.

    Raises
    ------
    CorruptState if the bytes fail their check; StateFormat if they hold an unknown table or another row layout.
    """
    if len(blob) < _HEADER.size:
        raise CorruptState(_damaged("is cut short"))
    magic, version, count, seq, size, crc = _HEADER.unpack_from(blob)
    if magic != MAGIC or len(blob) != _HEADER.size + size:
        raise CorruptState(_damaged("is cut short or no delta"))
    if zlib.crc32(memoryview(blob)[_HEADER.size :], zlib.crc32(blob[:_CHECKED])) != crc:
        raise CorruptState(_damaged("fails its checksum"))
    if version != VERSION:
        message = f"a delta has version {version}, this Headgate reads {VERSION}; use the version that wrote it"
        raise StateFormat(message)
    changes = []
    at = _HEADER.size
    for _ in range(count):
        change, at = _change(blob, at, dtypes)
        changes.append(change)
    return Delta(seq, tuple(changes))


def _change(blob: bytes, at: int, dtypes: Mapping[str, np.dtype[Any]]) -> tuple[Change, int]:
    name_size, _, layout, base, used, start, n_appended, n_touched = _TABLE.unpack_from(blob, at)
    at += _TABLE.size
    name = blob[at : at + name_size].decode()
    at += name_size + len(_pad(name_size))
    dtype = dtypes.get(name)
    if dtype is None or fingerprint(dtype) != layout:
        raise StateFormat(other_layout(name))
    appended, at = _rows(blob, at, dtype, n_appended)
    touched, at = _rows(blob, at, np.dtype(np.int64), n_touched)
    images, at = _rows(blob, at, dtype, n_touched)
    return Change(name, base, used, start, appended, touched, images), at


def _rows(blob: bytes, at: int, dtype: np.dtype[Any], count: int) -> tuple[Rows, int]:
    if not count:
        return np.empty(0, dtype), at
    rows: NDArray[Any] = np.frombuffer(blob, dtype, count, at)
    return rows, at + rows.nbytes + len(_pad(rows.nbytes))


def _pad(size: int) -> bytes:
    return _PADS[-size % 8]


def _damaged(how: str) -> str:
    return f"a stored delta {how}; restore Redis from a copy, or replay from the log"
