"""Which shard every line of a file belongs to, and when it happened: what a feeder needs to merge and to route.

Rules of this file: a line is routed as it will be decoded; a line whose tenant or account is not valid goes to shard 0,
where it becomes a dead letter.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors.wire.batch import LINE, count_lines, scan_index
from connectors.wire.decode import TABLE, decode, who
from connectors.wire.rows import build_cells
from connectors.wire.scan import PAD_BYTES
from engine.events import Field
from engine.hashing import partition

Lines = NDArray[np.void]
_KEY_BYTES: Final = 512
_OCCURRED: Final = 1 << Field.OCCURRED_AT_MS


def index_lines(data: NDArray[np.uint8], shards: int) -> Lines:
    """Index all lines of a file.

    Parameters
    ----------
    data : uint8[n], the file's bytes (a memory map serves), without a byte order mark at its start.
    shards : int, 1 .. 65536.

    Returns
    -------
    LINE[lines], in file order, blank lines too.

    Raises
    ------
    ValueError if ``shards`` is out of range.
    """
    if not 1 <= shards <= 1 << 16:
        message = f"{shards} shards: must be 1 to 65536"
        raise ValueError(message)
    split = _last_feed(data, data.size - PAD_BYTES)
    body = _index(data, split, shards)
    rest = data[split:].tobytes()
    if rest and not rest.endswith(b"\n"):
        rest += b"\n"
    tail = _index(np.frombuffer(rest + bytes(PAD_BYTES), np.uint8), len(rest), shards)
    tail["at"] += split
    return np.concatenate([body, tail])


def _last_feed(data: NDArray[np.uint8], before: int) -> int:
    """The position behind the last line feed of ``data[:before]``; 0 if there is none."""
    step = 1 << 16
    while before > 0:
        start = max(0, before - step)
        feeds = np.flatnonzero(data[start:before] == 0x0A)
        if feeds.size:
            return start + int(feeds[-1]) + 1
        before = start
    return 0


def _index(data: NDArray[np.uint8], stop: int, shards: int) -> Lines:
    lines: Lines = np.zeros(count_lines(data[:stop]), LINE)
    n_lines, n_slow = scan_index(data, stop, shards, TABLE, build_cells(), np.zeros(_KEY_BYTES, np.uint8), lines)
    if n_slow:
        for place in np.flatnonzero(lines["unrecognised"]):
            _route_slow(data, lines, int(place), shards)
    return lines[:n_lines]


def _route_slow(data: NDArray[np.uint8], lines: Lines, place: int, shards: int) -> None:
    at, size = int(lines["at"][place]), int(lines["size"][place])
    decoded = decode([data[at : at + size].tobytes()], trusted=True)
    event = decoded.events[0]
    if int(event["mask"]) & _OCCURRED:
        lines["occurred_at_ms"][place] = event["occurred_at_ms"]
    tenant, account = who(decoded.data, event)
    if tenant and account:
        lines["shard"][place] = partition(tenant, account, shards)
