"""The command: what one decision asks of an ad platform, complete and immutable.

Rules of this file: a command is made once, at the decision, with its final value; ids follow from the decision's
number alone, so a decision computed again after a roll-back carries the id it had; times are of the engine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, Self

from engine.config import Autonomy
from engine.proposal import Action, Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the guardrails knew at the decision and the executor cannot see for itself; None is "not known".

    The fields are those of `engine.proposal.Situation` and `engine.proposal.Totals`.
    """

    spend_seen_ms: int | None = None
    conversion_seen_ms: int | None = None
    in_zone: bool | None = None
    holdout: bool | None = None
    campaign_micros: int | None = None
    account_micros: int | None = None
    pool_micros: int | None = None
    pool_cap_micros: int | None = None

    def totals(self) -> Totals:
        """The sums of budgets, as the guardrails take them."""
        return Totals(
            campaign_micros=self.campaign_micros,
            account_micros=self.account_micros,
            pool_micros=self.pool_micros,
            pool_cap_micros=self.pool_cap_micros,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One change of one budget entity.

    Attributes
    ----------
    command_id, decision_id : str, see the functions below.
    tenant, account, campaign_id, budget_entity, platform : str; ``campaign_id`` None where it is not known, which
        holds the command.
    action : what to do.
    value_micros : int or None, the absolute daily budget to set; None for pause and resume.
    expected_micros : int or None, the budget the decision was made for.
    created_at_ms, not_before_ms, expires_at_ms : int; not_before - created is the jitter, or what is left of the window
        of the change before.
    reason : str, the decision's main reason code.
    autonomy : what the owner granted at the decision.
    decision_number : int, counted per account from 1.
    evidence : what was known.
    """

    command_id: str
    decision_id: str
    tenant: str
    account: str
    campaign_id: str | None
    budget_entity: str
    platform: str
    action: Action
    value_micros: int | None
    expected_micros: int | None
    created_at_ms: int
    not_before_ms: int
    expires_at_ms: int
    reason: str
    autonomy: Autonomy
    decision_number: int
    evidence: Evidence

    def to_row(self) -> dict[str, Any]:
        """The flat row that ``headgate commands`` prints, with the executor's columns still empty, and the evidence."""
        row: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "evidence"}
        row["action"] = self.action.value
        row |= {"state": "proposed", "sent_at_ms": None, "confirmed_at_ms": None, "result": None}
        row |= {"observed_micros": None}
        row["evidence"] = {f.name: getattr(self.evidence, f.name) for f in fields(self.evidence)}
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read `to_row` back; unknown columns are ignored, evidence that is absent is not known.

        Raises
        ------
        KeyError, ValueError if a column is missing or the action is none of ours.
        """
        values = {f.name: row[f.name] for f in fields(cls) if f.name not in {"evidence", "action"}}
        known = row.get("evidence") or {}
        evidence = Evidence(**{f.name: known.get(f.name) for f in fields(Evidence)})
        return cls(**values, action=Action(row["action"]), evidence=evidence)


def decision_id(tenant: str, account: str, seed: int, number: int) -> str:
    """The id of an account's decision: "d-" and 32 hex digits.

    Parameters
    ----------
    tenant, account : str.
    seed : int, the policy's seed.
    number : int, the decision's number in its account.
    """
    return "d-" + _digest(b"decision", tenant, account, seed, number)


def command_id(tenant: str, account: str, seed: int, number: int) -> str:
    """The id of the command that a decision makes: "c-" and 32 hex digits; parameters as for `decision_id`."""
    return "c-" + _digest(b"command", tenant, account, seed, number)


def _digest(person: bytes, tenant: str, account: str, seed: int, number: int) -> str:
    # Ids never hold a slash, so the text is unambiguous.
    text = f"{tenant}/{account}/{seed}/{number}"
    return blake2b(text.encode(), digest_size=16, person=person).hexdigest()
