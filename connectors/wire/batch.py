"""Kernels over whole batches: every line of many payloads, every canonical line of the slow path, every line of a file.

Rules of this file: one row a line, in order; a line that the scanner cannot tell is a row with refusal UNRECOGNISED and
its place, nothing else.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors.wire.rows import AT, SIZE, VALUE
from connectors.wire.scan import scan_line, scan_object
from connectors.wire.words import FAIL, Bytes, Words, is_blank, line_end, line_size
from engine.events import LINE_MAX_BYTES, Events, Field, Refusal
from engine.hashing import mix, murmur2_bytes
from engine.kernel import kernel

U64 = np.uint64
_UNRECOGNISED: Final = int(Refusal.UNRECOGNISED)
_TENANT: Final = int(Field.TENANT)
_ACCOUNT: Final = int(Field.ACCOUNT)
_OCCURRED: Final = int(Field.OCCURRED_AT_MS)
_SCOPE: Final = U64(1 << _TENANT | 1 << _ACCOUNT)
_SLASH: Final = 0x2F

LINE: Final = np.dtype(
    [
        ("at", "i8"),  # where the line begins
        ("size", "i8"),  # without its end
        ("occurred_at_ms", "i8"),  # -1: no valid time
        ("shard", "u2"),  # 0 where tenant or account is not valid
        ("blank", "?"),
        ("unrecognised", "?"),  # the slow path must tell time and shard
    ],
    align=True,
)


@kernel
def scan_payloads(
    data: Bytes, starts: NDArray[np.int64], trusted: bool, table: Words, cells: Words, rows: Events
) -> tuple[int, int]:
    """Read every line of every payload.

    Parameters
    ----------
    data : uint8[n], the payloads, a line feed behind each, and padding.
    starts : int64[payloads + 1], where each payload begins; the last is where the next would.
    rows : EVENT[at least the number of line feeds], all zero.

    Returns
    -------
    n_rows, n_slow : int64, rows written (blank lines have none), and those of them that are UNRECOGNISED.
    """
    n_rows, n_slow = 0, 0
    for entry in range(starts.size - 1):
        at, stop = U64(starts[entry]), U64(starts[entry + 1] - 1)
        line = 0
        while at < stop:
            row = rows[n_rows]
            end = scan_line(data, at, False, trusted, table, cells, row)
            blank = False
            if end == FAIL:
                end = line_end(data, at)
                blank = is_blank(data, at, end)
                if not blank:
                    row["refusal"] = _UNRECOGNISED
                    n_slow += 1
            if not blank:
                row["line_at"] = at
                row["line_size"] = line_size(data, at, end)
                row["entry"] = entry
                row["line"] = line
                n_rows += 1
            at = end + U64(1)
            line += 1
    return n_rows, n_slow


@kernel
def scan_canonical(
    data: Bytes,
    at: NDArray[np.int64],
    where: NDArray[np.int64],
    table: Words,
    cells: Words,
    rows: Events,
) -> int:
    """Read canonical lines into the rows they belong to; how many of them the scanner did not take (none, ever).

    Parameters
    ----------
    at : int64[k], where the canonical lines begin in ``data``.
    where : int64[k], their rows; these hold no field yet.
    """
    failed = 0
    for i in range(at.size):
        end = scan_line(data, U64(at[i]), True, True, table, cells, rows[where[i]])
        failed += end == FAIL
    return failed


@kernel
def count_lines(data: Bytes) -> int:
    """How many line feeds ``data`` holds."""
    count = 0
    for i in range(data.size):
        count += data[i] == 0x0A
    return count


@kernel
def scan_index(
    data: Bytes,
    stop: int,
    shards: int,
    table: Words,
    cells: Words,
    key: Bytes,
    lines: NDArray[np.void],
) -> tuple[int, int]:
    """Find time and shard of every line before ``stop``.

    Parameters
    ----------
    data : uint8[n], ``data[stop - 1]`` is a line feed, with padding behind it.
    key : uint8[257 or more], room for one ``tenant/account``.
    lines : LINE[at least the number of line feeds].

    Returns
    -------
    n_lines, n_slow : int64, lines written, and those of them that are unrecognised.
    """
    n_lines, n_slow = 0, 0
    at = U64(0)
    last_account, last_shard = U64(0), 0
    while at < U64(stop):
        line = lines[n_lines]
        end, _, mask, _, _ = scan_object(data, at, False, table, cells)
        found = end != FAIL
        if not found:
            end = line_end(data, at)
        size = line_size(data, at, end)
        line["at"] = at
        line["size"] = size
        line["blank"] = not found and is_blank(data, at, end)
        line["unrecognised"] = not found and not line["blank"] and size <= U64(LINE_MAX_BYTES)
        n_slow += line["unrecognised"]
        found = found and size <= U64(LINE_MAX_BYTES)
        timed = found and (mask >> U64(_OCCURRED)) & U64(1) != U64(0)
        line["occurred_at_ms"] = np.int64(cells[_OCCURRED, VALUE]) if timed else -1
        line["shard"] = 0
        if found and mask & _SCOPE == _SCOPE:
            account = mix(cells[_TENANT, VALUE], cells[_ACCOUNT, VALUE])
            if account != last_account:
                last_account = account
                last_shard = _shard(data, cells, key, shards)
            line["shard"] = last_shard
        at = end + U64(1)
        n_lines += 1
    return n_lines, n_slow


@kernel
def _shard(data: Bytes, cells: Words, key: Bytes, shards: int) -> int:
    """`engine.hashing.partition` of the cells' tenant and account."""
    size = 0
    for i in range(cells[_TENANT, SIZE]):
        key[size] = data[cells[_TENANT, AT] + i]
        size += 1
    key[size] = _SLASH
    size += 1
    for i in range(cells[_ACCOUNT, SIZE]):
        key[size] = data[cells[_ACCOUNT, AT] + i]
        size += 1
    return int(murmur2_bytes(key, size) & U64(0x7FFFFFFF)) % shards
