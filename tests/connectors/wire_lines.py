"""Wire lines for tests: valid events of every kind, mutations of them, and a plain reference that judges a line."""

from __future__ import annotations

import json
import re
from math import isfinite
from random import Random
from typing import Any

from connectors.wire.fields import OPTIONAL, REQUIRED, RULES, Form
from engine.events import FIELD_NAMES, Field, Kind, Refusal

ID_CHARACTERS = "abcXYZ019_.:-"
BAD_VALUES: list[Any] = [
    None, True, False, 0, -1, 5.0, 5.5, 1e300, "", "x y", "é", "x" * 128, "x" * 129, "x" * 512, "x" * 513, "\\", '"',
    "%41", 10**12, 10**12 + 1, 10**15, 10**15 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 946_684_799_999,
    946_684_800_000, 4_102_444_800_000, 4_102_444_800_001, [], [1, 2.5], [True], {}, {"a": [1]}, "usd", "USD",
    "EURO", "click", "direct", "ad:1", "ad_set:" + "x" * 129,
    "\x7f", "\t", "5", "😀" * 512, "😀" * 513, "a/b", "~", "a'b",
]  # fmt: skip


def value_of(random: Random, field: Field, kind: Kind) -> Any:
    """A valid value."""
    rule = RULES[field]
    if rule.form is Form.KIND:
        return kind.name.lower()
    if rule.form is Form.INT:
        return random.choice([rule.low, rule.high, random.randint(rule.low, rule.high)])
    if rule.form is Form.BOOL:
        return random.random() < 0.5
    if rule.form is Form.CURRENCY:
        return random.choice(["USD", "EUR"])
    if rule.form is Form.NUMBERS:
        return [random.choice([1, 0.5, -2e3]) for _ in range(random.randrange(4))]
    size = random.choice([1, 3, 7, 8, 9, 15, 16, 17, 24, 40, 128])
    text = "".join(random.choices(ID_CHARACTERS, k=size))
    if rule.form is Form.ENTITY:
        return random.choice(["ad_set", "campaign", "budget", "ad"]) + ":" + text
    if rule.form is Form.TEXT and random.random() < 0.1:
        return random.choice(["é" + text, "a%20b", 'a"b', "back\\slash", "", "new\nline"])
    if rule.form is Form.KEY and random.random() < 0.1:
        return random.choice(['a"b', "a\\b", "a%22b", "!~", "x" * 512])
    return text


def event(random: Random, kind: Kind | None = None) -> dict[str, Any]:
    """A valid event with some of its optional fields."""
    kind = kind or random.choice(list(Kind))
    fields = [*REQUIRED[kind], *(f for f in OPTIONAL[kind] if random.random() < 0.4)]
    line = {FIELD_NAMES[field]: value_of(random, field, kind) for field in fields}
    if kind is Kind.SPEND:
        line["period_start_ms"], line["period_end_ms"] = 1_700_000_000_000, 1_700_003_600_000
    return line


def written(random: Random, line: dict[str, Any]) -> bytes:
    """The event as JSON in some spelling."""
    items = list(line.items())
    if random.random() < 0.3:
        random.shuffle(items)
    style = random.random()
    if style < 0.4:
        return json.dumps(dict(items), separators=(",", ":"), ensure_ascii=False).encode()
    if style < 0.6:
        return json.dumps(dict(items)).encode()

    def space() -> str:
        return "".join(random.choices(" \t\r", [8, 1, 0.2], k=random.choice([0, 0, 1, 3])))

    def spelt(value: Any) -> str:
        return escaped(random, json.dumps(value)) if random.random() < 0.1 else json.dumps(value)

    members = (space() + spelt(k) + space() + ":" + space() + spelt(v) + space() for k, v in items)
    return (space() + "{" + ",".join(members) + "}" + space()).encode()


def escaped(random: Random, text: str) -> str:
    """A JSON text with some letters inside its strings written as \\u escapes."""
    if not text.startswith('"') or "\\" in text:
        return text
    inner = (f"\\u{ord(c):04x}" if random.random() < 0.3 else c for c in text[1:-1])
    return '"' + "".join(inner) + '"'


