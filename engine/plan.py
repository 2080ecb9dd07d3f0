"""From an assessment to a decision and, where something should move, to a command that has passed the guardrails.

Rules of this file: who wishes is the policy, who permits is `engine.guardrails.judge`; the decision records both. Only
the owner's autonomy is left to the executor, so that a command held for it can be seen. A decision is numbered in its
account; its draws follow from that number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from engine.catalog import ACTIONS
from engine.command import Command, Evidence, command_id, decision_id
from engine.config import AccountConfig, GuardrailConfig, Level
from engine.decision import DECISION, HOLD_NO_ENTITY, HOLD_SHARED, HOLDS
from engine.draws import draws_of, fuzz_of, jitter_of
from engine.evaluate import STATUS_PAUSED, flips
from engine.guardrails import judge, opens_at
from engine.proposal import Action, Held, Hold, Permitted, Proposal, Situation, Totals
from engine.shard import Shard
from engine.thresholds import share_of
from engine.velocity import Change
from engine.verdict import Reason, Verdict
from engine.zone import in_zone

PATIENCE: Final = 4
"""A budget command waits up to this part of its life (the fourth) for the window of the change before it to close."""
_ACTION_OF = {
    Verdict.SCALE: Action.SET_BUDGET,
    Verdict.REDUCE: Action.SET_BUDGET,
    Verdict.PAUSE: Action.PAUSE,
    Verdict.KILL_PROPOSED: Action.PAUSE,
}


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick: engine time, what `future` is judged against, whether the feed has ended, where it stood in the log."""

    now_ms: int
    clock_ms: int
    end: bool
    stream: str
    offset: int


def decide(shard: Shard, found: Any, tick: Tick) -> tuple[Any, list[Command]]:
    """Make the decisions that assessments lead to, and give out the commands that are permitted.

    Parameters
    ----------
    found : ASSESSMENT[n], in the order of the ads. tick : what asked.

    Returns
    -------
    (DECISION[n], commands).
    """
    rows = np.zeros(found.size, DECISION)
    _describe(shard, found, tick, rows)
    ads = shard.tables["ads"]
    places = found["ad"]
    ads.rows["decided_ms"][places] = tick.now_ms
    ads.rows["decision"][places] = rows["number"]
    ads.rows["verdict"][places] = found["verdict"]
    ads.rows["reason"][places] = found["reason"]
    ads.rows["target_micros"][places] = rows["budget_micros"]
    shard.touch_all("ads", places)
    moving = np.flatnonzero(found["verdict"] != int(Verdict.HOLD))
    if not moving.size:
        return rows, []
    siblings = _siblings(shard)
    commands = [_propose(shard, found[i], tick, siblings, rows[i]) for i in moving]
    return rows, [command for command in commands if command is not None]


def _siblings(shard: Shard) -> dict[int, list[int]]:
    """The places of the ads of each budget entity."""
    found: dict[int, list[int]] = {}
    for ad, entity in enumerate(shard.tables["ads"].live()["entity"].tolist()):
        if entity >= 0:
            found.setdefault(entity, []).append(ad)
    return found


def _numbers(shard: Shard, accounts: Any) -> Any:
    """The next decision numbers of these accounts, in this order."""
    table = shard.tables["accounts"]
    shard.touch_all("accounts", accounts)
    order = np.argsort(accounts, kind="stable")
    sorted_ = accounts[order]
    first = np.searchsorted(sorted_, sorted_)
    numbers = np.zeros(accounts.size, np.int64)
    numbers[order] = table.rows["decisions"][sorted_] + 1 + np.arange(accounts.size) - first
    np.maximum.at(table.rows["decisions"], accounts, numbers)
    return numbers


def _describe(shard: Shard, found: Any, tick: Tick, rows: Any) -> None:
    """Fill the records with what is known, all of them at once."""
    ads = shard.tables["ads"].rows[found["ad"]]
    rows["number"] = _numbers(shard, found["account"])
    rows["now_ms"], rows["offset"] = tick.now_ms, tick.offset
    for name in ("spend_micros", "revenue_micros", "pipeline_micros", "clicks", "conversions", "impressions"):
        rows[name] = ads[name]
    for name in ("live_ms", "unit_micros", "shape", "rate", "p_below", "verdict", "reason", "mode"):
        rows[name] = found[name]
    rows["was_verdict"], rows["was_reason"] = ads["verdict"], ads["reason"]
    rules = shard.rules[found["account"]]
    rows["policy"] = rules["policy"]
    flips(rules, found["value_micros"], ads["spend_micros"], rows["to_scale_micros"], rows["to_kill_micros"])
    rows["budget_micros"], rows["wish_micros"] = -1, -1
    known = ads["entity"] >= 0
    rows["budget_micros"][known] = shard.tables["entities"].rows["budget_micros"][ads["entity"][known]]
    rows["target_micros"] = rows["budget_micros"]


