"""Reversals: amounts taken back from conversions, in whatever order the two come.

Rules of this file: a conversion's reversals are summed and the sum is taken once; a reversal whose conversion is not
known waits, with its raw line, until the conversion comes or the wait is given up.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Arrays, touch
from engine.credit import credit
from engine.hashing import SALT_REVERSES, mix
from engine.index import find, find_next, first_slot
from engine.kernel import Int, kernel
from engine.layout import CLAIM_CONVERSION, CLAIM_NONE, CLAIM_REVERSAL, T_CLAIMS, T_TEXTS
from engine.texts import Bytes, put_raw


@kernel
def apply_reversal(a: Arrays, claim: Int) -> bool:
    """Take a reversal's amount from the conversion it names, if that is known."""
    row = a.claims[claim]
    target = find(a.claims_slots, a.claims, row["reverses"])
    if target < 0 or a.claims[target]["type"] != CLAIM_CONVERSION:
        return False
    a.claims[target]["reversed_micros"] += row["value_micros"]
    a.claims[target]["reversals"] += 1
    row["applied"] = 1
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, claim)
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, target)
    credit(a, target)
    return True


@kernel
def apply_waiting_reversals(a: Arrays, claim: Int) -> None:
    """Apply all reversals that name this conversion, which has just come (or come anew)."""
    h = mix(a.claims[claim]["hash"], SALT_REVERSES)
    at = first_slot(a.watches_slots, h)
    link, at = find_next(a.watches_slots, a.watches, h, at)
    while link >= 0:
        reversal = np.int64(a.watches[link]["claim"])
        row = a.claims[reversal]
        if (
            row["type"] == CLAIM_REVERSAL
            and row["reverses"] == a.claims[claim]["hash"]
            and not _counted(a, h, link, reversal)
        ):
            a.claims[claim]["reversed_micros"] += row["value_micros"]
            a.claims[claim]["reversals"] += 1
            row["applied"] = 1
            row["waiting"] = 0
            touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, reversal)
        link, at = find_next(a.watches_slots, a.watches, h, at)


@kernel
def _counted(a: Arrays, h: np.uint64, until: Int, reversal: Int) -> bool:
    """Whether an earlier watch of the same hash led to the same reversal already (its event was replaced)."""
    at = first_slot(a.watches_slots, h)
    link, at = find_next(a.watches_slots, a.watches, h, at)
    while link >= 0 and link != until:
        if a.watches[link]["claim"] == reversal:
            return True
        link, at = find_next(a.watches_slots, a.watches, h, at)
    return False


@kernel
def wait_as_reversal(a: Arrays, claim: Int, event: np.void, data: Bytes, offset: Int) -> None:
    """Let a reversal wait for its conversion; its line is kept raw, for the dead letters should none come."""
    row = a.claims[claim]
    row["waiting"] = 1
    row["offset"] = offset
    row["line"] = event["line"]
    row["raw"] = a.used[T_TEXTS]
    a.used[T_TEXTS] = put_raw(a.texts, a.used[T_TEXTS], data, np.int64(event["line_at"]), np.int64(event["line_size"]))
    a.pending[a.n_pending[0]] = claim
    a.n_pending[0] += 1
    account = a.accounts[row["account"]]
    account["oldest_reversal_ms"] = min(account["oldest_reversal_ms"], row["occurred_at_ms"])


@kernel
def withdraw_reversal(a: Arrays, claim: Int) -> None:
    """Give back what a reversal took, before another event of its id speaks for it."""
    row = a.claims[claim]
    row["type"] = CLAIM_NONE
    if row["applied"] == 0:
        return
    target = find(a.claims_slots, a.claims, row["reverses"])
    a.claims[target]["reversed_micros"] -= row["value_micros"]
    a.claims[target]["reversals"] -= 1
    touch(a.claims_touched, a.claims_stamps, a.saved, a.n_touched, T_CLAIMS, target)
    credit(a, target)
