"""One wire line read the slow and obvious way, with the standard ``json`` module.

Rules of this file: the checks run in the documented order and the first that fails names the reason; an absent field
and ``null`` are the same; nothing here remembers an earlier line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
LATENESS_MS: Final = 7 * DAY_MS
FUTURE_MS: Final = 5 * 60_000
LINE_MAX: Final = 65_536
DEPTH_MAX: Final = 64
TIME_MIN: Final = 946_684_800_000
TIME_MAX: Final = 4_102_444_800_000
MONEY_MAX: Final = 10**15
COUNT_MAX: Final = 10**12

EVERY: Final = ("event_id", "tenant", "account", "source", "occurred_at_ms")
KEYS: Final = ("click_id", "fbclid", "gclid", "gbraid", "wbraid", "ttclid", "msclkid")
PSEUDONYMS: Final = ("visitor", "fingerprint", "ip", "ua")

REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "click": ("click_id", "ad_id"),
    "conversion": ("conversion_id", "type", "value_micros", "currency"),
    "crm_stage": ("deal_id", "stage", "currency"),
    "spend": ("ad_id", "period_start_ms", "period_end_ms", "spend_micros", "impressions", "clicks", "currency"),
    "catalog": ("ad_id", "ad_set_id", "campaign_id", "budget_entity", "status", "launched_at_ms", "currency"),
    "outcome": ("command_id", "budget_entity", "result"),
    "control": ("action", "actor", "reason"),
}
OPTIONAL: Final[dict[str, tuple[str, ...]]] = {
    "click": (*KEYS[1:], *PSEUDONYMS, "consent"),
    "conversion": (*KEYS, "ad_id", *PSEUDONYMS, "contact", "reverses"),
    "crm_stage": (*KEYS, "ad_id", "contact", "value_micros"),
    "spend": (),
    "catalog": ("daily_budget_micros", "mode", "pool", "holdout", "embedding"),
    "outcome": ("value_micros", "observed_micros"),
    "control": (),
}
TRUSTED_ONLY: Final = ("outcome", "control")

ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
ENTITY: Final = re.compile(r"(ad_set|campaign|budget|ad):[A-Za-z0-9_.:-]{1,128}")
PRINTABLE: Final = re.compile(r"[!-~]{1,512}")
ID_FIELDS: Final = ("tenant", "account", "source", "stage", "reverses")  # and every *_id
PRINTABLE_FIELDS: Final = (*KEYS[1:], *PSEUDONYMS, "contact")
COUNT_FIELDS: Final = ("impressions", "clicks")
FLAG_FIELDS: Final = ("consent", "holdout")


class Refused(Exception):
    """The line is refused; the argument is the reason code."""


@dataclass(frozen=True, eq=False)
class Event:
    """One line that passed every check that needs no memory."""

    kind: str
    fields: dict[str, Any]  # the fields that the kind knows, without kind
    unknown: int
    raw: bytes

    @property
    def account(self) -> tuple[str, str]:
        """Tenant and account: the scope of every id."""
        return self.fields["tenant"], self.fields["account"]

    @property
    def at(self) -> int:
        """When it happened, ms."""
        return self.fields["occurred_at_ms"]

    @property
    def order(self) -> tuple[int, str, str]:
        """What "newest", "smallest" and "earliest" compare."""
        return self.at, self.fields["event_id"], self.fields["source"]

    @property
    def keys(self) -> set[tuple[str, str]]:
        """The click keys it carries, as (name, value)."""
        return {(name, self.fields[name]) for name in KEYS if name in self.fields}

    def get(self, name: str) -> Any:
        """A field, or None."""
        return self.fields.get(name)


def without_end(line: bytes) -> bytes:
    """The line without its LF or CRLF."""
    if line.endswith(b"\n"):
        line = line[:-1]
    return line.removesuffix(b"\r")


def is_blank(line: bytes) -> bool:
    """Whether the line holds nothing but ASCII white space."""
    return not line.strip()


def read(line: bytes, *, trusted: bool = False) -> Event:
    """Read a line (without its end) that is not blank; raises `Refused` with the first reason that applies."""
    if len(line) > LINE_MAX:
        raise Refused("too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    document = {name: value for name, value in read_object(text).items() if value is not None}
    kind = document.pop("kind", None)
    if kind is None:
        raise Refused("missing_field")
    if not isinstance(kind, str) or kind not in REQUIRED or (kind in TRUSTED_ONLY and not trusted):
        raise Refused("unknown_kind")
    required = EVERY + REQUIRED[kind]
    fields = {name: document[name] for name in required + OPTIONAL[kind] if name in document}
    if any(name not in fields for name in required):
        raise Refused("missing_field")
    for reason, is_fine in (("bad_type", has_type), ("bad_id", has_spelling), ("out_of_range", has_range)):
        if not all(is_fine(name, value) for name, value in fields.items()):
            raise Refused(reason)
    if kind == "spend" and fields["period_end_ms"] <= fields["period_start_ms"]:
        raise Refused("out_of_range")
    return Event(kind, fields, len(document) - len(fields), line)


def read_object(text: str) -> dict[str, Any]:
    """Parse one JSON object strictly: no NaN, no lone surrogates, at most 64 levels."""
    if depth(text) > DEPTH_MAX:
        raise Refused("not_json")
    try:
        document = json.loads(
            text, parse_int=int_of, parse_constant=no_constant, object_pairs_hook=unicode_object, strict=True
        )
    except (ValueError, RecursionError):
        raise Refused("not_json") from None
    if not isinstance(document, dict):
        raise Refused("not_json")
    return document


def int_of(text: str) -> int:
    """An int by its text; one of more than 40 digits is only known to be far out of every range."""
    if len(text) > 40:
        return -(10**40) if text.startswith("-") else 10**40
    return int(text)


def no_constant(name: str) -> None:
    """NaN and the infinities are not JSON."""
    raise ValueError(name)


def unicode_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of duplicate keys the last wins; an escape that is half a character is not JSON (UnicodeEncodeError)."""
    json.dumps(pairs, ensure_ascii=False).encode("utf-8")
    return dict(pairs)


