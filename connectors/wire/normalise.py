"""The slow path: one line becomes either a reason to refuse it or a canonical line that the scanner accepts.

Rules of this file: msgspec judges the syntax, this file the rest, in the order of the wire format's checks. A
canonical line holds the known, present, valid fields of its kind and nothing else, in plain ASCII: what the scanner
could not take is percent-quoted (texts) or digested (embeddings), one to one. A refused line's canonical line holds
what is known of it.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Any, Final
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.wire.fields import (
    ENTITY_PREFIXES,
    ENVELOPE,
    LONG_TEXT,
    OPEN_KINDS,
    OPTIONAL,
    REQUIRED,
    RULES,
    TRUSTED_KINDS,
    Form,
    Rule,
)
from engine.events import FIELD_NAMES, LINE_MAX_BYTES, Field, Kind, Refusal
from engine.kernel import kernel

DEPTH_MAX: Final = 64
"""Levels of nesting, the line's own object included."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)
_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_KNOWN: Final = {kind: tuple((f, FIELD_NAMES[f]) for f in sorted(REQUIRED[kind] + OPTIONAL[kind])) for kind in Kind}
_KNOWN_NAMES: Final = {kind: frozenset(name for _, name in fields) for kind, fields in _KNOWN.items()}
_ENVELOPE: Final = tuple((field, FIELD_NAMES[field]) for field in ENVELOPE if field is not Field.KIND)

_ID: Final = re.compile(r"[A-Za-z0-9_.:\-]+")
_KEY: Final = re.compile(r"[!-~]*")
_ENTITY: Final = re.compile(rf"(?:{'|'.join(ENTITY_PREFIXES)}):[A-Za-z0-9_.:\-]{{1,128}}")
_INT: Final = re.compile(rb"-?[0-9]+")
_NUMBER_START: Final = frozenset(b"-0123456789")
_PLAIN: Final = re.compile(r"[ !#-$&-\[\]-\x7f]*")
_SAFE: Final = " !#$&'()*+,-./:;<=>?@[]^_`{|}~\x7f"

Reading = tuple[Refusal, str]
"""ACCEPTED and the canonical JSON value, or why not and ""."""


@dataclass(frozen=True, slots=True)
class Normal:
    """What the slow path says of a line.

    Attributes
    ----------
    refusal : Refusal, ACCEPTED or the first check that fails.
    line : bytes, the canonical line, empty where nothing is known.
    unknown_fields : int, how many names the line's object gives that its kind does not know.
    """

    refusal: Refusal
    line: bytes = b""
    unknown_fields: int = 0


def normalise(line: bytes, *, trusted: bool) -> Normal:
    """Judge one line.

    Parameters
    ----------
    line : bytes, without its line end, not blank.
    trusted : bool, whether `outcome` and `control` are allowed.
    """
    if len(line) > LINE_MAX_BYTES:
        return Normal(Refusal.TOO_LONG)
    try:
        line.decode()
    except UnicodeDecodeError:
        return Normal(Refusal.NOT_UTF8)
    depth, members = outline(np.frombuffer(line, np.uint8))
    if depth > DEPTH_MAX:
        return Normal(Refusal.NOT_JSON)
    try:
        fields = _OBJECT.decode(line)
    except msgspec.MsgspecError:
        return Normal(Refusal.NOT_JSON)
    values = {name: raw for name, field in fields.items() if (raw := bytes(field)) != b"null"}
    kind = _kind(values.get("kind"))
    if kind is None:
        refusal = Refusal.UNKNOWN_KIND if "kind" in values else Refusal.MISSING_FIELD
        return Normal(refusal, _read_fields(values, _ENVELOPE, ())[1])
    parts = [f'"kind":"{kind.name.lower()}"']
    worst, text = _read_fields(values, _KNOWN[kind][1:], parts)
    if kind in TRUSTED_KINDS and not trusted:
        worst = Refusal.UNKNOWN_KIND
    elif any(FIELD_NAMES[field] not in values for field in REQUIRED[kind]):
        worst = Refusal.MISSING_FIELD
    elif worst is Refusal.ACCEPTED and kind is Kind.SPEND:
        worst = _period(values)
    return Normal(worst, text, _unknown(line, fields, members, kind))


def _kind(raw: bytes | None) -> Kind | None:
    return _KINDS.get(_STRING.decode(raw)) if raw is not None and raw[0] == 0x22 else None


def _read_fields(
    values: dict[str, bytes], known: tuple[tuple[Field, str], ...], parts: list[str] | tuple[()]
) -> tuple[Refusal, bytes]:
    """The gravest refusal among the known fields, and a canonical line of the valid ones behind ``parts``."""
    written = list(parts)
    worst = Refusal.ACCEPTED
    for field, name in known:
        raw = values.get(name)
        if raw is None:
            continue
        rule = RULES[field]
        refusal, text = _READERS[rule.form](raw, rule)
        if refusal is Refusal.ACCEPTED:
            written.append(f'"{name}":{text}')
        elif worst is Refusal.ACCEPTED or refusal < worst:
            worst = refusal
    return worst, f"{{{','.join(written)}}}".encode() if written else b""


