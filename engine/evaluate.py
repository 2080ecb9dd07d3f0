"""Look at every ad of a shard and note whose verdict or reason changed, or whose standing wish is due again.

Rules of this file: an evaluation is a pure function of the tables and the tick's time; it writes nothing but its
result. Which policy judges is a column of the account's rule.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import Arrays
from engine.events import MS_PER_DAY
from engine.kernel import Int, kernel
from engine.layout import T_ACCOUNTS, T_ADS
from engine.posterior import PRIOR_UNITS, gamma_below, return_posterior
from engine.texts import skip_text
from engine.thresholds import PPM, judge_by_thresholds, share_of
from engine.verdict import Reason, Verdict
from engine.zone import in_zone

MODE_PIPELINE: Final = 1
POLICY_THRESHOLDS: Final = 0
STATUS_PAUSED: Final = 2
PROVEN: Final = 0.99
LIKELY: Final = 0.9
THIN_UNITS: Final = 3.0
PATIENCE_MS: Final = 7 * MS_PER_DAY
"""Before this age an ad's conversions may still be on their way, and nobody is proposed for a kill."""
LINE_FEED: Final = 10
_HOLD: Final = int(Verdict.HOLD)
_SCALE: Final = int(Verdict.SCALE)
_REDUCE: Final = int(Verdict.REDUCE)
_KILL: Final = int(Verdict.KILL_PROPOSED)
_ZONE: Final = int(Reason.IGNORANCE_ZONE)
_PAUSED: Final = int(Reason.PAUSED)
_HOLDOUT: Final = int(Reason.HOLDOUT)
_NO_SPEND: Final = int(Reason.NO_SPEND_KNOWN)
_NO_VALUE: Final = int(Reason.UNKNOWN_VALUE)
_THIN: Final = int(Reason.EVIDENCE_TOO_THIN)
_PROVEN: Final = int(Reason.PROVEN_BAD)
_GOOD: Final = int(Reason.LIKELY_GOOD)
_BAD: Final = int(Reason.LIKELY_BAD)
_EVEN: Final = int(Reason.AROUND_BREAK_EVEN)

ASSESSMENT: Final = np.dtype(
    [
        ("ad", "i4"),
        ("account", "i4"),
        ("verdict", "u1"),
        ("reason", "u1"),
        ("mode", "u1"),
        ("zone", "u1"),
        ("pad", "u1", (4,)),
        ("live_ms", "i8"),
        ("value_micros", "i8"),
        ("unit_micros", "f8"),
        ("shape", "f8"),
        ("rate", "f8"),
        ("p_below", "f8"),  # posterior probability that the return is below break-even
    ]
)
"""What the evaluation of one ad came to."""


@kernel
def evaluate(a: Arrays, now_ms: Int, units: NDArray[np.float64], out: NDArray[Any]) -> int:
    """Assess all ads; write those with something to say to ``out`` and return their number.

    Parameters
    ----------
    units : float64[n_accounts, 2], zeroed; filled by `typical_units`.
    out : ASSESSMENT[>= n_ads], filled from the front, in the order of the ads.
    """
    typical_units(a, units)
    count = 0
    for ad in range(a.used[T_ADS]):
        row = a.ads[ad]
        found = out[count]
        assess(a, ad, now_ms, units, found)
        changed = found["verdict"] != row["verdict"] or found["reason"] != row["reason"]
        due = found["verdict"] != _HOLD and now_ms - row["decided_ms"] >= a.rules[row["account"]]["act_every_ms"]
        if changed or due:
            believe(a, found)
            count += 1
    return count


@kernel
def assess(a: Arrays, ad: Int, now_ms: Int, units: NDArray[np.float64], found: np.void) -> None:
    """Assess one ad into ``found`` (an ASSESSMENT row); its posterior only as far as the verdict needs it."""
    row = a.ads[ad]
    account = np.int64(row["account"])
    rule = a.rules[account]
    mode = np.int64(rule["mode"])
    if a.accounts[account]["mode"] > 0:
        mode = np.int64(a.accounts[account]["mode"]) - 1
    if row["mode"] > 0:
        mode = np.int64(row["mode"]) - 1
    began = row["launched_at_ms"] if row["launched_at_ms"] >= 0 else row["first_seen_ms"]
    live = now_ms - began if began >= 0 else np.int64(-1)
    value = row["pipeline_micros"] if mode == MODE_PIPELINE else row["revenue_micros"]
    unit = units[account, mode]
    found["ad"], found["account"], found["mode"] = ad, account, mode
    found["live_ms"] = live
    found["value_micros"] = value
    found["zone"] = in_zone(rule, live, row["spend_micros"])
    found["unit_micros"], found["shape"], found["rate"], found["p_below"] = unit, 0.0, 0.0, -1.0
    found["verdict"], found["reason"] = _judge(a, rule, row, found)


