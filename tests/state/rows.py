"""Small tables for the state's tests: random changes, and what they ought to be."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from engine.table import Table

AD = np.dtype([("id", "u8"), ("spend_micros", "i8"), ("flag", "u1"), ("sums", "f8", (2,))], align=True)
CLICK = np.dtype([("key", "u8"), ("at_ms", "i8")])
LAYOUT = {"ads": (AD, True), "clicks": (CLICK, False), "texts": (np.dtype(np.uint8), False)}

Picture = dict[str, tuple[int, bytes]]


def new_tables() -> dict[str, Table]:
    """The tables of one shard, empty."""
    return {name: Table(name, dtype, stamped=stamped) for name, (dtype, stamped) in LAYOUT.items()}


def picture(tables: dict[str, Table]) -> Picture:
    """What the tables hold, to compare."""
    return {name: (table.base, table.live().tobytes()) for name, table in tables.items()}


def random_rows(rng: Generator, dtype: np.dtype, count: int) -> np.ndarray:
    """Rows of random bytes, padding included."""
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype)


def append(table: Table, rows: np.ndarray) -> None:
    """Append rows as the engine does."""
    table.reserve(rows.size)
    table.rows[table.used : table.used + rows.size] = rows
    table.used += rows.size


def touch(table: Table, place: int, row: np.ndarray) -> None:
    """Change one row as the engine does."""
    table.reserve(0, 1)
    table.rows[place : place + 1].view(np.uint8)[:] = row.view(np.uint8)
    if place >= table.saved or (table.stamped and table.stamps[place]):
        return
    if table.stamped:
        table.stamps[place] = 1
    table.touched[table.n_touched] = place
    table.n_touched += 1


def change_at_random(tables: dict[str, Table], rng: Generator) -> None:
    """Append, touch and drop at random."""
    for table in tables.values():
        if rng.random() < 0.6:
            append(table, random_rows(rng, table.dtype, int(rng.integers(1, 40))))
        for _ in range(int(rng.integers(0, 12))):
            if table.used:
                touch(table, int(rng.integers(table.used)), random_rows(rng, table.dtype, 1))
        if rng.random() < 0.15 and table.used:
            table.drop(int(rng.integers(1, table.used + 1)))