def mutated(random: Random) -> bytes:
    """A line that may or may not be right."""
    line = event(random)
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        name = random.choice([*line, random.choice(FIELD_NAMES)])
        action = random.random()
        if action < 0.15:
            line.pop(name, None)
        elif action < 0.35:
            line[random.choice(["x", "clickid", "Kind", "utm", "daily_budget_microsx", "kind\x00", "é"])] = (
                random.choice(BAD_VALUES)
            )
        elif action < 0.5:
            field = Field[name.upper()] if name.upper() in Field.__members__ else Field.AD_ID
            line[name] = value_of(random, field, Kind.CLICK)
        else:
            line[name] = random.choice(BAD_VALUES)
    data = bytearray(written(random, line))
    action = random.random()
    if action < 0.1:
        data[random.randrange(len(data))] = random.choice(b'"\\{}[]:,0159.eE-+ \t\r\x00\x1f\x7f\x80\xc3\xff')
    elif action < 0.15:
        del data[random.randrange(len(data))]
    elif action < 0.2:
        data.insert(random.randrange(len(data) + 1), random.choice(b'"\\{}[]:,0159.eE-+ \t\r\x00\x1f\x7f\x80\xc3\xff'))
    elif action < 0.25:
        name = random.choice([*line, "x"])
        extra = json.dumps({name: random.choice([*BAD_VALUES, line.get(name)])}).encode()
        data = bytearray(data.rstrip()[:-1] + b"," + extra[1:])
    return bytes(data.replace(b"\n", b" "))


def judged(line: bytes, *, trusted: bool) -> tuple[Refusal, int]:
    """What the design says of a line, written plainly and apart from the decoder: the reason and unknown fields."""
    if len(line) > 65_536:
        return Refusal.TOO_LONG, 0
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Refusal.NOT_UTF8, 0
    pairs: list[tuple[str, Any]] = []

    class Int(str): ...

    class Float(str): ...

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = members
        return dict(members)

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        if text.startswith("\ufeff"):
            raise ValueError
        found = json.loads(text, object_pairs_hook=keep, parse_int=Int, parse_float=Float, parse_constant=refuse)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError):
        return Refusal.NOT_JSON, 0
    if not isinstance(found, dict) or _depth(found) > 64:
        return Refusal.NOT_JSON, 0
    values = {name: value for name, value in found.items() if value is not None}
    kind = values.get("kind")
    if kind is None:
        return Refusal.MISSING_FIELD, 0
    if type(kind) is not str or kind not in [k.name.lower() for k in Kind]:
        return Refusal.UNKNOWN_KIND, 0
    number = Kind[kind.upper()]
    known = {FIELD_NAMES[f] for f in REQUIRED[number] + OPTIONAL[number]}
    unknown = 0 if number is Kind.CONTROL else sum(name not in known for name, _ in pairs)
    if kind in ("outcome", "control") and not trusted:
        return Refusal.UNKNOWN_KIND, unknown
    if any(FIELD_NAMES[f] not in values for f in REQUIRED[number]):
        return Refusal.MISSING_FIELD, unknown
    reasons = [_value(Field[n.upper()], v, Int, Float) for n, v in values.items() if n in known and n != "kind"]
    bad = [reason for reason in reasons if reason]
    if not bad and number is Kind.SPEND and int(values["period_end_ms"]) <= int(values["period_start_ms"]):
        bad = [Refusal.OUT_OF_RANGE]
    return min(bad, default=Refusal.ACCEPTED), unknown


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        level = [v for v in level if isinstance(v, (dict, list))]
        deepest += bool(level)
        level = [w for v in level for w in (v.values() if isinstance(v, dict) else v)]
    return deepest


def _value(field: Field, value: Any, int_type: type, float_type: type) -> Refusal:
    rule = RULES[field]
    good = Refusal.ACCEPTED
    if rule.form is Form.INT:
        if type(value) is not int_type:
            return Refusal.BAD_TYPE
        return good if rule.low <= int(value) <= rule.high else Refusal.OUT_OF_RANGE
    if rule.form is Form.BOOL:
        return good if type(value) is bool else Refusal.BAD_TYPE
    if rule.form is Form.NUMBERS:
        if type(value) is not list or any(type(v) not in (int_type, float_type) for v in value):
            return Refusal.BAD_TYPE
        return good if len(value) <= 4096 and all(isfinite(float(v)) for v in value) else Refusal.OUT_OF_RANGE
    if type(value) is not str:
        return Refusal.BAD_TYPE
    if rule.form is Form.ID:
        return good if re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", value) else Refusal.BAD_ID
    if rule.form is Form.KEY:
        return good if re.fullmatch(r"[\x21-\x7e]{1,512}", value) else Refusal.BAD_ID
    if rule.form is Form.ENTITY:
        pattern = r"(ad_set|campaign|budget|ad):[A-Za-z0-9_.:-]{1,128}"
        return good if re.fullmatch(pattern, value) else Refusal.BAD_ID
    return good