@kernel
def believe(a: Arrays, found: np.void) -> None:
    """Fill the posterior of an assessed ad; none while no typical value is known."""
    if found["unit_micros"] <= 0.0:
        return
    break_even = a.rules[found["account"]]["break_even_ppm"] / PPM
    spend = a.ads[found["ad"]]["spend_micros"]
    found["shape"], found["rate"] = return_posterior(found["value_micros"], spend, found["unit_micros"], break_even)
    found["p_below"] = gamma_below(found["shape"], break_even * found["rate"])


@kernel
def _judge(a: Arrays, rule: np.void, row: np.void, found: np.void) -> tuple[int, int]:
    if row["holdout"] == 1:
        return _HOLD, _HOLDOUT
    if row["status"] == STATUS_PAUSED:
        return _HOLD, _PAUSED
    if found["zone"] == 1:
        return _HOLD, _ZONE
    if row["spend_micros"] <= 0:
        return _HOLD, _NO_SPEND
    if rule["policy"] == POLICY_THRESHOLDS:
        return judge_by_thresholds(rule, found["value_micros"], row["spend_micros"])
    believe(a, found)
    return _judge_by_posterior(rule, row["spend_micros"], found)


@kernel
def _judge_by_posterior(rule: np.void, spend_micros: Int, found: np.void) -> tuple[int, int]:
    """Propose a kill only when break-even is all but excluded and could have shown itself; else move gently."""
    if found["unit_micros"] <= 0.0:
        return _HOLD, _NO_VALUE
    if found["p_below"] < 1.0 - LIKELY:
        return (_SCALE, _GOOD) if found["shape"] - PRIOR_UNITS >= THIN_UNITS else (_HOLD, _THIN)
    if spend_micros < THIN_UNITS * found["unit_micros"] / (rule["break_even_ppm"] / PPM):
        return _HOLD, _THIN
    if found["p_below"] > PROVEN and found["live_ms"] >= PATIENCE_MS:
        return _KILL, _PROVEN
    if found["p_below"] > LIKELY:
        return _REDUCE, _BAD
    return _HOLD, _EVEN


@kernel
def typical_units(a: Arrays, units: NDArray[np.float64]) -> None:
    """Fill the typical unit of value of each account: its mean conversion, its first paying stage (0 where unknown).

    ``units`` is float64[n_accounts, 2], zeroed; sums are exact up to 2**53 micros.
    """
    for ad in range(a.used[T_ADS]):
        units[a.ads[ad]["account"], 0] += float(a.ads[ad]["revenue_micros"])
        units[a.ads[ad]["account"], 1] += float(a.ads[ad]["conversions"])
    for account in range(a.used[T_ACCOUNTS]):
        revenue, conversions = units[account, 0], units[account, 1]
        units[account, 0] = revenue / conversions if conversions > 0.0 and revenue > 0.0 else 0.0
        units[account, 1] = 0.0
        rule = a.rules[account]
        for i in range(rule["stage_at"], rule["stage_at"] + rule["stage_count"]):
            value = float(a.stages[i]["value_micros"])
            if value > 0.0 and (units[account, 1] == 0.0 or value < units[account, 1]):
                units[account, 1] = value


@kernel
def flips(
    rules: NDArray[Any],
    values: NDArray[np.int64],
    spends: NDArray[np.int64],
    to_scale: NDArray[np.int64],
    to_kill: NDArray[np.int64],
) -> None:
    """What would flip threshold verdicts, in micros; all arrays are parallel, the last two are filled.

    ``to_scale`` is the value missing to scale; ``to_kill`` the spend that, without further value, leads to a kill.
    """
    for i in range(values.size):
        rule = rules[i]
        to_scale[i] = max(np.int64(0), share_of(spends[i], rule["scale_roas_ppm"]) + 1 - values[i])
        ratio = max(np.int64(1), rule["kill_roas_ppm"])
        kill_at = values[i] // ratio * PPM + values[i] % ratio * PPM // ratio + 1
        to_kill[i] = max(np.int64(0), max(rule["kill_spend_micros"] + 1, kill_at) - spends[i])


@kernel
def write_names(a: Arrays, found: NDArray[Any], out: NDArray[np.uint8]) -> Int:
    """Write four names a row (tenant, account, ad, budget entity or nothing), a line feed behind each.

    Returns the bytes needed; where ``out`` is too small it is filled as far as whole rows go, and must be made larger.
    """
    at: Int = 0
    for i in range(found.size):
        ad = a.ads[found[i]["ad"]]
        name = a.accounts[ad["account"]]["name"]
        at = _write_name(a.texts, name, out, at)
        at = _write_name(a.texts, skip_text(a.texts, name), out, at)
        at = _write_name(a.texts, ad["name"], out, at)
        at = _write_name(a.texts, a.entities[ad["entity"]]["name"] if ad["entity"] >= 0 else np.int64(-1), out, at)
    return at


@kernel
def _write_name(texts: NDArray[np.uint8], place: Int, out: NDArray[np.uint8], at: Int) -> Int:
    size = np.int64(texts[place]) if place >= 0 else np.int64(0)
    if at + size + 1 <= out.size:
        for i in range(size):
            out[at + i] = texts[place + 1 + i]
        out[at + size] = LINE_FEED
    return at + size + 1