def _period(values: dict[str, bytes]) -> Refusal:
    empty = int(values["period_end_ms"]) <= int(values["period_start_ms"])
    return Refusal.OUT_OF_RANGE if empty else Refusal.ACCEPTED


def _unknown(line: bytes, fields: dict[str, Any], members: int, kind: Kind) -> int:
    """Count names, repeated ones as often as they are written."""
    if kind in OPEN_KINDS:
        return 0
    known = _KNOWN_NAMES[kind]
    if members == len(fields):
        return sum(1 for name in fields if name not in known)
    names: list[str] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        names[:] = [name for name, _ in pairs]  # the outermost object ends last

    json.loads(line, object_pairs_hook=keep, parse_int=str, parse_float=str)
    return sum(1 for name in names if name not in known)


def _read_int(raw: bytes, rule: Rule) -> Reading:
    if not _INT.fullmatch(raw):
        return Refusal.BAD_TYPE, ""
    if len(raw) > 20 or not rule.low <= (value := int(raw)) <= rule.high:
        return Refusal.OUT_OF_RANGE, ""
    return Refusal.ACCEPTED, str(value)


def _read_bool(raw: bytes, rule: Rule) -> Reading:
    return (Refusal.ACCEPTED, raw.decode()) if raw in (b"true", b"false") else (Refusal.BAD_TYPE, "")


def _string_reader(
    check: Callable[[str, Rule], Refusal], write: Callable[[str], str]
) -> Callable[[bytes, Rule], Reading]:
    def read(raw: bytes, rule: Rule) -> Reading:
        if raw[0] != 0x22:
            return Refusal.BAD_TYPE, ""
        text = _STRING.decode(raw)
        refusal = check(text, rule)
        return refusal, f'"{write(text)}"' if refusal is Refusal.ACCEPTED else ""

    return read


def _canonical_text(text: str) -> str:
    """The text where the scanner takes it as it is, else percent-quoted, a long one as a digest.

    This is one to one, as a plain text has no percent.
    """
    if len(text) > LONG_TEXT:
        return "%" + blake2b(text.encode(), digest_size=16).hexdigest()
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE)


def _canonical_key(text: str) -> str:
    """The key where it needs no escape in JSON, else percent-quoted behind a space, which no key holds."""
    return " " + quote(text, safe=_SAFE) if '"' in text or "\\" in text else text


def _check_id(text: str, rule: Rule) -> Refusal:
    good = _ID.fullmatch(text) and rule.low <= len(text) <= rule.high
    return Refusal.ACCEPTED if good else Refusal.BAD_ID


def _check_key(text: str, rule: Rule) -> Refusal:
    good = _KEY.fullmatch(text) and rule.low <= len(text) <= rule.high
    return Refusal.ACCEPTED if good else Refusal.BAD_ID


def _check_entity(text: str, rule: Rule) -> Refusal:
    return Refusal.ACCEPTED if _ENTITY.fullmatch(text) else Refusal.BAD_ID


def _check_nothing(text: str, rule: Rule) -> Refusal:
    return Refusal.ACCEPTED


def _read_numbers(raw: bytes, rule: Rule) -> Reading:
    if raw[0] != 0x5B:
        return Refusal.BAD_TYPE, ""
    items = [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    if any(item[0] not in _NUMBER_START for item in items):
        return Refusal.BAD_TYPE, ""
    if len(items) > rule.high:
        return Refusal.OUT_OF_RANGE, ""
    numbers = [float(item) + 0.0 for item in items]
    if not all(map(isfinite, numbers)):
        return Refusal.OUT_OF_RANGE, ""
    digest = blake2b(struct.pack(f"<{len(numbers)}d", *numbers), digest_size=16).hexdigest()
    return Refusal.ACCEPTED, f'"{digest}"'


_READERS: Final[dict[Form, Callable[[bytes, Rule], Reading]]] = {
    Form.ID: _string_reader(_check_id, str),
    Form.KEY: _string_reader(_check_key, _canonical_key),
    Form.TEXT: _string_reader(_check_nothing, _canonical_text),
    Form.CURRENCY: _string_reader(_check_nothing, _canonical_text),
    Form.ENTITY: _string_reader(_check_entity, _canonical_text),
    Form.INT: _read_int,
    Form.BOOL: _read_bool,
    Form.NUMBERS: _read_numbers,
}


@kernel
def outline(line: NDArray[np.uint8]) -> tuple[int, int]:
    """How deep a JSON line nests and how many names its outermost object gives, names given twice counted twice.

    Parameters
    ----------
    line : uint8[n]; if it is not JSON, the depth is that of its brackets outside strings and bounds any parser's.
    """
    depth, deepest, members = 0, 0, 0
    quoted, escaped = False, False
    for byte in line:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte == 0x7B or byte == 0x5B:
            depth += 1
            deepest = max(deepest, depth)
        elif byte == 0x7D or byte == 0x5D:
            depth -= 1
        elif byte == 0x3A and depth == 1:
            members += 1
    return deepest, members
