"""From the cells of one line to its event row.

Rules of this file: the row is all zero before; a field that is not in the mask stays so; every id is bound to its
account, every click key to its slot as well.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from connectors.wire.fields import N_FIELDS
from connectors.wire.words import Bytes, Words, currency_code
from engine.events import (
    ACCOUNT_SLOT,
    AD_ID_SLOT,
    CLICK_KEYS,
    EVENT_ID_SLOT,
    OBJECT_ID_SLOT,
    SOURCE_SLOT,
    TENANT_SLOT,
    Field,
    Kind,
)
from engine.hashing import (
    SALT_AD,
    SALT_CLICK,
    SALT_CONTACT,
    SALT_CONVERSION,
    SALT_DEAL,
    SALT_EVENT,
    SALT_KEY,
    mix,
)
from engine.kernel import inlined

U64 = np.uint64


VALUE: Final = 0
AT: Final = 1
SIZE: Final = 2
"""Columns of the cells: the hash or value of a field of the line being read, and where its string lies."""


def build_cells() -> Words:
    """Cells for one line at a time: uint64[fields, 3], stale where the line's mask is clear."""
    return np.zeros((N_FIELDS, 3), np.uint64)


def _bit(*fields: Field) -> np.uint64:
    return U64(sum(1 << field for field in fields))


_TENANT, _ACCOUNT, _SOURCE, _EVENT_ID = int(Field.TENANT), int(Field.ACCOUNT), int(Field.SOURCE), int(Field.EVENT_ID)
_OCCURRED, _CURRENCY, _CLICK_ID, _AD_ID = (
    int(Field.OCCURRED_AT_MS),
    int(Field.CURRENCY),
    int(Field.CLICK_ID),
    int(Field.AD_ID),
)
_CONTACT, _STAGE, _REVERSES = int(Field.CONTACT), int(Field.STAGE), int(Field.REVERSES)
_CONVERSION_ID, _DEAL_ID, _COMMAND_ID = int(Field.CONVERSION_ID), int(Field.DEAL_ID), int(Field.COMMAND_ID)
_VALUE, _SPEND, _OBSERVED = int(Field.VALUE_MICROS), int(Field.SPEND_MICROS), int(Field.OBSERVED_MICROS)
_IMPRESSIONS, _CLICKS, _BUDGET = int(Field.IMPRESSIONS), int(Field.CLICKS), int(Field.DAILY_BUDGET_MICROS)
_START, _END, _LAUNCHED = int(Field.PERIOD_START_MS), int(Field.PERIOD_END_MS), int(Field.LAUNCHED_AT_MS)
_FIRST_KEY: Final = int(CLICK_KEYS[0])
_N_CLICK_KEYS: Final = len(CLICK_KEYS)

_SCOPE: Final = _bit(Field.TENANT, Field.ACCOUNT)
_DEDUP: Final = _bit(Field.TENANT, Field.ACCOUNT, Field.SOURCE, Field.EVENT_ID)
_NUMBERS: Final = _bit(
    Field.VALUE_MICROS,
    Field.SPEND_MICROS,
    Field.IMPRESSIONS,
    Field.CLICKS,
    Field.PERIOD_START_MS,
    Field.PERIOD_END_MS,
    Field.DAILY_BUDGET_MICROS,
    Field.LAUNCHED_AT_MS,
    Field.OBSERVED_MICROS,
)
_LINKS: Final = _bit(Field.CONTACT, Field.REVERSES, *CLICK_KEYS)
_CLICK: Final = int(Kind.CLICK)
_CONVERSION: Final = int(Kind.CONVERSION)
_CRM_STAGE: Final = int(Kind.CRM_STAGE)


@inlined
def holds(mask: np.uint64, field: int) -> bool:
    """Whether a field is in the mask."""
    return (mask >> U64(field)) & U64(1) != U64(0)


@inlined
def _scoped(text: np.uint64, account: np.uint64, salt: np.uint64) -> np.uint64:
    return mix(mix(text, account), salt)


