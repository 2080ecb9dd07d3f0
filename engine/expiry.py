"""Dropping what can no longer matter: clicks and event ids behind their window.

Rules of this file: it happens at ticks, so at the same point of the log whatever the batches; only from the front of a
table, so a late row keeps those behind it a little longer; an account that has fallen silent holds nothing back for
more than another window. A click matters for lookback + lateness (a conversion may come that late and look back that
far), an event id for the lateness.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import Arrays
from engine.events import LATENESS_MS, MS_PER_HOUR
from engine.kernel import Int, kernel
from engine.layout import CONTENT_BITS, T_CLICKS
from engine.shard import Shard

LOOK_EVERY_MS: Final = MS_PER_HOUR
WORTH_ROWS: Final = 4096
"""Fewer rows than this are not worth a new index."""


def drop_expired(shard: Shard) -> None:
    """Drop expired rows, at most once an hour of engine time."""
    now_ms = int(shard.row["now_ms"])
    if now_ms - int(shard.row["dropped_ms"]) < LOOK_EVERY_MS:
        return
    shard.row["dropped_ms"] = now_ms
    if max(shard.tables["clicks"].used, shard.tables["seen"].used) < WORTH_ROWS:
        return
    arrays = shard.arrays()
    horizons = _horizons(shard, now_ms)
    clicks = int(_expired_clicks(arrays, horizons))
    if clicks >= WORTH_ROWS:
        _drop_clicks(shard, clicks)
    seen = int(_expired_ids(shard.tables["seen"].live(), _id_horizon(shard, now_ms)))
    if seen >= WORTH_ROWS:
        _drop(shard, "seen", seen)


def _horizons(shard: Shard, now_ms: int) -> NDArray[np.int64]:
    """For each account the time before which a click cannot matter any more."""
    accounts = shard.tables["accounts"].live()
    lookback = shard.rules["lookback_ms"]
    ahead = np.maximum(accounts["max_event_ms"], now_ms - lookback - LATENESS_MS)
    return np.asarray(ahead - lookback - LATENESS_MS)


def _id_horizon(shard: Shard, now_ms: int) -> int:
    """The time before which no account asks for an event id any more; one that lags by two windows is left behind."""
    accounts = shard.tables["accounts"].live()
    behind = accounts["max_event_ms"].min(initial=now_ms)
    return int(max(behind, now_ms - 2 * LATENESS_MS) - LATENESS_MS)


def _drop_clicks(shard: Shard, count: int) -> None:
    clicks, texts, keys = (shard.tables[name] for name in ("clicks", "click_texts", "keys"))
    first_text = int(clicks.live()["text"][count:].min()) if clicks.used > count else texts.base + texts.used
    first_click = clicks.base + count
    _drop(shard, "clicks", count)
    texts.drop(first_text - texts.base)
    gone = keys.live()["click"] < first_click
    _drop(shard, "keys", int(gone.argmin()) if not gone.all() else keys.used)


def _drop(shard: Shard, name: str, count: int) -> None:
    if count:
        shard.tables[name].drop(count)
        del shard.slots[name]
        shard.index(name)


@kernel
def _expired_clicks(a: Arrays, horizons: NDArray[np.int64]) -> int:
    for place in range(a.used[T_CLICKS]):
        row = a.clicks[place]
        if row["occurred_at_ms"] >= horizons[a.ads[row["ad"]]["account"]]:
            return place
    return a.used[T_CLICKS]


@kernel
def _expired_ids(seen: NDArray[np.void], horizon_ms: Int) -> int:
    for place in range(seen.size):
        if np.int64(seen[place]["stamp"] >> np.uint64(CONTENT_BITS)) >= horizon_ms:
            return place
    return seen.size
