"""The rows of ``headgate ads``: each ad of a shard with its totals, its verdict and what is believed of it.

Rules of this file: it reads the tables and changes nothing; numbers are those of the state, to the micro; the posterior
is that of the moment of the last tick.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.decision import posterior
from engine.evaluate import ASSESSMENT, assess, believe, typical_units
from engine.shard import Shard
from engine.verdict import reason_word, verdict_word

TOTALS = (
    "clicks", "platform_clicks", "impressions", "conversions", "conversions_ppm", "revenue_micros", "pipeline_micros",
    "spend_micros",
)  # fmt: skip


def ad_rows(shard: Shard) -> list[dict[str, Any]]:
    """A row for each ad of a shard, in the order in which they were first heard of."""
    arrays = shard.arrays()
    units = np.zeros((shard.tables["accounts"].used, 2))
    typical_units(arrays, units)
    found = np.zeros(1, ASSESSMENT)
    now_ms = int(shard.row["now_ms"])
    rows = []
    for place, ad in enumerate(shard.tables["ads"].live()):
        assess(arrays, place, now_ms, units, found[0])
        believe(arrays, found[0])
        rows.append(_row(shard, ad, found[0]))
    return rows


def _row(shard: Shard, ad: Any, found: Any) -> dict[str, Any]:
    tenant, account = shard.account_name(int(ad["account"]))
    row: dict[str, Any] = {"tenant": tenant, "account": account, "ad_id": shard.text(int(ad["name"]))[0]}
    row |= {name: int(ad[name]) for name in TOTALS}
    row["verdict"] = verdict_word(int(ad["verdict"]))
    row["reason"] = reason_word(int(ad["reason"]))
    row["posterior"] = posterior(float(found["shape"]), float(found["rate"]), float(found["p_below"]))
    row["target_micros"] = int(ad["target_micros"]) if ad["target_micros"] >= 0 else None
    return row
