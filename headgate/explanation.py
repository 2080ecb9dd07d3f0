"""``headgate explain``: one decision in words, with the numbers that led to it and what would flip it."""

from __future__ import annotations

from typing import Any

from headgate.asked import Asked
from headgate.complaints import nearest
from headgate.listing import decisions
from headgate.refusal import Refused

Row = dict[str, Any]


def explain(asked: Asked, subject: str) -> Row:
    """The record of a decision, or of the newest decision of an ad.

    Parameters
    ----------
    subject : a decision's id, an ad's id, or ``tenant/account/ad`` where one ad id is used by several accounts.

    Raises
    ------
    Refused if there is no such decision or ad, or the ad id does not say which.
    """
    newest: dict[str, Row] = {}
    for row in decisions(asked):
        if row["decision_id"] == subject:
            return row
        newest[f"{row['tenant']}/{row['account']}/{row['ad_id']}"] = row
    found = {name: row for name, row in newest.items() if subject in (name, row["ad_id"])}
    if len(found) > 1:
        message = f'"{subject}" is an ad of several accounts; say which: {", ".join(sorted(found))}'
        raise Refused(message)
    if not found:
        message = f'there is no decision about "{subject}"{nearest(subject, {row["ad_id"] for row in newest.values()})}'
        raise Refused(message)
    return next(iter(found.values()))


def in_words(row: Row) -> list[str]:
    """The record as lines for people."""
    evidence, flip, entity = row["evidence"], row["would_flip"], row["budget_entity"] or "an entity not known yet"
    return [
        f"{row['tenant']}/{row['account']}/{row['ad_id']}: {row['verdict']} ({row['reason']})",
        f"  because    {row['because']}",
        f"  evidence   spend {_money(evidence['spend_micros'])}, revenue {_money(evidence['revenue_micros'])}, "
        f"pipeline {_money(evidence['pipeline_micros'])}, {evidence['clicks']} clicks, "
        f"{evidence['conversions']} conversions, {_days(evidence['live_ms'])} live",
        f"  return     {_roas(evidence['roas_ppm'])} in mode {row['mode']}{_belief(row['posterior'])}",
        f"  would flip scale at {_money(flip['value_to_scale_micros'])} more value, "
        f"kill at {_money(flip['spend_to_kill_micros'])} more spend without any",
        f"  budget     {_money(row['budget_micros'])} -> {_money(row['target_micros'])} on {entity}"
        + (f", held: {row['held']}" if row["held"] else ""),
        f"  decision   {row['decision_id']} by policy {row['policy']} ({row['policy_hash'][:12]})",
    ]


def _money(micros: int | None) -> str:
    return "-" if micros is None else f"{micros / 1_000_000:,.2f}"


def _days(ms: int | None) -> str:
    return "unknown days" if ms is None else f"{ms / 86_400_000:.1f} days"


def _roas(ppm: int | None) -> str:
    return "unknown" if ppm is None else f"{ppm / 1_000_000:.2f}"


def _belief(posterior: dict[str, float] | None) -> str:
    if posterior is None:
        return ""
    return (
        f"; believed {posterior['mean']:.2f} ({posterior['p05']:.2f} .. {posterior['p95']:.2f}), "
        f"below break-even with probability {posterior['p_below_break_even']:.2f}"
    )
