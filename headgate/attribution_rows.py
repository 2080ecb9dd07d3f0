"""The rows of ``headgate attributions``: each conversion and each deal of a shard, and the ad that has its credit.

Rules of this file: it reads the tables and changes nothing; a reversal is no row of its own; credit of layers 1 to 3 of
the evidence (click key, own ad id, contact) is whole: 1,000,000 parts per million.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from engine.arrays import text_at
from engine.layout import CLAIM_CONVERSION, LAYER_NAMES
from engine.shard import Shard

WHOLE: Final = 1_000_000


def attribution_rows(shard: Shard) -> Iterator[dict[str, Any]]:
    """A row for each conversion, then one for each deal, in the order in which they were first heard of."""
    for claim in shard.tables["claims"].live():
        if claim["type"] == CLAIM_CONVERSION:
            yield _row(shard, claim, "conversion_id", int(claim["text"]), int(claim["credit_ad"]))
    for deal in shard.tables["deals"].live():
        yield _row(shard, deal, "deal_id", int(deal["name"]), int(deal["ad"]))


def _row(shard: Shard, row: Any, kind: str, name: int, ad: int) -> dict[str, Any]:
    tenant, account = shard.account_name(int(row["account"]))
    layer = LAYER_NAMES[row["layer"]]
    ads = shard.tables["ads"].rows
    return {
        "tenant": tenant,
        "account": account,
        kind: shard.text(name)[0],
        "ad_id": shard.text(int(ads[ad]["name"]))[0] if ad >= 0 else None,
        "layer": layer,
        "credit_ppm": WHOLE if ad >= 0 else 0,
        "click_id": _click_id(shard, int(row["click"])) if layer == "click_key" else None,
        "decided_at_ms": int(row["decided_at_ms"]) if row["decided_at_ms"] >= 0 else None,
    }


def _click_id(shard: Shard, click: int) -> str | None:
    """The id of a click by its number; None once it is older than any event that could still name it."""
    clicks, texts = shard.tables["clicks"], shard.tables["click_texts"]
    place = click - clicks.base
    if not 0 <= place < clicks.used:
        return None
    return text_at(texts.rows, int(clicks.rows[place]["text"]) - texts.base, 1)[0]
