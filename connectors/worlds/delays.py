"""Delay laws of the market, from marks drawn beforehand; every delay is in milliseconds, at least 1.

Rules of this file: pure arithmetic on marks, no generator. Sources: order delays follow the shape reported by
Chapelle, "Modeling Delayed Feedback in Display Advertising" (KDD 2014): about 35 % within an hour, half within a day,
13 % after two weeks. The funnel's medians (60 h to an appointment, a week to a close) are assumptions.
"""

from __future__ import annotations

import math
from typing import Final

MS_PER_HOUR: Final = 3_600_000
# (share up to here, mean in hours)
_ORDER: Final = ((0.35, 0.4), (0.45, 8.0), (0.75, 120.0), (1.0, 400.0))
_LEAD: Final = ((0.7, 0.5), (1.0, 24.0))


def _mixture(law: tuple[tuple[float, float], ...], kind: float, wait: float) -> int:
    for share, mean_h in law:
        if kind < share:
            return 1 + int(wait * mean_h * MS_PER_HOUR)
    return 1 + int(wait * law[-1][1] * MS_PER_HOUR)


def _lognormal(median_h: float, sigma: float, normal: float) -> int:
    return 1 + int(median_h * MS_PER_HOUR * math.exp(sigma * normal))


def order_ms(kind: float, wait: float) -> int:
    """Click to order: a mixture of exponentials (``kind`` uniform, ``wait`` exponential with mean 1)."""
    return _mixture(_ORDER, kind, wait)


def lead_ms(kind: float, wait: float) -> int:
    """Click to lead: most within the hour."""
    return _mixture(_LEAD, kind, wait)


def refund_ms(wait: float) -> int:
    """Order to refund: exponential, ten days on average."""
    return 1 + int(wait * 240 * MS_PER_HOUR)


def appointment_ms(normal: float) -> int:
    """Lead to appointment: lognormal, median 60 hours."""
    return _lognormal(60.0, 0.8, normal)


def show_ms(normal: float) -> int:
    """Appointment made to appointment kept: lognormal, median 48 hours."""
    return _lognormal(48.0, 0.5, normal)


def close_ms(normal: float) -> int:
    """Appointment kept to won or lost: lognormal, median 110 hours."""
    return _lognormal(110.0, 0.7, normal)
