"""The one table of the wire format: which fields a kind has, and what each field may hold.

Rules of this file: everything that reads or writes a line asks this table; a new field is a new row here and nothing
else. The tables at the end are the same knowledge as arrays, for the byte scanner: a perfect hash of all names
(searched once at import), the rule of every field, the fields of every kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.events import CLICK_KEYS, COUNT_MAX, FIELD_NAMES, MONEY_MAX_MICROS, TIME_MAX_MS, TIME_MIN_MS, Field, Kind


class Form(IntEnum):
    """What a field's value looks like on the wire."""

    KIND = 0
    ID = 1  # [A-Za-z0-9_.:-]
    KEY = 2  # printable ASCII without space
    TEXT = 3  # any JSON string
    CURRENCY = 4  # any JSON string; the engine compares it with the account's
    ENTITY = 5  # ad_set:ID | campaign:ID | budget:ID | ad:ID
    INT = 6
    BOOL = 7
    NUMBERS = 8  # a list of finite numbers


@dataclass(frozen=True, slots=True)
class Rule:
    """The form of a field and its bounds, both inclusive.

    Attributes
    ----------
    low, high : of the value of an INT, else of the length (characters of a string, numbers of a list).
    """

    form: Form
    low: int
    high: int


ID: Final = Rule(Form.ID, 1, 128)
KEY: Final = Rule(Form.KEY, 1, 512)
LONG_TEXT: Final = 512
"""Texts beyond this many characters are not bounded, but are compared by a digest."""
TEXT: Final = Rule(Form.TEXT, 0, LONG_TEXT)
MONEY: Final = Rule(Form.INT, 0, MONEY_MAX_MICROS)
COUNT: Final = Rule(Form.INT, 0, COUNT_MAX)
TIME: Final = Rule(Form.INT, TIME_MIN_MS, TIME_MAX_MS)
BOOL: Final = Rule(Form.BOOL, 0, 1)

RULES: Final[dict[Field, Rule]] = {
    Field.KIND: Rule(Form.KIND, 1, 16),
    Field.EVENT_ID: ID,
    Field.TENANT: ID,
    Field.ACCOUNT: ID,
    Field.SOURCE: ID,
    Field.OCCURRED_AT_MS: TIME,
    Field.CURRENCY: Rule(Form.CURRENCY, 0, LONG_TEXT),
    Field.CLICK_ID: ID,
    **dict.fromkeys(CLICK_KEYS, KEY),
    Field.AD_ID: ID,
    Field.VISITOR: KEY,
    Field.FINGERPRINT: KEY,
    Field.IP: KEY,
    Field.UA: KEY,
    Field.CONTACT: KEY,
    Field.CONSENT: BOOL,
    Field.CONVERSION_ID: ID,
    Field.TYPE: TEXT,
    Field.VALUE_MICROS: MONEY,
    Field.REVERSES: ID,
    Field.DEAL_ID: ID,
    Field.STAGE: ID,
    Field.PERIOD_START_MS: TIME,
    Field.PERIOD_END_MS: TIME,
    Field.SPEND_MICROS: MONEY,
    Field.IMPRESSIONS: COUNT,
    Field.CLICKS: COUNT,
    Field.AD_SET_ID: ID,
    Field.CAMPAIGN_ID: ID,
    Field.BUDGET_ENTITY: Rule(Form.ENTITY, 4, 136),
    Field.DAILY_BUDGET_MICROS: MONEY,
    Field.STATUS: TEXT,
    Field.LAUNCHED_AT_MS: TIME,
    Field.MODE: TEXT,
    Field.POOL: TEXT,
    Field.HOLDOUT: BOOL,
    Field.EMBEDDING: Rule(Form.NUMBERS, 0, 4096),
    Field.COMMAND_ID: ID,
    Field.RESULT: TEXT,
    Field.OBSERVED_MICROS: MONEY,
    Field.ACTION: TEXT,
    Field.ACTOR: TEXT,
    Field.REASON: TEXT,
}

ENVELOPE: Final = (Field.KIND, Field.EVENT_ID, Field.TENANT, Field.ACCOUNT, Field.SOURCE, Field.OCCURRED_AT_MS)
"""What every event carries."""

_CLICK_KEYS: Final = (Field.CLICK_ID, *CLICK_KEYS)
_PSEUDONYMS: Final = (Field.VISITOR, Field.FINGERPRINT, Field.IP, Field.UA)

