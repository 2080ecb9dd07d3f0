"""Lines meant to hurt: small id spaces, equal times, both sides of every threshold, and every kind of bad line.

Rules of this file: equal arguments give equal bytes; nothing here knows the right answer, it is there to make two
implementations disagree. Times lie on a grid of 12 h, give or take a millisecond, so that ages and lateness hit their
limits exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from bench.workload import SERVICE, START_MS
from engine.config import AccountConfig, EngineConfig
from engine.events import MS_PER_DAY, MS_PER_HOUR

DAYS: Final = 12
CLOCK_MS: Final = START_MS + DAYS * MS_PER_DAY
"""The clock against which these lines must be judged: some lie just before and behind its slack."""

ACCOUNTS: Final = (("t1", "a"), ("t1", "b"), ("t2", "a"), ("t2", "b"))
CURRENCY: Final = {("t1", "b"): "EUR"}
KEYS: Final = ("click_id", "fbclid", "gclid", "gbraid", "wbraid", "ttclid", "msclkid")
Line = dict[str, Any]


def config(*, strict: bool = False) -> EngineConfig:
    """The configuration for `adversarial`: three listed accounts, the fourth served by the defaults (or refused)."""
    return EngineConfig(
        defaults=AccountConfig(stages=SERVICE),
        accounts={
            ("t1", "a"): AccountConfig(mode="pipeline", stages=SERVICE),
            ("t1", "b"): AccountConfig(currency="EUR", spend_granularity="hour"),
            ("t2", "a"): AccountConfig(
                mode="pipeline", stages=SERVICE, spend_granularity="day", lookback_ms=MS_PER_DAY
            ),
        },
        strict_accounts=strict,
    )


def adversarial(seed: int, n: int, *, mixed: bool = False) -> Iterator[bytes]:
    """Yield ``n`` hostile lines, without line ends, in arrival order.

    Parameters
    ----------
    seed : int.
    n : int, how many lines.
    mixed : bool, whether one conversion_id may be a conversion in one event and a reversal in another.
    """
    source = _Source(np.random.default_rng(seed), mixed=mixed)
    sent: list[bytes] = []
    for i in range(n):
        roll = source.rng.random()
        if sent and roll < 0.06:
            line = sent[source.below(len(sent))]
        elif roll < 0.2:
            line = source.bad(i / n)
        else:
            line = _bytes(source.event(i / n), pretty=roll > 0.97)
        sent.append(line)
        yield line


def _bytes(line: Line, *, pretty: bool = False) -> bytes:
    if pretty:
        return b" " + json.dumps(line, separators=(" ,\t", " : ")).encode() + b"\r"
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()


class _Source:
    """A seeded maker of lines."""

    def __init__(self, rng: np.random.Generator, *, mixed: bool) -> None:
        self.rng = rng
        self.mixed = mixed
        self.is_ending = False  # then lines may lie at the clock; earlier they would make all others too late

    def below(self, size: int) -> int:
        return int(self.rng.integers(size))

    def one(self, *choices: Any) -> Any:
        return choices[self.below(len(choices))]

    def is_lucky(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def time(self, progress: float) -> int:
        """A time on the grid that has got so far, seldom more than 7 days behind."""
        now = int(progress * DAYS * 2) - int(min(self.rng.exponential(3.0), 16))
        return START_MS + now * 12 * MS_PER_HOUR + self.one(-1, 0, 0, 0, 1)

    def event(self, progress: float) -> Line:
        """A valid line, or nearly: lateness, grids, stages and reversals may still refuse it."""
        self.is_ending = progress > 0.8
        tenant, account = ACCOUNTS[min(self.below(7), 3)]
        kind = self.one(
            "click", "click", "click", "conversion", "conversion", "crm_stage", "crm_stage", "spend", "catalog"
        )
        line = {
            "kind": kind,
            "event_id": f"e{self.below(4000)}" if self.is_lucky(0.7) else f"e{self.below(40)}",
            "tenant": tenant,
            "account": account,
            "source": self.one("s", "s", "S", "s2"),
            "occurred_at_ms": self.time(progress),
        }
        if kind != "click":
            line["currency"] = CURRENCY.get((tenant, account), "USD")
        makers: dict[str, Callable[[], Line]] = {
            "click": self.click,
            "conversion": self.conversion,
            "crm_stage": self.crm_stage,
            "spend": self.spend,
            "catalog": self.catalog,
        }
        line |= makers[kind]()
        if self.is_lucky(0.05):
            line |= self.one(
                {"extra": [{"a": None}]}, {"extra": None}, {"deal_id": "d1"}, {"clicks": "x"}, {"visitor": None}
            )
        if self.is_lucky(0.1):
            items = list(line.items())
            self.rng.shuffle(items)
            line = dict(items)
        return line

    def ad(self) -> str:
        return f"ad{self.below(6)}"

    def some_keys(self, names: tuple[str, ...], most: int) -> Line:
        chosen = self.rng.choice(names, self.below(most + 1), replace=False).tolist()
        return {name: f"k{self.below(9)}" for name in chosen}

    def people(self) -> Line:
        return {"contact": f"p{self.below(5)}"} if self.is_lucky(0.5) else {}

    def click(self) -> Line:
        line = self.some_keys(KEYS[1:], 2) | {"click_id": f"k{self.below(12)}", "ad_id": self.ad()}
        if self.is_lucky(0.1):
            line |= {"ip": "i1", "ua": "u1", "consent": self.one(True, False, None), "visitor": "v"}
        return line

    def conversion(self) -> Line:
        line = self.some_keys(KEYS, 2) | self.people()
        line |= {"type": self.one("purchase", "lead"), "value_micros": self.one(0, 1, 50, 50, 100, 10**15)}
        if self.is_lucky(0.2):
            line["ad_id"] = self.ad()
        if self.is_lucky(0.25):
            line["conversion_id"] = f"r{self.below(30)}"
            line["reverses"] = f"v{self.below(45)}" if self.is_lucky(0.93) else f"r{self.below(30)}"
        else:
            line["conversion_id"] = f"v{self.below(30)}"
        if self.mixed and self.is_lucky(0.3):
            line["conversion_id"] = f"v{self.below(30)}"
        return line

    def crm_stage(self) -> Line:
        stages = [*SERVICE, "closedwon", "closedlost"]
        line = self.some_keys(KEYS, 1) if self.is_lucky(0.4) else {}
        line |= self.people() | {"deal_id": f"d{self.below(8)}", "stage": self.one(*stages)}
        if self.is_lucky(0.15):
            line["ad_id"] = self.ad()
        if self.is_lucky(0.4):
            line["value_micros"] = self.one(0, 7, 10**15, None)
        return line

    def spend(self) -> Line:
        start = START_MS + self.below(6) * MS_PER_DAY + self.one(0, 0, 0, MS_PER_HOUR, MS_PER_HOUR, 1)
        return {
            "ad_id": self.ad(),
            "period_start_ms": start,
            "period_end_ms": start + self.one(1, MS_PER_HOUR, MS_PER_DAY),
            "spend_micros": self.one(0, 5, 10**9, 10**15),
            "impressions": self.one(0, 100, 10**12),
            "clicks": self.below(9),
        }

    def catalog(self) -> Line:
        line = {"ad_id": self.ad(), "ad_set_id": "s1", "campaign_id": "c1", "budget_entity": "ad_set:s1"}
        line |= {"status": "active", "launched_at_ms": START_MS}
        if self.is_lucky(0.5):
            line |= {"daily_budget_micros": 10**8, "mode": "direct", "pool": "main", "holdout": False}
        return line

    def bad(self, progress: float) -> bytes:
        """A line with one thing (seldom two) wrong, or a blank one."""
        line = self.event(progress)
        whole = _bytes(line)
        spoilt = [
            whole[: self.below(len(whole))],
            whole + b"}",
            whole[:-1] + b',"x":"\xc3("}',
            whole[:-1] + b',"x":' + self.one(b"NaN", b"-Infinity", b"01", b"'a'", b'"\\x"', b'"\t"', b"tru") + b"}",
            whole[:-1] + b',"x":' + b"[" * 64 + b"]" * 64 + b"}",
            whole[:-1] + b',"x":' + b"[" * 63 + b"]" * 63 + b"}",
            whole[:-1] + b',"pad":"' + b"a" * (65_526 + self.below(3) - len(whole)) + b'"}',
            self.one(b"", b"   ", b"\t\r", b"[]", b"null", b"7", b'"click"', b"{}", b"\xef\xbb\xbf" + whole, b"\x00"),
        ]
        choice = self.below(len(spoilt) * 3)
        if choice < len(spoilt):
            return spoilt[choice]
        for _ in range(1 + (self.is_lucky(0.2))):
            line = self.spoil(line)
        return _bytes(line)

    def spoil(self, line: Line) -> Line:
        """The line with one field made wrong (or not, where a wrong value happens to be fine for its field)."""
        fixed = () if self.mixed else ("reverses", "conversion_id")  # without it a reversal would be a conversion
        name = self.one(*(field for field in line if field not in fixed))
        numbers = [field for field, value in line.items() if isinstance(value, int)]
        number = self.one(*numbers) if numbers else "occurred_at_ms"
        spoilings: list[Callable[[], Line]] = [
            lambda: {field: value for field, value in line.items() if field != name},
            lambda: line | {name: None},
            lambda: line | {name: self.one(5, 5.0, True, [], {}, "", "a b", "\u00e4", "x" * 129, "x" * 513)},
            lambda: line | {number: self.one(-1, 10**12 + 1, 10**15 + 1, 2**63, 2**64, 10**30)},
            lambda: line | {number: self.one("5", float(line.get(number) or 0), False, 1e3)},
            lambda: line | {"kind": self.one("outcome", "control", "Click", "", 7, None, ["click"])},
            lambda: line | {"currency": self.one("EUR", "USD", "usd", "US", "")},
            lambda: line | {"occurred_at_ms": CLOCK_MS + 300_000 + self.one(1, MS_PER_DAY, 1 - self.is_ending)},
            lambda: line | {"occurred_at_ms": self.one(946_684_799_999, 946_684_800_000, 4_102_444_800_001)},
            lambda: line | {"stage": "unheard_of", "reverses": line.get("conversion_id", "v1")},
            lambda: line | {"period_end_ms": line.get("period_start_ms", 0)},
        ]
        return spoilings[self.below(len(spoilings))]()
