"""The byte scanner: lines that need no judgement become event rows without one Python object.

Rules of this file: the scanner accepts only what it fully understands and what is fully valid (a flat object of plain
ASCII strings, integers, true, false and null); everything else is UNRECOGNISED, and the slow path says why. It accepts
canonical lines of the slow path as well: there it demands nothing, and texts are percent-quoted.
Theory: a name is found by a perfect hash of its three words, a string is checked and hashed while it is read.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from connectors.wire.fields import (
    KIND_CODE,
    KIND_ROW,
    N_FIELDS,
    NAME_SPREAD,
    UNKNOWN_CODE,
    Form,
)
from connectors.wire.rows import AT, SIZE, VALUE, fill_row
from connectors.wire.words import (
    FAIL,
    ID_CLASS,
    KEY_CLASS,
    LINE_FEED,
    PLAIN_CLASS,
    QUOTE,
    TEXT_CLASS,
    Bytes,
    Words,
    bytes_below,
    currency_code,
    equal_bytes,
    line_size,
    scan_int,
    scan_string,
    skip_space,
)
from engine.events import LINE_MAX_BYTES, Field, Kind
from engine.hashing import load8, mix
from engine.kernel import inlined

U64 = np.uint64
PAD_BYTES: Final = 64
"""How many bytes must follow the last line feed of scanned data."""


_QUOTES: Final = U64(0x2222222222222222)
_SPREAD1: Final = U64(NAME_SPREAD[0])
_SPREAD2: Final = U64(NAME_SPREAD[1])
_KIND_ROW: Final = U64(KIND_ROW)
_FACTOR: Final = 7
_UNKNOWN: Final = U64(UNKNOWN_CODE)
_KIND: Final = int(Form.KIND)
_ID: Final = int(Form.ID)
_KEY: Final = int(Form.KEY)
_TEXT: Final = int(Form.TEXT)
_CURRENCY: Final = int(Form.CURRENCY)
_INT: Final = int(Form.INT)
_BOOL: Final = int(Form.BOOL)
_START: Final = int(Field.PERIOD_START_MS)
_END: Final = int(Field.PERIOD_END_MS)
_BOTH_PERIODS: Final = U64(1 << _START | 1 << _END)
_OUTCOME: Final = int(Kind.OUTCOME)
_CONTROL: Final = int(Kind.CONTROL)


@inlined
def find_name(data: Bytes, at: np.uint64, table: Words) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Look up a name from behind its opening quote.

    Returns
    -------
    end : uint64, position of the closing quote, or FAIL.
    code : uint64, a Field, KIND_CODE + Kind, or UNKNOWN_CODE.
    slot : uint64, the name's row in ``table``.
    """
    word0, word1, word2 = load8(data, at), U64(0), U64(0)
    start = at
    stop = equal_bytes(word0, _QUOTES)
    if stop != U64(0):
        word0 &= stop ^ (stop - U64(1))
    else:
        start += U64(8)
        word1 = load8(data, start)
        stop = equal_bytes(word1, _QUOTES)
        if stop != U64(0):
            word1 &= stop ^ (stop - U64(1))
        else:
            start += U64(8)
            word2 = load8(data, start)
            stop = equal_bytes(word2, _QUOTES)
            word2 &= stop ^ (stop - U64(1))
    slot = ((word0 ^ (word1 * _SPREAD1) ^ (word2 * _SPREAD2)) * table[_KIND_ROW, _FACTOR]) >> U64(56)
    same = (table[slot, 0] == word0) & (table[slot, 1] == word1) & (table[slot, 2] == word2)
    if same and stop != U64(0) and table[slot, 3] != _UNKNOWN:
        return start + bytes_below(stop), table[slot, 3], slot
    end, _ = scan_string(data, at, PLAIN_CLASS)
    return end, _UNKNOWN, slot


@inlined
def skip_value(data: Bytes, at: np.uint64) -> np.uint64:
    """Read over the plain value of an unknown field; the position behind it, or FAIL."""
    first = data[at]
    if first == QUOTE:
        end, _ = scan_string(data, at + U64(1), PLAIN_CLASS)
        return end + U64(1) if end != FAIL else FAIL
    if first == 0x6E:
        return scan_null(data, at)
    if first == 0x74 or first == 0x66:
        end, _ = scan_bool(data, at)
        return end
    if first == 0x2D:
        at += U64(1)
    end, _ = scan_int(data, at)
    return end


@inlined
def scan_null(data: Bytes, at: np.uint64) -> np.uint64:
    """The position behind ``null``, or FAIL."""
    return at + U64(4) if load8(data, at) & U64(0xFFFFFFFF) == U64(0x6C6C756E) else FAIL


