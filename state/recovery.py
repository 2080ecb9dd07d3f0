"""Recovery: a shard's tables from its chunks and the deltas behind its checkpoint.

Rules of this file: it only reads; every chunk and delta is checked, the chain of deltas must be
without a gap, and every row that the checkpoint vouches for must be there. What fails halts: no shard starts from less
than it had.

Theory of operation: chunks are fetched one by one (a reply of about 1 MiB passes the client with the fewest copies;
batches of them only pile up in the server's output buffer) and placed as bytes by a second thread, since the first
touch of a table's memory costs as much as fetching what goes into it. A reader without ownership reads while
the owner goes on: it takes chunks first and then deltas until it has the newest one; if a checkpoint ended meanwhile
and took something away, it begins again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import redis

from engine.table import Change, Table
from state import chunk, delta
from state.checkpoint import Record
from state.errors import CorruptState, ShardLost, StateError
from state.keys import ShardKeys
from state.layout import chunk_rows
from state.redis_client import command

_BATCH_BYTES: Final = 8 << 20
_PEEK_S: Final = 20.0
_PLACING_MAX: Final = 8
"""Chunks fetched and not yet placed, at most: bounds the memory beside the tables."""


class Moved(StateError):
    """The owner took away what was about to be read; only a reader without ownership meets this."""


@dataclass(slots=True)
class Loaded:
    """A shard as read from Redis.

    Attributes
    ----------
    seq : int, the last commit.
    offsets : stream -> last consumed offset.
    out_number, dlq_number : int, the last numbers used in outbox and dead letters; 0: none yet.
    step : int, guarded writes so far.
    owner : str, nonce of the owner, empty if there is none.
    record : the checkpoint it was read from.
    stored : fields of the chunks that exist.
    redone : the changes of the deltas behind the checkpoint, a list per delta; their bytes in ``redone_bytes``.
    """

    seq: int
    offsets: dict[str, int]
    out_number: int
    dlq_number: int
    step: int
    owner: str
    record: Record
    stored: dict[str, str]
    redone: list[tuple[Change, ...]] = field(default_factory=list)
    redone_bytes: int = 0


def heads(client: redis.Redis, keys: ShardKeys) -> Loaded:
    """Read a shard's meta, offsets and chunk list in one atom.

    Raises
    ------
    ShardLost if the shard has no meta.
    """
    pipe = client.pipeline(transaction=True)
    for key in (keys.meta, keys.offsets, keys.chunks):
        command(pipe, "HGETALL", key)
    meta, offsets, chunks = pipe.execute()
    if not meta:
        message = f"shard {keys.tag} has no state in Redis though it ought to; restore Redis from a copy"
        raise ShardLost(message)
    return Loaded(
        seq=int(meta[b"seq"]),
        offsets={stream.decode(): int(offset) for stream, offset in offsets.items()},
        out_number=int(meta[b"out"]),
        dlq_number=int(meta[b"dlq"]),
        step=int(meta[b"step"]),
        owner=meta.get(b"owner", b"").decode(),
        record=Record.decode(meta[b"checkpoint"]),
        stored={name.decode(): info.decode() for name, info in chunks.items()},
    )


def load(client: redis.Redis, keys: ShardKeys, tables: Mapping[str, Table]) -> Loaded:
    """Fill tables, emptied first, with a shard's state; nobody else writes meanwhile (the caller owns the shard).

    Raises
    ------
    CorruptState, StateFormat, ShardLost.
    """
    loaded = heads(client, keys)
    try:
        _place_chunks(client, keys, tables, loaded, exact=True)
        last = _redo(client, keys, tables, loaded, loaded.record.seq + 1, loaded.seq)
    except Moved as error:
        raise CorruptState(str(error)) from error
    if last != loaded.seq:
        raise CorruptState(_gap(keys, last + 1))
    return loaded


def peek(client: redis.Redis, keys: ShardKeys, tables: Mapping[str, Table]) -> Loaded:
    """Fill tables with a shard's newest state while its owner goes on.

    Raises
    ------
    CorruptState, StateFormat, ShardLost.
    """
    end = time.monotonic() + _PEEK_S
    while True:
        begun = heads(client, keys)
        try:
            return _peek_once(client, keys, tables, begun)
        except Moved as error:
            # If the owner wrote nothing meanwhile, nothing was taken away: it is not there.
            if heads(client, keys).step == begun.step or time.monotonic() > end:
                raise CorruptState(str(error)) from error


def _peek_once(client: redis.Redis, keys: ShardKeys, tables: Mapping[str, Table], begun: Loaded) -> Loaded:
    _place_chunks(client, keys, tables, begun, exact=False)
    # Read after the chunks, so no chunk shows more than this commit; its deltas make the tables equal to it.
    newest = heads(client, keys)
    last = _redo(client, keys, tables, newest, begun.record.seq + 1, newest.seq)
    if last != newest.seq:
        raise Moved(_gap(keys, last + 1))
    return newest


def _place_chunks(
    client: redis.Redis, keys: ShardKeys, tables: Mapping[str, Table], loaded: Loaded, *, exact: bool
) -> None:
    ordered = sorted((name.rpartition(":")[0], int(name.rpartition(":")[2])) for name in loaded.stored)
    unknown = {name for name, _ in ordered} - set(tables)
    if unknown:
        raise CorruptState(chunk.damaged(min(unknown), "belongs to no table of this version"))
    with ThreadPoolExecutor(1) as placer:
        placing: deque[Future[None]] = deque()
        for name, table in tables.items():
            base, end = loaded.record.bounds.get(name, (0, 0))
            ks = [k for other, k in ordered if other == name]
            span = chunk_rows(table.dtype.itemsize)
            _make_room(table, base, max(end, (ks[-1] + 1) * span if ks else 0) - base)
            covered = base
            for k in ks:
                if (k + 1) * span <= base:
                    continue
                found = _fetch(client, keys, table, k, loaded.stored[f"{name}:{k}"] if exact else None)
                covered = _covered(found, max(base, k * span), covered, loaded.record.seq)
                placing.append(placer.submit(_place, table, found))
                if len(placing) > _PLACING_MAX:
                    placing.popleft().result()
            if covered < end:
                raise Moved(chunk.damaged(name, f"is missing (row {covered})"))
        for last in placing:
            last.result()


def _fetch(client: redis.Redis, keys: ShardKeys, table: Table, k: int, info: str | None) -> chunk.Chunk:
    blob = command(client, "GET", keys.chunk(f"{table.name}:{k}"))
    if blob is None:
        raise Moved(chunk.damaged(table.name, f"is missing (number {k})"))
    found = chunk.decode(blob, table.name, table.dtype)
    if info is not None and info.split()[0] != str(found.seq):
        raise CorruptState(chunk.damaged(table.name, f"is not the one last written (number {k})"))
    return found


def _covered(found: chunk.Chunk, start: int, covered: int, seq: int) -> int:
    """Up to which id all rows are vouched for, this chunk's included."""
    end = found.first + found.rows.size
    # A chunk newer than the checkpoint may lack rows dropped since: the deltas behind the checkpoint drop them too.
    whole = found.first <= start or found.seq > seq
    if covered >= start and whole:
        return max(covered, end)
    return covered