REQUIRED: Final[dict[Kind, tuple[Field, ...]]] = {
    Kind.CLICK: (*ENVELOPE, Field.CLICK_ID, Field.AD_ID),
    Kind.CONVERSION: (*ENVELOPE, Field.CONVERSION_ID, Field.TYPE, Field.VALUE_MICROS, Field.CURRENCY),
    Kind.CRM_STAGE: (*ENVELOPE, Field.DEAL_ID, Field.STAGE, Field.CURRENCY),
    Kind.SPEND: (
        *ENVELOPE,
        Field.AD_ID,
        Field.PERIOD_START_MS,
        Field.PERIOD_END_MS,
        Field.SPEND_MICROS,
        Field.IMPRESSIONS,
        Field.CLICKS,
        Field.CURRENCY,
    ),
    Kind.CATALOG: (
        *ENVELOPE,
        Field.AD_ID,
        Field.AD_SET_ID,
        Field.CAMPAIGN_ID,
        Field.BUDGET_ENTITY,
        Field.STATUS,
        Field.LAUNCHED_AT_MS,
        Field.CURRENCY,
    ),
    Kind.OUTCOME: (*ENVELOPE, Field.COMMAND_ID, Field.BUDGET_ENTITY, Field.RESULT),
    Kind.CONTROL: (*ENVELOPE, Field.ACTION, Field.ACTOR, Field.REASON),
}

OPTIONAL: Final[dict[Kind, tuple[Field, ...]]] = {
    Kind.CLICK: (*CLICK_KEYS, *_PSEUDONYMS, Field.CONSENT),
    Kind.CONVERSION: (*_CLICK_KEYS, Field.AD_ID, *_PSEUDONYMS, Field.CONTACT, Field.REVERSES),
    Kind.CRM_STAGE: (*_CLICK_KEYS, Field.AD_ID, Field.CONTACT, Field.VALUE_MICROS),
    Kind.SPEND: (),
    Kind.CATALOG: (Field.DAILY_BUDGET_MICROS, Field.MODE, Field.POOL, Field.HOLDOUT, Field.EMBEDDING),
    Kind.OUTCOME: (Field.VALUE_MICROS, Field.OBSERVED_MICROS),
    Kind.CONTROL: (),
}

TRUSTED_KINDS: Final = frozenset({Kind.OUTCOME, Kind.CONTROL})
"""Only the executor and people's tools may write these."""
OPEN_KINDS: Final = frozenset({Kind.CONTROL})
"""Kinds whose further fields belong to their action: kept out of the row, not counted as unknown."""
ENTITY_PREFIXES: Final = ("ad_set", "campaign", "budget", "ad")

N_FIELDS: Final = len(Field)
KIND_CODE: Final = 64
"""A name's code is its Field, or this + its Kind (a kind's name is looked up as a field's name is)."""
UNKNOWN_CODE: Final = 255
KIND_ROW: Final = 256


def bits(fields: tuple[Field, ...]) -> int:
    """The fields as a mask."""
    return sum(1 << field for field in fields)


def _words(name: str) -> tuple[int, int, int]:
    """A name and its closing quote as three little-endian words."""
    data = (name + '"').encode().ljust(24, b"\0")
    first, second, third = (int.from_bytes(data[i : i + 8], "little") for i in (0, 8, 16))
    return first, second, third


NAME_SPREAD: Final = (0x9DDFEA08EB382D69, 0xC4CEB9FE1A85EC53)


def _slot(words: tuple[int, int, int], factor: int) -> int:
    """The slot of a name among 256; the scanner computes the same."""
    mixed = words[0] ^ (words[1] * NAME_SPREAD[0]) ^ (words[2] * NAME_SPREAD[1])
    return (mixed * factor & (1 << 64) - 1) >> 56


def build_table() -> NDArray[np.uint64]:
    """All of this file that the scanner needs, in one array (an argument, so that no compiled copy can be stale).

    Returns
    -------
    uint64[265, 8]
        Rows 0 .. 255 are a perfect hash of all names: the three words of the name in this slot (columns 0-2), its code
        (3, UNKNOWN_CODE where the slot is empty), and of a field its form, low and high (4-6).
        Rows KIND_ROW + Kind hold the masks of the kind's required and of all its fields (0, 1); the row before the
        first kind is that of a line without kind: it knows the envelope.
        Column 7 of row KIND_ROW is the factor under which no two names share a slot.
    """
    codes = {_words(name): code for code, name in enumerate(FIELD_NAMES)}
    codes |= {_words(kind.name.lower()): KIND_CODE + kind for kind in Kind}
    factor = 0x9E3779B97F4A7C15
    while len({_slot(words, factor) for words in codes}) < len(codes):
        factor = (factor * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1 | 1
    table = np.zeros((KIND_ROW + len(Kind) + 1, 8), np.uint64)
    table[:KIND_ROW, 3] = UNKNOWN_CODE
    for words, code in codes.items():
        rule = RULES[Field(code)] if code < N_FIELDS else Rule(Form.KIND, 0, 0)
        table[_slot(words, factor), :7] = (*words, code, rule.form, rule.low, rule.high)
    table[KIND_ROW, :2] = (0, bits(ENVELOPE))
    for kind in Kind:
        table[KIND_ROW + kind, :2] = (bits(REQUIRED[kind]), bits(REQUIRED[kind] + OPTIONAL[kind]))
    table[KIND_ROW, 7] = factor
    return table