def _propose(shard: Shard, found: Any, tick: Tick, siblings: dict[int, list[int]], row: Any) -> Command | None:
    action = _ACTION_OF[Verdict(int(found["verdict"]))]
    ad = shard.tables["ads"].rows[found["ad"]]
    config = shard.account_configs[found["account"]]
    entity = int(ad["entity"])
    if entity < 0:
        row["hold"] = HOLD_NO_ENTITY
        return None
    if not _agree(shard, siblings[entity], int(found["verdict"])):
        row["hold"] = HOLD_SHARED
        return None
    wish = _wish(config, int(row["budget_micros"]), Verdict(int(found["verdict"])))
    row["wish_micros"] = wish
    name = shard.text(int(shard.tables["entities"].rows[entity]["name"]))[0]
    scope = int(shard.tables["accounts"].rows[found["account"]]["hash"])
    draws = draws_of(shard.config.policy_seed, scope, int(row["number"]))
    limits = config.guardrails
    proposal = Proposal(
        budget_entity=name,
        action=action,
        value_micros=max(wish, 0),
        fuzz_ppm=fuzz_of(draws, limits.fuzz_ppm) if action is Action.SET_BUDGET else 0,
        expected_micros=_known(row["budget_micros"]),
    )
    situation = _situation(shard, found, entity, siblings, tick.now_ms, config)
    send_ms = tick.now_ms + jitter_of(draws, limits.jitter_min_ms, limits.jitter_max_ms)
    open_ms = opens_at(situation.changes or (), limits)
    if action is Action.SET_BUDGET and tick.now_ms < open_ms <= tick.now_ms + limits.expiry_ms // PATIENCE:
        send_ms = max(send_ms, open_ms)
        situation = replace(situation, now_ms=send_ms)
    verdict = judge(proposal, situation, limits)
    if isinstance(verdict, Held):
        row["hold"] = 1 + HOLDS.index(Hold(verdict.reason))
        return None
    return _command(shard, found, tick, row, proposal, verdict, send_ms)


def _agree(shard: Shard, ads: list[int], verdict: int) -> bool:
    """Whether all live ads behind a budget entity ask for the same."""
    rows = shard.tables["ads"].rows[ads]
    return bool(np.all((rows["verdict"] == verdict) | (rows["status"] == STATUS_PAUSED)))


def _wish(config: AccountConfig, budget: int, verdict: Verdict) -> int:
    if budget < 0 or verdict not in (Verdict.SCALE, Verdict.REDUCE):
        return -1 if budget < 0 else 0
    step = int(share_of(budget, config.thresholds.step_ppm))
    return budget + step if verdict is Verdict.SCALE else budget - step


def _situation(
    shard: Shard, found: Any, entity: int, siblings: dict[int, list[int]], now_ms: int, config: AccountConfig
) -> Situation:
    """What is known of an entity at the plan; the executor asks again at the send."""
    node = shard.tables["entities"].rows[entity]
    account = shard.tables["accounts"].rows[found["account"]]
    limits = config.guardrails
    changes = shard.tables["changes"].live()
    flight = _in_flight(node, now_ms, limits)
    own = changes[changes["own"] == 1]
    zone = bool(found["zone"]) or any(_young(shard, ad, now_ms) for ad in siblings[entity])
    return Situation(
        now_ms=now_ms,
        autonomy=Level.ACT,
        stopped=bool(account["stopped"]),
        current_micros=_known(node["budget_micros"]),
        changes=tuple(
            Change(int(c["at_ms"]), int(c["before_micros"]), int(c["after_micros"]), bool(c["own"]))
            for c in changes[changes["entity"] == entity]
        ),
        entity_writes=_writes(own[own["entity"] == entity], now_ms, limits.entity_window_ms) + len(flight),
        campaign_writes=_writes(own[own["campaign"] == node["campaign"]], now_ms, limits.campaign_window_ms)
        + len(flight),
        account_writes=_writes(own[own["account"] == found["account"]], now_ms, limits.account_window_ms) + len(flight),
        in_flight=flight,
        spend_seen_ms=_known(account["max_spend_ms"]),
        conversion_seen_ms=_known(account["max_value_ms"]),
        in_zone=zone,
        holdout=bool(np.any(shard.tables["ads"].rows[siblings[entity]]["holdout"] == 1)),
        totals=_totals(shard, entity, int(found["account"])),
    )