def depth(text: str) -> int:
    """How many brackets are open at once, at most (0: certainly few enough); those inside strings do not count."""
    deepest = level = 0
    if text.count("{") + text.count("[") <= DEPTH_MAX:
        return 0  # it cannot be too deep
    inside = escaped = False
    for letter in text:
        if inside:
            inside = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            inside = True
        elif letter in "{[":
            level += 1
            deepest = max(deepest, level)
        elif letter in "}]":
            level -= 1
    return deepest


def is_int(value: object) -> bool:
    """A JSON int: neither 5.0 nor true."""
    return type(value) is int


def has_type(name: str, value: object) -> bool:
    """Whether the value has the JSON type of the field."""
    if name.endswith(("_ms", "_micros")) or name in COUNT_FIELDS:
        return is_int(value)
    if name in FLAG_FIELDS:
        return isinstance(value, bool)
    if name == "embedding":
        return isinstance(value, list) and all(is_int(item) or isinstance(item, float) for item in value)
    return isinstance(value, str)


def has_spelling(name: str, value: Any) -> bool:
    """Whether an id, click key or pseudonym is spelled as it must be."""
    if name == "budget_entity":
        return ENTITY.fullmatch(value) is not None
    if name.endswith("_id") or name in ID_FIELDS:
        return ID.fullmatch(value) is not None
    if name in PRINTABLE_FIELDS:
        return PRINTABLE.fullmatch(value) is not None
    return True


def has_range(name: str, value: Any) -> bool:
    """Whether a number lies in the range of its field, both ends inside."""
    if name.endswith("_ms"):
        return TIME_MIN <= value <= TIME_MAX
    if name.endswith("_micros"):
        return 0 <= value <= MONEY_MAX
    if name in COUNT_FIELDS:
        return 0 <= value <= COUNT_MAX
    return True
