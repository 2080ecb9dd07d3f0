"""The decoded event: one structured row per wire line, and the codes that speak of it.

Rules of this file: an event row holds numbers only (times in ms, money in micros, ids as 64-bit hashes beside their
place in the batch's bytes); a field that is absent has its bit in ``mask`` clear and its value 0.
The connectors fill these rows; the engine reads them; neither keeps a Python object per event.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MS_PER_HOUR: Final = 3_600_000
MS_PER_DAY: Final = 86_400_000
LATENESS_MS: Final = 7 * MS_PER_DAY
FUTURE_SLACK_MS: Final = 5 * 60_000
TIME_MIN_MS: Final = 946_684_800_000  # 2000-01-01
TIME_MAX_MS: Final = 4_102_444_800_000  # 2100-01-01
MONEY_MAX_MICROS: Final = 10**15
COUNT_MAX: Final = 10**12
LINE_MAX_BYTES: Final = 65_536


class Kind(IntEnum):
    """The event kinds of the wire format, version 1."""

    CLICK = 1
    CONVERSION = 2
    CRM_STAGE = 3
    SPEND = 4
    CATALOG = 5
    OUTCOME = 6
    CONTROL = 7


class Refusal(IntEnum):
    """Why a line is refused, in the order in which the checks run; 0 is accepted."""

    ACCEPTED = 0
    TOO_LONG = 1
    NOT_UTF8 = 2
    NOT_JSON = 3
    UNKNOWN_KIND = 4
    MISSING_FIELD = 5
    BAD_TYPE = 6
    BAD_ID = 7
    OUT_OF_RANGE = 8
    BAD_CURRENCY = 9
    FUTURE = 10
    TOO_LATE = 11
    MISALIGNED_PERIOD = 12
    UNKNOWN_TENANT = 13
    UNKNOWN_STAGE = 14
    BAD_REVERSAL = 15
    ORPHAN_REVERSAL = 16
    # Not refusals, but other ends a line can meet.
    BLANK = 100
    DUPLICATE = 101
    CONFLICTING_DUPLICATE = 102
    UNRECOGNISED = 103  # the byte scanner cannot tell: the slow path decides


class Field(IntEnum):
    """Every field the wire format knows; the value is the field's bit in ``mask``."""

    KIND = 0
    EVENT_ID = 1
    TENANT = 2
    ACCOUNT = 3
    SOURCE = 4
    OCCURRED_AT_MS = 5
    CURRENCY = 6
    CLICK_ID = 7
    FBCLID = 8
    GCLID = 9
    GBRAID = 10
    WBRAID = 11
    TTCLID = 12
    MSCLKID = 13
    AD_ID = 14
    VISITOR = 15
    FINGERPRINT = 16
    IP = 17
    UA = 18
    CONTACT = 19
    CONSENT = 20
    CONVERSION_ID = 21
    TYPE = 22
    VALUE_MICROS = 23
    REVERSES = 24
    DEAL_ID = 25
    STAGE = 26
    PERIOD_START_MS = 27
    PERIOD_END_MS = 28
    SPEND_MICROS = 29
    IMPRESSIONS = 30
    CLICKS = 31
    AD_SET_ID = 32
    CAMPAIGN_ID = 33
    BUDGET_ENTITY = 34
    DAILY_BUDGET_MICROS = 35
    STATUS = 36
    LAUNCHED_AT_MS = 37
    MODE = 38
    POOL = 39
    HOLDOUT = 40
    EMBEDDING = 41
    COMMAND_ID = 42
    RESULT = 43
    OBSERVED_MICROS = 44
    ACTION = 45
    ACTOR = 46
    REASON = 47


FIELD_NAMES: Final[tuple[str, ...]] = tuple(f.name.lower() for f in Field)
CLICK_KEYS: Final = (Field.FBCLID, Field.GCLID, Field.GBRAID, Field.WBRAID, Field.TTCLID, Field.MSCLKID)
"""The click keys other than ``click_id``; slot 0 of ``keys`` is ``click_id``, slot 1 + i is ``CLICK_KEYS[i]``."""
N_KEYS: Final = 1 + len(CLICK_KEYS)

SOURCE_SLOT: Final = 0
EVENT_ID_SLOT: Final = 1
OBJECT_ID_SLOT: Final = 2  # click_id, conversion_id, deal_id, command_id
AD_ID_SLOT: Final = 3
ACCOUNT_SLOT: Final = 4
TENANT_SLOT: Final = 5
N_TEXTS: Final = 6

EVENT: Final = np.dtype(
    [
        ("mask", "u8"),  # bit Field.X set: the field is present
        ("occurred_at_ms", "i8"),
        ("account", "u8"),  # hash of tenant and account
        ("dedup", "u8"),  # hash of tenant, account, source, event_id
        ("content", "u8"),  # hash of all known fields, independent of their order
        ("object_id", "u8"),  # hash of click_id | conversion_id | deal_id in its account
        ("ad", "u8"),  # hash of ad_id in its account
        ("contact", "u8"),  # hash of contact in its account
        ("stage", "u8"),  # hash of stage alone (an account's table is keyed by it)
        ("reverses", "u8"),  # hash of the conversion_id it names, comparable with object_id of a conversion
        ("keys", "u8", (N_KEYS,)),  # hashes of the click keys; keys[0] is comparable with object_id of a click
        ("value_micros", "i8"),  # conversion, crm_stage, outcome
        ("spend_micros", "i8"),
        ("impressions", "i8"),
        ("clicks", "i8"),
        ("period_start_ms", "i8"),
        ("period_end_ms", "i8"),
        ("daily_budget_micros", "i8"),
        ("launched_at_ms", "i8"),
        ("observed_micros", "i8"),
        ("text_at", "u4", (N_TEXTS,)),  # where the ids lie in the batch's bytes (see *_SLOT)
        ("text_size", "u2", (N_TEXTS,)),
        ("line_at", "u4"),  # the line as it came, without its end
        ("line_size", "u4"),
        ("currency", "u4"),  # three letters, little end first
        ("unknown_fields", "u2"),
        ("kind", "u1"),
        ("refusal", "u1"),  # Refusal
        ("entry", "u4"),  # which log entry of the batch the line came from
        ("line", "u4"),  # which line of that entry, from 0
    ],
    align=True,
)

Events = NDArray[np.void]
