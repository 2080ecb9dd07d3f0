"""The literal threshold rule as a policy of its own: kill above a spend below a return, scale above a return.

Rules of this file: all comparisons are strict and exact (integers, cross-multiplied in two parts so that they cannot
overflow); the zone is asked first. It judges lifetime totals and knows nothing of delay: it is here to be compared
with.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.kernel import Int, kernel
from engine.verdict import Reason, Verdict

PPM: Final = 1_000_000
_HOLD: Final = int(Verdict.HOLD)
_SCALE: Final = int(Verdict.SCALE)
_KILL: Final = int(Verdict.KILL_PROPOSED)
_BETWEEN: Final = int(Reason.BETWEEN_THRESHOLDS)
_BELOW: Final = int(Reason.ROAS_BELOW_KILL)
_ABOVE: Final = int(Reason.ROAS_ABOVE_SCALE)
_LITTLE: Final = int(Reason.TOO_LITTLE_SPENT)


@kernel
def share_of(amount_micros: Int, ppm: Int) -> Int:
    """``amount * ppm / 10**6``, rounded down, without overflow for amounts below 9 * 10**12 currency units."""
    return amount_micros // PPM * ppm + amount_micros % PPM * ppm // PPM


@kernel
def below(value_micros: Int, spend_micros: Int, ppm: Int) -> bool | np.bool:
    """Whether value < spend * ratio, exactly."""
    whole = share_of(spend_micros, ppm)
    rest = spend_micros % PPM * ppm % PPM
    return value_micros < whole or (value_micros == whole and rest > 0)


@kernel
def above(value_micros: Int, spend_micros: Int, ppm: Int) -> bool | np.bool:
    """Whether value > spend * ratio, exactly."""
    return value_micros > share_of(spend_micros, ppm)


@kernel
def judge_by_thresholds(rule: np.void, value_micros: Int, spend_micros: Int) -> tuple[int, int]:
    """Verdict and reason of an ad outside the zone that has spent something."""
    if below(value_micros, spend_micros, rule["kill_roas_ppm"]):
        if spend_micros > rule["kill_spend_micros"]:
            return _KILL, _BELOW
        return _HOLD, _LITTLE
    if above(value_micros, spend_micros, rule["scale_roas_ppm"]):
        return _SCALE, _ABOVE
    return _HOLD, _BETWEEN
