"""Both sides of both limits, under each reading of the rule."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import RULE
from engine.events import MS_PER_DAY
from engine.zone import RULE_AND, RULE_DAYS, RULE_OR, in_zone

DAYS = 2 * MS_PER_DAY
SPEND = 100_000_000


def zone(rule: int, live_ms: int, spend_micros: int) -> bool:
    row = np.zeros(1, RULE)
    row["zone_rule"], row["zone_days_ms"], row["zone_spend_micros"] = rule, DAYS, SPEND
    return bool(in_zone(row[0], live_ms, spend_micros))


@pytest.mark.parametrize(
    ("rule", "live_ms", "spend_micros", "expected"),
    [
        (RULE_OR, DAYS - 1, SPEND, True),
        (RULE_OR, DAYS, SPEND - 1, True),
        (RULE_OR, DAYS, SPEND, False),
        (RULE_OR, DAYS - 1, SPEND - 1, True),
        (RULE_AND, DAYS - 1, SPEND - 1, True),
        (RULE_AND, DAYS - 1, SPEND, False),
        (RULE_AND, DAYS, SPEND - 1, False),
        (RULE_DAYS, DAYS - 1, 10 * SPEND, True),
        (RULE_DAYS, DAYS, 0, False),
        (RULE_OR, -1, SPEND, True),
    ],
)
def test_both_sides(rule: int, live_ms: int, spend_micros: int, expected: bool) -> None:
    assert zone(rule, live_ms, spend_micros) is expected
