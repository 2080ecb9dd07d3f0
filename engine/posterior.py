"""What an ad's return may truly be: a Gamma posterior, exact from counts.

Rules of this file: scalar mathematics only, so that compiled and interpreted code agree; no draw is made here.
Theory of operation: value arrives in units of a typical size (the account's mean order, or the first paying stage of a
pipeline). Units per unit of spend are Poisson with a Gamma prior worth one unit, centred on break-even; so the return
on spend is Gamma(shape = 1 + units, rate = 1 / break-even + spend in units), with mean shape / rate.
The regularised incomplete gamma function follows its series and continued fraction.

References
----------
Gelman et al., Bayesian Data Analysis, section 2.6 (Poisson model). Abramowitz & Stegun, 6.5.29 and 6.5.31; Wilson &
Hilferty 1931.
"""

from __future__ import annotations

import math
from typing import Final

from engine.kernel import Int, kernel

PRIOR_UNITS: Final = 1.0
WIDE_SHAPE: Final = 1000.0
_STEPS: Final = 500
_TINY: Final = 1e-300


@kernel
def gamma_below(shape: float, x: float) -> float:
    """P(Gamma(shape, rate 1) <= x), between 0 and 1; shape > 0."""
    if x <= 0.0:
        return 0.0
    if shape >= WIDE_SHAPE:  # the series would need too many terms; the cube root is normal to 1e-5 here
        z = (math.pow(x / shape, 1.0 / 3.0) - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * math.sqrt(shape)
        return 0.5 * math.erfc(-z / math.sqrt(2.0))
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        for k in range(1, _STEPS):
            term *= x / (shape + k)
            total += term
            if term < total * 1e-15:
                break
        return min(1.0, front * total)
    b = x + 1.0 - shape
    c = 1.0 / _TINY
    d = 1.0 / b
    h = d
    for k in range(1, _STEPS):
        an = -k * (k - shape)
        b += 2.0
        d = 1.0 / max(abs(an * d + b), _TINY) if an * d + b > 0 else 1.0 / min(-_TINY, an * d + b)
        c = b + an / c
        if abs(c) < _TINY:
            c = _TINY
        delta = d * c
        h *= delta
        if abs(delta - 1.0) < 1e-15:
            break
    return max(0.0, 1.0 - front * h)


@kernel
def return_posterior(
    value_micros: Int, spend_micros: Int, unit_micros: float, break_even: float
) -> tuple[float, float]:
    """Shape and rate of the Gamma posterior of the return on spend.

    Parameters
    ----------
    value_micros, spend_micros : int64, credited value (below 0 counts as 0) and spend.
    unit_micros : float, typical value of one conversion or first paying stage, > 0.
    break_even : float, return at which an ad pays, > 0.
    """
    units = max(0.0, float(value_micros)) / unit_micros
    return PRIOR_UNITS + units, PRIOR_UNITS / break_even + float(spend_micros) / unit_micros


@kernel
def return_quantile(shape: float, rate: float, share: float) -> float:
    """The return below which ``share`` of the posterior lies, by bisection to 1e-9 of its mean."""
    low, high = 0.0, shape / rate
    for _ in range(100):
        if gamma_below(shape, high * rate) >= share:
            break
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if gamma_below(shape, middle * rate) < share:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
