"""The literal rule at its thresholds, to the micro, and its arithmetic against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.arrays import RULE
from engine.thresholds import above, below, judge_by_thresholds
from engine.verdict import Reason, Verdict

DOLLAR = 1_000_000
MONEY = st.integers(0, 9 * 10**12 * DOLLAR // 1000)
RATIO = st.integers(0, 20_000_000)


def judged(value: int, spend: int) -> tuple[Verdict, Reason]:
    row = np.zeros(1, RULE)
    row["kill_spend_micros"], row["kill_roas_ppm"], row["scale_roas_ppm"] = 200 * DOLLAR, 500_000, 3_000_000
    verdict, reason = judge_by_thresholds(row[0], value, spend)
    return Verdict(verdict), Reason(reason)


@pytest.mark.parametrize(
    ("value", "spend", "verdict", "reason"),
    [
        (0, 200 * DOLLAR, Verdict.HOLD, Reason.TOO_LITTLE_SPENT),
        (0, 200 * DOLLAR + 1, Verdict.KILL_PROPOSED, Reason.ROAS_BELOW_KILL),
        (150 * DOLLAR - 1, 300 * DOLLAR, Verdict.KILL_PROPOSED, Reason.ROAS_BELOW_KILL),
        (150 * DOLLAR, 300 * DOLLAR, Verdict.HOLD, Reason.BETWEEN_THRESHOLDS),
        (900 * DOLLAR, 300 * DOLLAR, Verdict.HOLD, Reason.BETWEEN_THRESHOLDS),
        (900 * DOLLAR + 1, 300 * DOLLAR, Verdict.SCALE, Reason.ROAS_ABOVE_SCALE),
        (-1, 300 * DOLLAR, Verdict.KILL_PROPOSED, Reason.ROAS_BELOW_KILL),
    ],
)
def test_both_sides(value: int, spend: int, verdict: Verdict, reason: Reason) -> None:
    assert judged(value, spend) == (verdict, reason)


@given(value=st.integers(-(10**15), 10**18), spend=MONEY, ratio=RATIO)
def test_comparisons_are_exact(value: int, spend: int, ratio: int) -> None:
    limit = Fraction(spend * ratio, 1_000_000)
    assert bool(below(value, spend, ratio)) == (value < limit)
    assert bool(above(value, spend, ratio)) == (value > limit)
