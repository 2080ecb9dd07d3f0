"""The ignorance zone: while an ad is young, or has spent little, nobody kills it.

Rules of this file: both limits are exclusive on the protected side (exactly two days, exactly the amount: outside).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.kernel import Int, kernel

RULE_OR: Final = 0
RULE_AND: Final = 1
RULE_DAYS: Final = 2


@kernel
def in_zone(rule: np.void, live_ms: Int, spend_micros: Int) -> bool:
    """Whether an ad is protected.

    Parameters
    ----------
    rule : RULE row of its account.
    live_ms : int64, time since launch (or since it was first heard of), -1 not known: protected.
    spend_micros : int64, spend so far.
    """
    young = live_ms < rule["zone_days_ms"]
    cheap = spend_micros < rule["zone_spend_micros"]
    if rule["zone_rule"] == RULE_AND:
        return young and cheap
    if rule["zone_rule"] == RULE_DAYS:
        return young
    return young or cheap
