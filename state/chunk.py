"""One chunk: a run of rows of one table at fixed ids, as a snapshot stores it.

Rules of this file: chunk ``k`` of a table covers the ids ``k * R .. (k + 1) * R - 1``, R = `chunk_rows`; it holds those
of them that the table held when it was written; it carries its own CRC32.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engine.table import Rows, Table
from state.errors import CorruptState, StateFormat
from state.layout import as_bytes, chunk_rows, fingerprint, other_layout

MAGIC: Final = b"HGC1"
_HEADER: Final = struct.Struct("<4sIQqqII")  # magic, fingerprint, seq, first id, rows, 0, crc
_CHECKED: Final = _HEADER.size - 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """A decoded chunk; ``rows`` is a view into the stored bytes, ``first`` the id of its first row."""

    seq: int
    first: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk ready to be written: its field in the chunks hash, what the hash says of it, its bytes."""

    field: str
    info: str
    blob: bytes


def encode(table: Table, k: int, seq: int) -> StoredChunk | None:
    """Pack chunk ``k`` of a table as it stands at ``seq``; None if the table holds none of its rows."""
    span = chunk_rows(table.dtype.itemsize)
    first = max(k * span, table.base)
    last = min((k + 1) * span, table.base + table.used)
    if last <= first:
        return None
    body = as_bytes(table.rows[first - table.base : last - table.base])
    head = _HEADER.pack(MAGIC, fingerprint(table.dtype), seq, first, last - first, 0, 0)[:_CHECKED]
    crc = zlib.crc32(body, zlib.crc32(head))
    blob = b"".join((head, crc.to_bytes(4, "little"), body))
    return StoredChunk(f"{table.name}:{k}", f"{seq} {crc} {first} {last - first}", blob)


def decode(blob: bytes, table: str, dtype: np.dtype[Any]) -> Chunk:
    """Read a chunk back.

    Raises
    ------
    CorruptState if the bytes fail their check; StateFormat if the rows have another layout.
    """
    if len(blob) < _HEADER.size:
        raise CorruptState(damaged(table, "is cut short"))
    magic, layout, seq, first, count, _, crc = _HEADER.unpack_from(blob)
    body = memoryview(blob)[_HEADER.size :]
    if magic != MAGIC or zlib.crc32(body, zlib.crc32(blob[:_CHECKED])) != crc:
        raise CorruptState(damaged(table, "fails its checksum"))
    if layout != fingerprint(dtype):
        raise StateFormat(other_layout(table))
    if len(body) != count * dtype.itemsize:
        raise CorruptState(damaged(table, "has the wrong size"))
    return Chunk(seq, first, np.frombuffer(body, dtype))


def damaged(table: str, how: str) -> str:
    """The message for a chunk that cannot be used."""
    return f"a stored chunk of table {table!r} {how}; restore Redis from a copy, or replay from the log"
