"""The words of a decision: verdicts and reasons, with the codes under which they are stored."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Verdict(IntEnum):
    """What should become of an ad's budget."""

    HOLD = 1
    SCALE = 2
    REDUCE = 3
    PAUSE = 4
    KILL_PROPOSED = 5

    @property
    def word(self) -> str:
        """The word people and scripts read."""
        return self.name.lower().replace("_", "-")


class Reason(IntEnum):
    """Why; one reason a verdict."""

    IGNORANCE_ZONE = 1
    PAUSED = 2
    HOLDOUT = 3
    TOO_LITTLE_SPENT = 4
    BETWEEN_THRESHOLDS = 5
    ROAS_BELOW_KILL = 6
    ROAS_ABOVE_SCALE = 7
    NO_SPEND_KNOWN = 8
    UNKNOWN_VALUE = 9
    EVIDENCE_TOO_THIN = 10
    PROVEN_BAD = 11
    LIKELY_GOOD = 12
    LIKELY_BAD = 13
    AROUND_BREAK_EVEN = 14

    @property
    def word(self) -> str:
        """The word people and scripts read."""
        return self.name.lower()


SENTENCES: Final = {
    Reason.IGNORANCE_ZONE: "too young or too little spent to be judged",
    Reason.PAUSED: "paused on the platform",
    Reason.HOLDOUT: "held out of all changes, to measure against",
    Reason.TOO_LITTLE_SPENT: "return is low, but too little is spent to call it",
    Reason.BETWEEN_THRESHOLDS: "return lies between the kill and the scale threshold",
    Reason.ROAS_BELOW_KILL: "return below the kill threshold with enough spent",
    Reason.ROAS_ABOVE_SCALE: "return above the scale threshold",
    Reason.NO_SPEND_KNOWN: "no spend reported yet; unknown is not zero",
    Reason.UNKNOWN_VALUE: "no conversion in the account yet, so no value to judge by",
    Reason.EVIDENCE_TOO_THIN: "fewer than three conversions seen, or to be expected by now at break-even",
    Reason.PROVEN_BAD: "break-even is all but excluded by the evidence",
    Reason.LIKELY_GOOD: "very likely above break-even",
    Reason.LIKELY_BAD: "probably below break-even, not proven",
    Reason.AROUND_BREAK_EVEN: "could be on either side of break-even",
}


_VERDICT_WORDS: Final = (None, *(verdict.word for verdict in Verdict))
_REASON_WORDS: Final = (None, *(reason.word for reason in Reason))


def verdict_word(code: int) -> str | None:
    """The word of a stored verdict, None before the first."""
    return _VERDICT_WORDS[code]


def reason_word(code: int) -> str | None:
    """The word of a stored reason, None before the first."""
    return _REASON_WORDS[code]