def _make_room(table: Table, base: int, rows: int) -> None:
    """Empty a table and make room for its rows."""
    table.rows = np.zeros(0, table.dtype)
    table.stamps = np.zeros(0, np.uint8)
    table.touched = np.zeros(0, np.int64)
    table.base = table.saved_base = base
    table.used = table.saved = table.n_touched = 0
    table.reserve(rows + rows // 16)


def _place(table: Table, found: chunk.Chunk) -> None:
    """Put a chunk's rows into their table, but those before its base."""
    skip = max(0, table.base - found.first)
    rows, at = found.rows[skip:], found.first + skip - table.base
    table.reserve(max(0, at + rows.size - table.used))
    size = table.dtype.itemsize
    table.rows.view(np.uint8)[at * size : (at + rows.size) * size] = rows.view(np.uint8)
    table.used = table.saved = max(table.used, at + rows.size)


def _redo(
    client: redis.Redis, keys: ShardKeys, tables: Mapping[str, Table], loaded: Loaded, first: int, last: int
) -> int:
    """Apply the deltas ``first`` .. ``last``; return the last one applied."""
    dtypes = {name: table.dtype for name, table in tables.items()}
    count = 8
    while first <= last:
        entries: list[Any] = command(client, "XRANGE", keys.delta, f"{first}-0", f"{last}-0", "COUNT", count)
        size = 0
        for entry_id, fields in entries:
            if entry_id != b"%d-0" % first:
                raise Moved(_gap(keys, first))
            _apply(tables, delta.decode(fields[1], dtypes), first, loaded)
            size += len(fields[1])
            first += 1
        if not entries:
            break
        loaded.redone_bytes += size
        count = max(1, min(1000, count * 4, _BATCH_BYTES * len(entries) // max(size, 1)))
    return first - 1


def _apply(tables: Mapping[str, Table], found: delta.Delta, seq: int, loaded: Loaded) -> None:
    if found.seq != seq:
        message = f"a stored delta carries number {found.seq} in place {seq}; restore Redis from a copy"
        raise CorruptState(message)
    for change in found.changes:
        try:
            tables[change.table].apply(change)
        except ValueError as error:
            raise CorruptState(str(error)) from error
    loaded.redone.append(found.changes)


def _gap(keys: ShardKeys, seq: int) -> str:
    return f"delta {seq} of shard {keys.tag} is missing; restore Redis from a copy, or replay from the log"