@inlined
def fill_row(data: Bytes, kind: np.uint64, mask: np.uint64, cells: Words, row: Any) -> None:
    """Write what the cells hold of the fields in ``mask``."""
    row["kind"] = kind
    row["mask"] = mask
    if holds(mask, _OCCURRED):
        row["occurred_at_ms"] = cells[_OCCURRED, VALUE]
    _place(cells, mask, _SOURCE, SOURCE_SLOT, row)
    _place(cells, mask, _EVENT_ID, EVENT_ID_SLOT, row)
    _place(cells, mask, _AD_ID, AD_ID_SLOT, row)
    _place(cells, mask, _ACCOUNT, ACCOUNT_SLOT, row)
    _place(cells, mask, _TENANT, TENANT_SLOT, row)
    if mask & _NUMBERS != U64(0):
        _fill_numbers(mask, cells, row)
    if holds(mask, _CURRENCY):
        row["currency"] = currency_code(data, cells[_CURRENCY, AT], cells[_CURRENCY, SIZE])
    if holds(mask, _STAGE):
        row["stage"] = cells[_STAGE, VALUE]
    if mask & _SCOPE == _SCOPE:
        account = mix(cells[_TENANT, VALUE], cells[_ACCOUNT, VALUE])
        row["account"] = account
        if mask & _DEDUP == _DEDUP:
            row["dedup"] = mix(mix(mix(cells[_SOURCE, VALUE], account), cells[_EVENT_ID, VALUE]), SALT_EVENT)
        _fill_ids(kind, mask, account, cells, row)
    _place_object(kind, mask, cells, row)


@inlined
def _place(cells: Words, mask: np.uint64, field: int, slot: int, row: Any) -> None:
    if holds(mask, field):
        row["text_at"][slot] = cells[field, AT]
        row["text_size"][slot] = cells[field, SIZE]


@inlined
def _place_object(kind: np.uint64, mask: np.uint64, cells: Words, row: Any) -> None:
    field = _COMMAND_ID
    if kind == _CLICK:
        field = _CLICK_ID
    elif kind == _CONVERSION:
        field = _CONVERSION_ID
    elif kind == _CRM_STAGE:
        field = _DEAL_ID
    _place(cells, mask, field, OBJECT_ID_SLOT, row)


@inlined
def _fill_numbers(mask: np.uint64, cells: Words, row: Any) -> None:
    """Money, counts and times; the fields that are not in the mask stay 0."""
    if holds(mask, _VALUE):
        row["value_micros"] = cells[_VALUE, VALUE]
    if holds(mask, _SPEND):
        row["spend_micros"] = cells[_SPEND, VALUE]
    if holds(mask, _IMPRESSIONS):
        row["impressions"] = cells[_IMPRESSIONS, VALUE]
    if holds(mask, _CLICKS):
        row["clicks"] = cells[_CLICKS, VALUE]
    if holds(mask, _START):
        row["period_start_ms"] = cells[_START, VALUE]
    if holds(mask, _END):
        row["period_end_ms"] = cells[_END, VALUE]
    if holds(mask, _BUDGET):
        row["daily_budget_micros"] = cells[_BUDGET, VALUE]
    if holds(mask, _LAUNCHED):
        row["launched_at_ms"] = cells[_LAUNCHED, VALUE]
    if holds(mask, _OBSERVED):
        row["observed_micros"] = cells[_OBSERVED, VALUE]


@inlined
def _fill_ids(kind: np.uint64, mask: np.uint64, account: np.uint64, cells: Words, row: Any) -> None:
    """The hashes that are bound to the account."""
    if holds(mask, _CLICK_ID):
        click = _scoped(cells[_CLICK_ID, VALUE], account, SALT_CLICK)
        row["keys"][0] = click
        if kind == _CLICK:
            row["object_id"] = click
    if holds(mask, _CONVERSION_ID):
        row["object_id"] = _scoped(cells[_CONVERSION_ID, VALUE], account, SALT_CONVERSION)
    if holds(mask, _DEAL_ID):
        row["object_id"] = _scoped(cells[_DEAL_ID, VALUE], account, SALT_DEAL)
    if holds(mask, _AD_ID):
        row["ad"] = _scoped(cells[_AD_ID, VALUE], account, SALT_AD)
    if mask & _LINKS != U64(0):
        if holds(mask, _CONTACT):
            row["contact"] = _scoped(cells[_CONTACT, VALUE], account, SALT_CONTACT)
        if holds(mask, _REVERSES):
            row["reverses"] = _scoped(cells[_REVERSES, VALUE], account, SALT_CONVERSION)
        for i in range(_N_CLICK_KEYS):
            if holds(mask, _FIRST_KEY + i):
                row["keys"][1 + i] = _scoped(cells[_FIRST_KEY + i, VALUE], account, SALT_KEY + U64(1 + i))
