"""The stored form of a shard: one structured dtype per table, in a fixed order.

Rules of this file: it is a public format (version `FORMAT`): a change of a field is a new version with a migration;
money in int64 micros, times in int64 ms, ids as 64-bit hashes, texts as absolute positions in a byte table; -1 is
"none" for every reference. Theory: everything a decision needs is in these rows; indexes are derived and never stored.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.events import N_KEYS

FORMAT: Final = 1
NEVER_MS: Final = 2**62

SHARD: Final = np.dtype(
    [
        ("now_ms", "i8"),  # engine time: the greatest tick seen
        ("clock_ms", "i8"),  # what `future` is judged against
        ("out_number", "i8"),  # last outbox number given out
        ("dead_number", "i8"),  # last dead-letter number given out
        ("lines", "i8"),
        ("blank", "i8"),
        ("accepted", "i8"),
        ("duplicates", "i8"),
        ("conflicting_duplicates", "i8"),
        ("refused", "i8"),  # dead letters, late ones (orphan_reversal) included
        ("unknown_fields", "i8"),
        ("decisions", "i8"),
        ("commands", "i8"),
        ("evaluated_ms", "i8"),
        ("dropped_ms", "i8"),
        ("ended", "i8"),  # 1: the last mark was an end of feed
    ]
)

ACCOUNT: Final = np.dtype(
    [
        ("hash", "u8"),
        ("name", "i8"),  # text: tenant, account
        ("max_event_ms", "i8"),  # greatest accepted event time: the account's watermark
        ("max_click_ms", "i8"),
        ("max_spend_ms", "i8"),
        ("max_value_ms", "i8"),
        ("oldest_reversal_ms", "i8"),  # of those that wait for their conversion; `NEVER_MS` if none does
        ("accepted", "i8"),
        ("decisions", "i8"),  # decision numbers given out
        ("mode", "u1"),  # 0 as configured, else 1 + Mode
        ("stopped", "u1"),  # 1: the kill switch is on
        ("pad", "u1", (6,)),
    ]
)

SOURCE: Final = np.dtype([("hash", "u8"), ("name", "i8")])

AD: Final = np.dtype(
    [
        ("hash", "u8"),
        ("name", "i8"),
        ("account", "i4"),
        ("entity", "i4"),
        ("clicks", "i8"),
        ("conversions", "i8"),
        ("conversions_ppm", "i8"),
        ("revenue_micros", "i8"),
        ("pipeline_micros", "i8"),
        ("spend_micros", "i8"),
        ("impressions", "i8"),
        ("platform_clicks", "i8"),
        ("first_seen_ms", "i8"),
        ("launched_at_ms", "i8"),  # -1: no catalog event said
        ("catalog_ms", "i8"),  # the newest catalog event: time, event_id, source
        ("catalog_event", "i8"),
        ("catalog_source", "i4"),
        ("verdict", "u1"),
        ("reason", "u1"),
        ("status", "u1"),
        ("mode", "u1"),  # 0 as the account, else 1 + Mode
        ("holdout", "u1"),
        ("pad", "u1", (7,)),
        ("target_micros", "i8"),
        ("decided_ms", "i8"),
        ("acted_ms", "i8"),  # when a command was last proposed
        ("decision", "i8"),  # its account's decision number
    ]
)

ENTITY: Final = np.dtype(
    [
        ("hash", "u8"),
        ("campaign", "u8"),
        ("name", "i8"),  # text: entity, campaign id
        ("account", "i4"),
        ("catalog_source", "i4"),
        ("catalog_ms", "i8"),
        ("catalog_event", "i8"),
        ("budget_micros", "i8"),  # what the platform says, -1 unknown
        ("planned_micros", "i8"),  # what the command under way asks for
        ("planned_ms", "i8"),  # when it was given out, -1 none is under way
        ("planned_action", "u1"),  # 1 + place in the actions
        ("pad", "u1", (7,)),
    ]
)

CHANGE: Final = np.dtype(
    [
        ("entity", "i4"),
        ("account", "i4"),
        ("campaign", "u8"),
        ("at_ms", "i8"),
        ("before_micros", "i8"),
        ("after_micros", "i8"),
        ("own", "i8"),  # 0: a person or the platform made it
    ]
)

CLICK: Final = np.dtype(
    [
        ("hash", "u8"),
        ("occurred_at_ms", "i8"),
        ("text", "i8"),  # click texts: click_id, event_id
        ("keys", "i8"),  # head of its chain in KEY, -1 none
        ("ad", "i4"),
        ("source", "i4"),
    ]
)

KEY: Final = np.dtype([("hash", "u8"), ("click", "i8"), ("next", "i8")])

SEEN: Final = np.dtype([("hash", "u8"), ("stamp", "u8")])  # stamp: occurred_at_ms << 22 | 22 bits of the content hash
CONTENT_BITS: Final = 22

CLAIM_NONE: Final = 0
CLAIM_CONVERSION: Final = 1
CLAIM_REVERSAL: Final = 2
CLAIM_STAGE: Final = 3

LAYER_NONE: Final = 0
LAYER_CLICK_KEY: Final = 1
LAYER_OWN_AD: Final = 2
LAYER_CONTACT: Final = 3
LAYER_NAMES: Final = (None, "click_key", "own_ad_id", "contact", "fingerprint", "probabilistic")

CLAIM: Final = np.dtype(
    [
        ("hash", "u8"),  # conversion_id, or the stage event's deal_id
        ("occurred_at_ms", "i8"),
        ("text", "i8"),  # object id, event_id
        ("dedup", "u8"),
        ("keys", "u8", (N_KEYS,)),
        ("reverses", "u8"),
        ("value_micros", "i8"),  # conversion and reversal: as sent; stage: what the deal is worth in it
        ("reversed_micros", "i8"),
        ("source", "i4"),
        ("account", "i4"),
        ("own_ad", "i4"),
        ("contact", "i4"),
        ("next_of_contact", "i4"),
        ("next_of_deal", "i4"),
        ("deal", "i4"),
        ("reversals", "i4"),
        ("direct_ad", "i4"),  # evidence of layer 1 or its own ad_id
        ("credit_ad", "i4"),
        ("line", "i4"),  # where the waiting reversal stood in the log
        ("click", "i8"),
        ("offset", "i8"),
        ("raw", "i8"),
        ("credit_micros", "i8"),
        ("decided_at_ms", "i8"),
        ("type", "u1"),
        ("waiting", "u1"),
        ("direct_layer", "u1"),
        ("layer", "u1"),
        ("counted", "u1"),
        ("applied", "u1"),
        ("pad", "u1", (6,)),
    ]
)

DEAL: Final = np.dtype(
    [
        ("hash", "u8"),
        ("name", "i8"),
        ("account", "i4"),
        ("head", "i4"),  # chain of its claims through next_of_deal
        ("newest", "i4"),
        ("evident", "i4"),  # its earliest claim with evidence
        ("ad", "i4"),
        ("layer", "u1"),
        ("pad", "u1", (3,)),
        ("click", "i8"),
        ("value_micros", "i8"),
        ("decided_at_ms", "i8"),
    ]
)

CONTACT: Final = np.dtype(
    [("hash", "u8"), ("head", "i4"), ("first", "i4")]
)  # first: earliest claim with direct evidence

WATCH: Final = np.dtype([("hash", "u8"), ("claim", "i4"), ("pad", "i4")])  # a key hash, and the claim that names it

SPEND: Final = np.dtype(
    [
        ("hash", "u8"),
        ("occurred_at_ms", "i8"),
        ("event", "i8"),
        ("period_start_ms", "i8"),
        ("spend_micros", "i8"),
        ("impressions", "i8"),
        ("clicks", "i8"),
        ("ad", "i4"),
        ("source", "i4"),
    ]
)

BYTE: Final = np.dtype("u1")

TABLES: Final[tuple[tuple[str, np.dtype, bool], ...]] = (
    ("shard", SHARD, True),
    ("accounts", ACCOUNT, True),
    ("sources", SOURCE, False),
    ("ads", AD, True),
    ("entities", ENTITY, True),
    ("changes", CHANGE, False),
    ("clicks", CLICK, False),
    ("click_texts", BYTE, False),
    ("keys", KEY, False),
    ("seen", SEEN, False),
    ("claims", CLAIM, True),
    ("deals", DEAL, True),
    ("contacts", CONTACT, True),
    ("watches", WATCH, False),
    ("spends", SPEND, False),
    ("texts", BYTE, False),
)
"""Name, dtype, and whether a row may be touched many times between two commits."""
NAMES: Final = tuple(name for name, _, _ in TABLES)
INDEXED: Final = (
    "accounts",
    "sources",
    "ads",
    "entities",
    "clicks",
    "keys",
    "seen",
    "claims",
    "deals",
    "contacts",
    "watches",
    "spends",
)
(
    T_SHARD, T_ACCOUNTS, T_SOURCES, T_ADS, T_ENTITIES, T_CHANGES, T_CLICKS, T_CLICK_TEXTS, T_KEYS, T_SEEN, T_CLAIMS,
    T_DEALS, T_CONTACTS, T_WATCHES, T_SPENDS, T_TEXTS,
) = range(len(TABLES))  # fmt: skip
