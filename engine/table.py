"""A dense table of structured rows that knows what changed since it was last made durable.

Rules of this file: rows are only appended at the end, changed in place, or dropped from the front; a row's id is its
absolute number (``base`` + place), so an id never changes meaning. What changed is the rows behind ``saved`` plus the
places in ``touched``; both are absolute row images, so applying a change twice is the same as applying it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
FIRST_ROWS: Final = 8192
STEP_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit must store of one table.

    Attributes
    ----------
    table : str, name of the table.
    base : int, id of the first row still held; rows before it are dropped.
    used : int, number of rows held after the change.
    start : int, id of the first appended row.
    appended : rows[k], the rows start .. start + k - 1.
    touched : int64[m], ids of older rows that changed.
    images : rows[m], what they are now.
    """

    table: str
    base: int
    used: int
    start: int
    appended: Rows
    touched: NDArray[np.int64]
    images: Rows


class Table:
    """Rows of one dtype with amortised growth.

    Parameters
    ----------
    name : str, stable: it is part of the stored format.
    dtype : numpy dtype of a row.
    stamped : bool, whether a row may be touched many times between commits; then ``stamps`` keeps it to once.
    """

    __slots__ = (
        "base", "dtype", "n_touched", "name", "rows", "saved", "saved_base", "stamped", "stamps", "touched", "used",
        "version",
    )  # fmt: skip

    def __init__(self, name: str, dtype: np.dtype[Any], *, stamped: bool) -> None:
        self.name = name
        self.dtype = dtype
        self.stamped = stamped
        self.base = 0
        self.used = 0
        self.saved = 0
        self.saved_base = 0
        self.n_touched = 0
        self.rows: Rows = np.zeros(0, dtype)
        self.stamps = np.zeros(0, np.uint8)
        self.touched = np.zeros(0, np.int64)
        self.version = 0  # counts replaced arrays

    def reserve(self, more: int, touches: int = 0) -> None:
        """Make room for ``more`` appended and ``touches`` touched rows, growing by an eighth at least."""
        need = self.used + more
        if need > self.rows.size:
            size = max(
                need,
                self.rows.size + max(self.rows.size // 8, min(self.rows.size, STEP_ROWS)),
                FIRST_ROWS if need > 64 else 64,
            )
            self.rows = _grown(self.rows, size, self.used)
            self.version += 1
            if self.stamped:
                self.stamps = _grown(self.stamps, size, self.used)
        marks = self.used + more if self.stamped else self.n_touched + touches
        if marks > self.touched.size:
            room = self.rows.size if self.stamped else 2 * marks
            self.touched = _grown(self.touched, room, self.n_touched)
            self.version += 1

    def live(self) -> Rows:
        """The rows held, a view."""
        return self.rows[: self.used]

    def change(self) -> Change | None:
        """What changed since `mark_saved`, or None; the arrays are copies."""
        if self.used == self.saved and self.base == self.saved_base and not self.n_touched:
            return None
        places = self.touched[: self.n_touched]
        if not self.stamped:
            places = np.sort(places)
            places = places[np.diff(places, prepend=-1) != 0]
        places = places[places < self.saved]
        return Change(
            table=self.name,
            base=self.base,
            used=self.used,
            start=self.base + self.saved,
            appended=_copied(self.rows[self.saved : self.used]),
            touched=places + self.base,
            images=self.rows.take(places),
        )

    def mark_saved(self) -> None:
        """Forget what changed: it is durable now."""
        if self.stamped:
            self.stamps[self.touched[: self.n_touched]] = 0
        self.n_touched = 0
        self.saved = self.used
        self.saved_base = self.base

    def apply(self, change: Change) -> None:
        """Put a stored change into the table (recovery); applying an old one again is harmless once newer ones follow.

        Raises
        ------
        ValueError if the change begins behind the end of the table: a change is missing.
        """
        if change.base >= self.base + self.used:
            self.rows, self.used, self.base = self.rows[:0], 0, change.base
            self.version += 1
        place = change.start - self.base
        if place > self.used:
            message = f"table {self.name}: rows {self.base + self.used}..{change.start} are missing"
            raise ValueError(message)
        end = change.used + change.base - self.base
        self.reserve(max(0, end - self.used))
        skip = min(max(0, -place), change.appended.size)
        _copy(self.rows, place + skip, change.appended[skip:])
        places = change.touched - self.base
        held = places >= 0
        raw = np.dtype((np.void, self.dtype.itemsize))  # plain bytes: NumPy would copy field by field
        self.rows.view(raw)[places[held]] = change.images.view(raw)[held]
        self.used = max(self.used, place + change.appended.size)
        self.saved = self.used
        if change.base > self.base:
            self.drop(change.base - self.base)
        self.saved_base = self.base

    def drop(self, count: int) -> None:
        """Drop ``count`` rows from the front; ids of the others stay, and so does what is yet to be saved."""
        self.rows = _copied(self.rows[count : self.used])
        self.version += 1
        if self.stamped:
            self.stamps = self.stamps[count : self.used].copy()
        marks = self.touched[: self.n_touched] - count
        marks = marks[marks >= 0]
        self.touched[: marks.size] = marks
        self.n_touched = marks.size
        self.base += count
        self.used -= count
        self.saved = max(0, self.saved - count)

    def place(self, base: int, rows: Rows) -> None:
        """Put a stored run of rows at its ids (recovery from a snapshot); runs come in order of their ids."""
        if self.used == 0:
            self.base = base
        at = base - self.base
        self.reserve(max(0, at + rows.size - self.used))
        _copy(self.rows, at, rows)
        self.used = max(self.used, at + rows.size)
        self.saved = self.used
        self.saved_base = self.base


def _copied(rows: Rows) -> Rows:
    """A copy of rows as plain bytes: 20 times faster than NumPy's copy of a structured array, field by field."""
    return rows.view(np.uint8).copy().view(rows.dtype)


def _copy(into: Rows, at: int, rows: Rows) -> None:
    """Copy rows as plain bytes: one move instead of one per field."""
    size = into.dtype.itemsize
    into.view(np.uint8)[at * size : (at + rows.size) * size] = rows.view(np.uint8)


def _grown(array: NDArray[Any], size: int, keep: int) -> NDArray[Any]:
    grown = np.zeros(size, array.dtype)
    _copy(grown, 0, array[:keep])
    return grown