@inlined
def scan_bool(data: Bytes, at: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The position behind ``true`` or ``false`` (or FAIL), and 1 or 0."""
    word = load8(data, at)
    if word & U64(0xFFFFFFFF) == U64(0x65757274):
        return at + U64(4), U64(1)
    if word & U64(0xFFFFFFFFFF) == U64(0x65736C6166):
        return at + U64(5), U64(0)
    return FAIL, U64(0)


@inlined
def scan_field(data: Bytes, at: np.uint64, slot: np.uint64, canonical: bool, table: Words, cells: Words) -> np.uint64:
    """Read the value of a known field into its cell; the position behind it, or FAIL.

    Parameters
    ----------
    canonical : bool, whether the line was written by the slow path: then lengths are not judged again and the forms
        that only the slow path understands are plain strings.
    """
    code, form, low, high = table[slot, 3], table[slot, 4], table[slot, 5], table[slot, 6]
    if form == _INT:
        end, value = scan_int(data, at)
        cells[code, VALUE] = value
        return end if low <= value and value <= high else FAIL
    if form == _BOOL:
        end, cells[code, VALUE] = scan_bool(data, at)
        return end
    if data[at] != QUOTE:
        return FAIL
    at += U64(1)
    if form == _KIND:
        end, name, _ = find_name(data, at, table)
        cells[code, VALUE] = name - U64(KIND_CODE)
        known = name > U64(KIND_CODE) and name != _UNKNOWN and end != FAIL
        return end + U64(1) if known else FAIL
    string_class = PLAIN_CLASS
    if form == _ID:
        string_class = ID_CLASS
    elif not canonical:
        if form == _KEY:
            string_class = KEY_CLASS
        elif form == _TEXT or form == _CURRENCY:
            string_class = TEXT_CLASS
        else:
            return FAIL
    end, cells[code, VALUE] = scan_string(data, at, string_class)
    size = end - at
    if end == FAIL or (not canonical and (size < low or size > high)):
        return FAIL
    if form == _CURRENCY and not canonical and currency_code(data, at, size) == U64(0):
        return FAIL
    cells[code, AT] = at
    cells[code, SIZE] = size
    return end + U64(1)


@inlined
def scan_object(
    data: Bytes, at: np.uint64, canonical: bool, table: Words, cells: Words
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Read one line's object into the cells.

    Returns
    -------
    end : uint64, position of the line feed, or FAIL.
    seen, mask : uint64, the fields named, and those of them that are not null.
    unknown : uint64, how many names are not fields of the wire format.
    content : uint64, the sum over the fields in ``mask`` of their mixed values.
    """
    seen, mask, unknown, content = U64(0), U64(0), U64(0), U64(0)
    at = skip_space(data, at)
    if data[at] != 0x7B:
        return FAIL, seen, mask, unknown, content
    mark = 0x2C
    while mark == 0x2C:
        at = skip_space(data, at + U64(1))
        if data[at] != QUOTE:
            return FAIL, seen, mask, unknown, content
        end, code, slot = find_name(data, at + U64(1), table)
        if end == FAIL:
            return FAIL, seen, mask, unknown, content
        at = skip_space(data, end + U64(1))
        if data[at] != 0x3A:
            return FAIL, seen, mask, unknown, content
        at = skip_space(data, at + U64(1))
        if code >= U64(N_FIELDS):
            unknown += U64(1)
            end = skip_value(data, at)
        else:
            bit = U64(1) << code
            if seen & bit != U64(0):
                return FAIL, seen, mask, unknown, content
            seen |= bit
            if data[at] == 0x6E:
                end = scan_null(data, at)
            else:
                end = scan_field(data, at, slot, canonical, table, cells)
                mask |= bit
                content += mix(code + U64(1), cells[code, VALUE])
        if end == FAIL:
            return FAIL, seen, mask, unknown, content
        at = skip_space(data, end)
        mark = data[at]
    if mark != 0x7D:
        return FAIL, seen, mask, unknown, content
    at = skip_space(data, at + U64(1))
    while data[at] == 0x0D:
        at = skip_space(data, at + U64(1))
    return (at if data[at] == LINE_FEED else FAIL), seen, mask, unknown, content


@inlined
def scan_line(
    data: Bytes, at: np.uint64, canonical: bool, trusted: bool, table: Words, cells: Words, row: Any
) -> np.uint64:
    """Read one line into a row that is all zero; the position of its line feed, or FAIL (the row is untouched)."""
    end, seen, mask, unknown, content = scan_object(data, at, canonical, table, cells)
    if end == FAIL or (not canonical and line_size(data, at, end) > U64(LINE_MAX_BYTES)):
        return FAIL
    kind = cells[0, VALUE] if mask & U64(1) != U64(0) else U64(0)
    required, known = table[_KIND_ROW + kind, 0], table[_KIND_ROW + kind, 1]
    if not canonical:
        if kind == U64(0) or mask & required != required or (kind >= U64(_OUTCOME) and not trusted):
            return FAIL
        periods = mask & known & _BOTH_PERIODS
        if periods == _BOTH_PERIODS and cells[_END, VALUE] <= cells[_START, VALUE]:
            return FAIL
    alien = seen & ~known
    if alien != U64(0):
        for code in range(N_FIELDS):
            bit = U64(1) << U64(code)
            unknown += U64(1) if alien & bit != U64(0) else U64(0)
            if alien & mask & bit != U64(0):
                content -= mix(U64(code + 1), cells[code, VALUE])
        mask &= known
    row["unknown_fields"] = U64(0) if kind == U64(_CONTROL) else min(unknown, U64(0xFFFF))
    row["content"] = content
    fill_row(data, kind, mask, cells, row)
    return end
