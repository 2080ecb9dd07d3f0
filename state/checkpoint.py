"""Incremental, fuzzy checkpoints: which chunks changed, which are to be written next.

Rules of this file: no IO; chunks are written between commits only, when the tables hold nothing unsaved; a checkpoint
may take many steps while commits go on.

Theory of operation: a checkpoint that begins at sequence number B writes every chunk that changed before, each as it
stands when its turn comes (at B or later). When all are written, B is recorded and the deltas up to B are dropped.
Recovery reads the chunks, then redoes all deltas behind B: deltas are absolute row images, so redoing one whose effect
a chunk already shows changes nothing (physical redo over a fuzzy dump: Gray & Reuter 1993, section 11.4). A crash in
between leaves the older record with newer chunks, which the deltas behind the older record cover just as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.table import Change, Table
from state import chunk
from state.layout import chunk_rows

MIN_BYTES: Final = 16 << 20
MAX_BYTES: Final = 32 << 20
MAX_DELTAS: Final = 4096


@dataclass(frozen=True, slots=True)
class Record:
    """A finished checkpoint.

    Attributes
    ----------
    seq : int, the commit it stands for; deltas behind it are to be redone.
    bounds : table name -> (first id held when the checkpoint ended, id behind the last row when it began). Rows that
        were dropped while it ran need not be in any chunk: the deltas drop them too.
    """

    seq: int = 0
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def encode(self) -> str:
        """As stored in meta."""
        return json.dumps({"seq": self.seq, "tables": {k: list(v) for k, v in self.bounds.items()}})

    @classmethod
    def decode(cls, text: bytes) -> Record:
        """From meta."""
        found = json.loads(text)
        return cls(found["seq"], {name: (base, end) for name, (base, end) in found["tables"].items()})


class Checkpointer:
    """Keeps the books of one shard's checkpoints.

    Parameters
    ----------
    tables : the shard's tables by name.
    stored : fields (``table:k``) of the chunks that exist.
    min_bytes, max_bytes, max_deltas : a checkpoint is due once the deltas since the last one outweigh the chunks that
        would be written (so writing at most doubles), but not before ``min_bytes``, and at ``max_bytes`` or
        ``max_deltas`` in any case (so recovery stays short).
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        stored: Iterable[str] = (),
        *,
        min_bytes: int = MIN_BYTES,
        max_bytes: int = MAX_BYTES,
        max_deltas: int = MAX_DELTAS,
    ) -> None:
        self.tables = tables
        self.stored = set(stored)
        self.limits = (min_bytes, max_bytes, max_deltas)
        self.dirty: dict[str, NDArray[np.uint8]] = {name: np.zeros(64, np.uint8) for name in tables}
        self.delta_bytes = 0
        self.deltas = 0
        self.record: Record | None = None
        self.plan: list[tuple[str, int]] = []

    def note(self, changes: Iterable[Change], delta_bytes: int) -> None:
        """Note a stored delta: its chunks are dirty now."""
        self.delta_bytes += delta_bytes
        self.deltas += 1
        for change in changes:
            span = chunk_rows(self.tables[change.table].dtype.itemsize)
            first, end = change.start // span, -(-(change.start + change.appended.size) // span)
            marks = self._marks(change.table, max(end, 1))
            if change.appended.size:
                marks[first:end] = 1
            if change.touched.size:
                marks[change.touched // span] = 1

    def due(self) -> bool:
        """Whether a checkpoint ought to begin."""
        min_bytes, max_bytes, max_deltas = self.limits
        if self.record is not None or not self.deltas:
            return False
        if self.deltas >= max_deltas or self.delta_bytes >= max_bytes:
            return True
        return self.delta_bytes >= max(min_bytes, self._dirty_bytes())

    def begin(self, seq: int) -> None:
        """Begin a checkpoint that stands for the commit ``seq``; the tables hold exactly that commit."""
        self.record = Record(seq, {name: (table.base, table.base + table.used) for name, table in self.tables.items()})
        self.plan = [(name, int(k)) for name in self.tables for k in np.flatnonzero(self.dirty[name])]
        self.plan.reverse()
        self.delta_bytes = 0
        self.deltas = 0

    def next_chunks(self, seq: int, max_bytes: int) -> tuple[list[chunk.StoredChunk], int]:
        """Pack the next chunks, about ``max_bytes`` of them, as they stand at ``seq``.

        Returns
        -------
        The chunks, and how many places of the plan they stand for (some may have been dropped meanwhile).
        """
        packed: list[chunk.StoredChunk] = []
        size = taken = 0
        while taken < len(self.plan) and size < max_bytes:
            name, k = self.plan[-1 - taken]
            taken += 1
            one = chunk.encode(self.tables[name], k, seq)
            if one is not None:
                packed.append(one)
                size += len(one.blob)
        return packed, taken

    def wrote(self, chunks: Iterable[chunk.StoredChunk], taken: int) -> None:
        """Note that packed chunks are stored."""
        for _ in range(taken):
            name, k = self.plan.pop()
            self.dirty[name][k] = 0
        self.stored.update(packed.field for packed in chunks)

    def close(self) -> tuple[Record, list[str]]:
        """All chunks are written: the record to store, and the chunks to delete (wholly before the bases)."""
        assert self.record is not None
        ends = {name: end for name, (_, end) in self.record.bounds.items()}
        bounds = {name: (table.base, max(table.base, ends[name])) for name, table in self.tables.items()}
        return Record(self.record.seq, bounds), sorted(field_ for field_ in self.stored if self._is_dropped(field_))

    def finish(self, dropped: Iterable[str]) -> None:
        """The checkpoint is recorded."""
        self.stored.difference_update(dropped)
        self.record = None

    def ready(self) -> bool:
        """Whether the tables hold nothing unsaved, so that chunks may be written."""
        return all(
            table.used == table.saved and table.base == table.saved_base and not table.n_touched
            for table in self.tables.values()
        )

    def _is_dropped(self, field_: str) -> bool:
        name, _, k = field_.rpartition(":")
        table = self.tables[name]
        return (int(k) + 1) * chunk_rows(table.dtype.itemsize) <= table.base

    def _marks(self, name: str, need: int) -> NDArray[np.uint8]:
        marks = self.dirty[name]
        if need > marks.size:
            grown = np.zeros(need * 2, np.uint8)
            grown[: marks.size] = marks
            self.dirty[name] = marks = grown
        return marks

    def _dirty_bytes(self) -> int:
        total = 0
        for name, table in self.tables.items():
            size = chunk_rows(table.dtype.itemsize) * table.dtype.itemsize
            total += min(int(np.count_nonzero(self.dirty[name])) * size, table.used * table.dtype.itemsize)
        return total
