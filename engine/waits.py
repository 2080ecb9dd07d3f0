"""The end of waiting: claims whose click never came, reversals whose conversion never came.

Rules of this file: a claim's wait is looked at when a tick comes, a reversal's the moment the watermark passes it,
never because a batch ended; a mark that ends the feed closes them all.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import Arrays, touch
from engine.claims import WAIT_MS, reconsider
from engine.events import LATENESS_MS, Refusal
from engine.index import find
from engine.intake import forget_id
from engine.kernel import Int, kernel
from engine.layout import CLAIM_NONE, CLAIM_REVERSAL, NEVER_MS, T_ACCOUNTS, T_CLAIMS

_BAD_REVERSAL: Final = int(Refusal.BAD_REVERSAL)
_ORPHAN: Final = int(Refusal.ORPHAN_REVERSAL)


CLOSE_DUE: Final = 0
CLOSE_ALL: Final = 1
SWEEP_REVERSALS: Final = 2
"""Which waits to end: those that are over, all (the feed has ended), reversals that are over only."""


@kernel
def close_waits(a: Arrays, places: NDArray[np.int64], which: int, refused: NDArray[np.int64]) -> tuple[int, int]:
    """End waits.

    Parameters
    ----------
    places : int64[n], the waiting claims, ascending and distinct.
    which : CLOSE_DUE | CLOSE_ALL | SWEEP_REVERSALS.
    refused : int64[n, 2], filled with (claim, Refusal) of the reversals given up.

    Returns
    -------
    (number of claims still waiting, now in ``a.pending``; number of rows in ``refused``).
    """
    still = 0
    given_up = 0
    for place in range(a.used[T_ACCOUNTS]):
        a.accounts[place]["oldest_reversal_ms"] = NEVER_MS
    for claim in places:
        row = a.claims[claim]
        if row["waiting"] == 0 or row["type"] == CLAIM_NONE:
            continue
        account = np.int64(row["account"])
        watermark = a.accounts[account]["max_click_ms"]
        if row["type"] == CLAIM_REVERSAL:
            reason = _reversal_end(a, row, which)
            if reason != 0:
                refused[given_up, 0] = claim
                refused[given_up, 1] = reason
                given_up += 1
                _give_up(a, claim)
                continue
            oldest = a.accounts[account]["oldest_reversal_ms"]
            a.accounts[account]["oldest_reversal_ms"] = min(oldest, row["occurred_at_ms"])
        elif which == CLOSE_ALL or (which == CLOSE_DUE and watermark >= row["occurred_at_ms"] + WAIT_MS):
            row["waiting"] = 0
            touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)
            reconsider(a, claim)
            continue
        a.pending[still] = claim
        still += 1
    return still, given_up


@kernel
def _reversal_end(a: Arrays, row: np.void, which: Int) -> int:
    """The reason to give a waiting reversal up, 0 to let it wait on."""
    late = a.accounts[row["account"]]["max_event_ms"] - row["occurred_at_ms"] > LATENESS_MS
    if not late and which != CLOSE_ALL:
        return 0
    target = find(a.claims_slots, a.claims, row["reverses"])
    return _BAD_REVERSAL if target >= 0 and a.claims[target]["type"] == CLAIM_REVERSAL else _ORPHAN


@kernel
def _give_up(a: Arrays, claim: Int) -> None:
    row = a.claims[claim]
    row["type"] = CLAIM_NONE
    row["waiting"] = 0
    forget_id(a, row["dedup"])
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)
