"""What the platform says of ads and budget entities, and what became of our commands: the rare events.

Rules of this file: of all catalog events of an ad (of an entity) the newest by (time, event id, source) stands; a
budget that moved without an outcome of ours is somebody else's change and enters the history as such. An outcome is the
only thing that ends a command under way before its time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from engine.events import AD_ID_SLOT, SOURCE_SLOT
from engine.hashing import SALT_ENTITY, hash_bytes, hash_text, id_hash
from engine.index import find
from engine.names import ad_of, seen_ad, source_of
from engine.proposal import Action
from engine.shard import Shard
from engine.texts import Bytes

ACTIVE: Final = 1
PAUSED: Final = 2
_ACTIVE_WORDS: Final = frozenset(
    {"active", "enabled", "enable", "running", "live", "on", "in_process", "pending_review"}
)
_MODES: Final = {"direct": 1, "pipeline": 2}
ACTIONS: Final = tuple(Action)


def take_catalog(shard: Shard, event: Any, data: Bytes, fields: dict[str, Any]) -> None:
    """Take an accepted catalog event.

    Parameters
    ----------
    event : EVENT row. data : uint8, the batch's bytes. fields : the line's fields by name.
    """
    ad, source = _enter(shard, event, data)
    ads = shard.tables["ads"]
    row = ads.rows[ad]
    entity = _entity_of(shard, int(row["account"]), fields["budget_entity"], fields["campaign_id"])
    if _is_newer(shard, row, event, fields["event_id"], source):
        _stand(shard, row, event, fields["event_id"], source)
        row["entity"] = entity
        row["launched_at_ms"] = event["launched_at_ms"]
        row["status"] = ACTIVE if fields["status"].lower() in _ACTIVE_WORDS else PAUSED
        row["holdout"] = bool(fields.get("holdout"))
        row["mode"] = _MODES.get(fields.get("mode") or "", 0)
        shard.touch("ads", ad)
    budget = fields.get("daily_budget_micros")
    node = shard.tables["entities"].rows[entity]
    if budget is not None and _is_newer(shard, node, event, fields["event_id"], source):
        _stand(shard, node, event, fields["event_id"], source)
        if node["budget_micros"] not in (-1, budget):
            _note_change(shard, entity, int(event["occurred_at_ms"]), int(node["budget_micros"]), budget, own=False)
        node["budget_micros"] = budget
        shard.touch("entities", entity)


def take_outcome(shard: Shard, event: Any, fields: dict[str, Any]) -> None:
    """Take what became of a command: the entity's budget as observed, and the end of the command's way."""
    account = int(find(shard.slots["accounts"], shard.tables["accounts"].rows, event["account"]))
    entity = _entity_of(shard, account, fields["budget_entity"], None)
    node = shard.tables["entities"].rows[entity]
    at_ms = int(event["occurred_at_ms"])
    before = int(node["budget_micros"])
    written = fields["result"] in {"confirmed", "refused", "unknown"}
    after = before
    planned = ACTIONS[int(node["planned_action"]) - 1] if node["planned_action"] else Action.SET_BUDGET
    # Only a budget command names a value; a stop may have been given out while one was still under way.
    action = planned if fields.get("value_micros") is None else Action.SET_BUDGET
    if fields["result"] == "confirmed":
        observed = fields.get("observed_micros")
        if action is not Action.SET_BUDGET:
            _switch(shard, entity, at_ms, PAUSED if action is Action.PAUSE else ACTIVE)
        elif observed is not None:
            after = observed
            node["budget_micros"] = after
            if node["catalog_ms"] >= 0:  # what the platform showed before no longer tells the budget
                node["catalog_ms"] = max(int(node["catalog_ms"]), at_ms)
    if written and before >= 0:
        _note_change(shard, entity, at_ms, before, after, own=True)
    if fields["result"] != "unknown" and action is planned:
        node["planned_ms"] = -1
    shard.touch("entities", entity)


def _switch(shard: Shard, entity: int, at_ms: int, status: int) -> None:
    """The ads of an entity stand as our command left them, until a newer catalog event says otherwise."""
    ads = shard.tables["ads"].live()
    places = np.flatnonzero((ads["entity"] == entity) & (ads["catalog_ms"] <= at_ms))
    ads["status"][places] = status
    shard.touch_all("ads", places)


def take_control(shard: Shard, event: Any, fields: dict[str, Any]) -> None:
    """Take a person's act: the kill switch of the account (``stop``, ``resume``) or its mode (``set_mode``)."""
    accounts = shard.tables["accounts"]
    account = int(find(shard.slots["accounts"], accounts.rows, event["account"]))
    row = accounts.rows[account]
    if fields["action"] in {"stop", "resume"}:
        row["stopped"] = fields["action"] == "stop"
    elif fields["action"] == "set_mode":
        row["mode"] = _MODES.get(str(fields.get("mode") or ""), 0)
    shard.touch("accounts", account)


def _enter(shard: Shard, event: Any, data: Bytes) -> tuple[int, int]:
    texts = int(event["text_size"].sum()) + 16
    shard.reserve({"ads": 1, "sources": 1, "texts": texts, "entities": 1, "changes": 1}, {})
    arrays = shard.arrays()
    account = find(shard.slots["accounts"], shard.tables["accounts"].rows, event["account"])
    ad = ad_of(arrays, event, data, account, AD_ID_SLOT)
    seen_ad(arrays, ad, event["occurred_at_ms"])
    at, size = int(event["text_at"][SOURCE_SLOT]), int(event["text_size"][SOURCE_SLOT])
    source = source_of(arrays, np.uint64(hash_bytes(data, at, size)), data, at, size)
    shard.settle(arrays)
    return int(ad), int(source)


def _entity_of(shard: Shard, account: int, name: str, campaign: str | None) -> int:
    scope = int(shard.tables["accounts"].rows[account]["hash"])
    h = id_hash(scope, SALT_ENTITY, name)
    place = int(find(shard.slots["entities"], shard.tables["entities"].rows, np.uint64(h)))
    if place >= 0:
        return place
    row = {
        "hash": np.uint64(h),
        "campaign": np.uint64(hash_text(campaign) if campaign else 0),
        "name": shard.write_text(name, campaign or ""),
        "account": account,
        "catalog_source": -1,
        "catalog_ms": -1,
        "catalog_event": -1,
        "budget_micros": -1,
        "planned_micros": -1,
        "planned_ms": -1,
    }
    return shard.enter("entities", row)


def _is_newer(shard: Shard, row: Any, event: Any, event_id: str, source: int) -> bool:
    if row["catalog_ms"] != event["occurred_at_ms"]:
        return bool(event["occurred_at_ms"] > row["catalog_ms"])
    standing = (shard.text(int(row["catalog_event"]))[0], _source_name(shard, int(row["catalog_source"])))
    return (event_id, _source_name(shard, source)) > standing


def _source_name(shard: Shard, source: int) -> str:
    return shard.text(int(shard.tables["sources"].rows[source]["name"]))[0]


def _stand(shard: Shard, row: Any, event: Any, event_id: str, source: int) -> None:
    row["catalog_ms"] = event["occurred_at_ms"]
    row["catalog_event"] = shard.write_text(event_id)
    row["catalog_source"] = source


def _note_change(shard: Shard, entity: int, at_ms: int, before: int, after: int, *, own: bool) -> None:
    changes = shard.tables["changes"]
    changes.reserve(1)
    node = shard.tables["entities"].rows[entity]
    changes.rows[changes.used] = (entity, node["account"], node["campaign"], at_ms, before, after, own)
    changes.used += 1
