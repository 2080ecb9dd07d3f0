"""Bytes of wire lines in, event rows out.

Rules of this file: the scanner takes what is plain, the slow path the rest, and both end in the same rows; nothing that
a payload may hold raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.wire.batch import count_lines, scan_canonical, scan_payloads
from connectors.wire.fields import OPEN_KINDS, OPTIONAL, REQUIRED, build_table
from connectors.wire.normalise import normalise
from connectors.wire.rows import build_cells
from connectors.wire.scan import PAD_BYTES
from engine.events import ACCOUNT_SLOT, EVENT, FIELD_NAMES, TENANT_SLOT, Events, Field, Kind, Refusal

TABLE: Final = build_table()
_PAD: Final = bytes(PAD_BYTES)
_LIMIT: Final = 1 << 32  # places in a row are 32 bits wide
_CATALOG: Final = tuple(
    field.name.lower()
    for field in (
        Field.AD_SET_ID,
        Field.CAMPAIGN_ID,
        Field.BUDGET_ENTITY,
        Field.STATUS,
        Field.MODE,
        Field.POOL,
        Field.HOLDOUT,
    )
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of decoded lines.

    Attributes
    ----------
    data : uint8[n], read-only: the payloads, a line feed behind each, then canonical lines, then padding.
    events : EVENT[k], one row a line that is not blank, in order; ``refusal`` is at most OUT_OF_RANGE.
    blank : int, how many lines were blank.
    """

    data: NDArray[np.uint8]
    events: Events
    blank: int


def decode(payloads: Sequence[bytes], *, trusted: bool) -> Decoded:
    """Decode wire lines.

    Parameters
    ----------
    payloads : lines with LF or CRLF between; the last needs no end. ``entry`` of a row is the payload's place here,
        ``line`` counts its lines from 0, blank ones too. About 1,000 lines a call serve the caches best.
    trusted : bool, whether `outcome` and `control` may come this way.

    Raises
    ------
    ValueError if the payloads hold 4 GiB or more.
    """
    joined = b"\n".join([*payloads, _PAD])
    if len(joined) >= _LIMIT:
        message = f"a batch of {len(joined)} bytes is too large: decode less than 4 GiB at a time"
        raise ValueError(message)
    starts = np.zeros(len(payloads) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)) + 1, out=starts[1:])
    data = np.frombuffer(joined, np.uint8)
    feeds = count_lines(data)
    rows: Events = np.zeros(feeds, EVENT)
    n_rows, n_slow = scan_payloads(data, starts, trusted, TABLE, build_cells(), rows)
    rows = rows[:n_rows]
    # A payload that ends its last line itself has one line feed more than lines.
    blank = feeds - n_rows - sum([not payload or payload.endswith(b"\n") for payload in payloads])
    return Decoded(_decode_slow(joined, rows, trusted) if n_slow else data, rows, blank)


def _decode_slow(joined: bytes, rows: Events, trusted: bool) -> NDArray[np.uint8]:
    """Let the slow path judge the rows that the scanner left; returns the bytes with the canonical lines behind."""
    where = np.flatnonzero(rows["refusal"] == Refusal.UNRECOGNISED)
    parts, at, found = [joined[:-PAD_BYTES]], [], []
    size = len(parts[0])
    for place in where:
        row = rows[place]
        normal = normalise(line_of(joined, row), trusted=trusted)
        row["refusal"] = normal.refusal
        if normal.line:
            at.append(size)
            found.append((place, normal.unknown_fields))
            parts.append(normal.line + b"\n")
            size += len(parts[-1])
    data = np.frombuffer(b"".join([*parts, _PAD]), np.uint8)
    pairs = np.array(found, np.int64).reshape(-1, 2)
    failed = scan_canonical(data, np.array(at, np.int64), pairs[:, 0].copy(), TABLE, build_cells(), rows)
    if failed:
        message = f"{failed} canonical lines are not plain: fields and scanner disagree"
        raise AssertionError(message)
    rows["unknown_fields"][pairs[:, 0]] = np.minimum(pairs[:, 1], 0xFFFF)
    return data


def line_of(data: NDArray[np.uint8] | bytes, event: np.void) -> bytes:
    """The line of a row as it came, without its end."""
    at = int(event["line_at"])
    return bytes(data[at : at + int(event["line_size"])])


def text_of(data: NDArray[np.uint8], event: np.void, slot: int) -> str | None:
    """The id in a text slot of a row, or None."""
    at, size = int(event["text_at"][slot]), int(event["text_size"][slot])
    return data[at : at + size].tobytes().decode("ascii") if size else None


def who(data: NDArray[np.uint8], event: np.void) -> tuple[str | None, str | None]:
    """Tenant and account of a row, accepted or refused; None where the line gives no valid one."""
    return text_of(data, event, TENANT_SLOT), text_of(data, event, ACCOUNT_SLOT)


def line_fields(data: NDArray[np.uint8], event: np.void) -> dict[str, Any]:
    """All fields of the line of an accepted row that are not null, as Python values.

    The fields are those of the row's kind; a control line gives its further fields as well.
    """
    fields = msgspec.json.decode(line_of(data, event), type=dict[str, Any])
    kind = Kind(int(event["kind"]))
    if kind in OPEN_KINDS:
        return {name: value for name, value in fields.items() if value is not None}
    known = (FIELD_NAMES[field] for field in REQUIRED[kind] + OPTIONAL[kind])
    return {name: fields[name] for name in known if fields.get(name) is not None}


def catalog_fields(data: NDArray[np.uint8], event: np.void) -> dict[str, str | bool | int]:
    """What the row of an accepted catalog line does not hold: parents, status, mode, pool, hold-out; absent if null."""
    fields = line_fields(data, event)
    return {name: fields[name] for name in _CATALOG if name in fields}


def warm_up() -> None:
    """Compile the decoder, or load what an earlier process compiled."""
    decode([b'{"kind":"click"}\n', b"{}"], trusted=False)