def _young(shard: Shard, ad: int, now_ms: int) -> bool:
    row = shard.tables["ads"].rows[ad]
    began = row["launched_at_ms"] if row["launched_at_ms"] >= 0 else row["first_seen_ms"]
    return bool(in_zone(shard.rules[row["account"]], now_ms - began, row["spend_micros"]))


def _in_flight(node: Any, now_ms: int, limits: GuardrailConfig) -> tuple[Action, ...]:
    """The command under way for an entity; one without an outcome is given up some time after its expiry."""
    given = int(node["planned_ms"])
    if given < 0 or now_ms - given > 2 * limits.expiry_ms + limits.jitter_max_ms:
        return ()
    return (ACTIONS[int(node["planned_action"]) - 1],)


def _writes(changes: Any, now_ms: int, window_ms: int) -> int:
    return int(np.count_nonzero(now_ms - changes["at_ms"] <= window_ms))


def _totals(shard: Shard, entity: int, account: int) -> Totals:
    nodes = shard.tables["entities"].live()
    mine = nodes[nodes["account"] == account]
    campaign = mine[mine["campaign"] == nodes[entity]["campaign"]]
    total = _sum(mine)
    cap = shard.account_configs[account].pool_daily_budget_micros
    return Totals(campaign_micros=_sum(campaign), account_micros=total, pool_micros=total, pool_cap_micros=cap)


def _sum(nodes: Any) -> int | None:
    """Sum of budgets, each with what a command under way asks for where that is more; None where one is not known."""
    if np.any(nodes["budget_micros"] < 0):
        return None
    planned = np.where(nodes["planned_ms"] >= 0, nodes["planned_micros"], -1)
    return int(np.maximum(nodes["budget_micros"], planned).sum())


def _command(
    shard: Shard, found: Any, tick: Tick, row: Any, proposal: Proposal, verdict: Permitted, send_ms: int
) -> Command:
    ads, entities = shard.tables["ads"], shard.tables["entities"]
    ad = ads.rows[found["ad"]]
    entity = int(ad["entity"])
    node = entities.rows[entity]
    config = shard.account_configs[found["account"]]
    tenant, account = shard.account_name(int(found["account"]))
    account_row = shard.tables["accounts"].rows[found["account"]]
    number, seed = int(row["number"]), shard.config.policy_seed
    set_budget = proposal.action is Action.SET_BUDGET
    value = verdict.value_micros if set_budget else None
    totals = _totals(shard, entity, int(found["account"]))  # before this command counts itself
    row["target_micros"] = value if value is not None else 0
    ad["target_micros"], ad["acted_ms"] = row["target_micros"], tick.now_ms
    node["planned_ms"], node["planned_action"] = tick.now_ms, 1 + ACTIONS.index(proposal.action)
    node["planned_micros"] = value if value is not None else 0
    shard.touch("entities", entity)
    return Command(
        command_id=command_id(tenant, account, seed, number),
        decision_id=decision_id(tenant, account, seed, number),
        tenant=tenant,
        account=account,
        campaign_id=shard.text(int(node["name"]), 2)[1] or None,
        budget_entity=proposal.budget_entity,
        platform=config.platform,
        action=proposal.action,
        value_micros=value,
        expected_micros=proposal.expected_micros,
        created_at_ms=tick.now_ms,
        not_before_ms=send_ms,
        expires_at_ms=tick.now_ms + config.guardrails.expiry_ms,
        reason=Reason(int(found["reason"])).word,
        autonomy=config.autonomy,
        decision_number=number,
        evidence=Evidence(
            spend_seen_ms=_known(account_row["max_spend_ms"]),
            conversion_seen_ms=_known(account_row["max_value_ms"]),
            in_zone=False,
            holdout=False,
            campaign_micros=totals.campaign_micros,
            account_micros=totals.account_micros,
            pool_micros=totals.pool_micros,
            pool_cap_micros=totals.pool_cap_micros,
        ),
    )


def _known(number: Any) -> int | None:
    """A stored number, None where it says "none"."""
    return int(number) if number >= 0 else None
