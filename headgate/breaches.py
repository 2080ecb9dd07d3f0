"""Breaches: a second opinion on every write, by the plain definition of the limits.

Rules of this file: it shares no code with the guardrails and knows only what a platform was seen to do; a breach is
counted, never prevented. It must stay at 0.
Theory of operation: every own write is looked at when it lands. Velocity: from any moment of the last closed window on,
neither the distance from the budget of that moment (net) nor the sum of all movement since (gross) may exceed the
allowed share of it. Caps: no write leaves the least and the greatest budget, and no raise leaves a sum above its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config import AccountConfig, EngineConfig

PPM = 1_000_000


@dataclass(slots=True)
class _Entity:
    """What is known of a budget entity."""

    config: AccountConfig
    scope: tuple[str, str]
    campaign: str
    pool: str
    budget_micros: int
    shown_ms: int
    moves: list[tuple[int, int, int]] = field(default_factory=list)  # (at_ms, before, after), a person's too


class Breaches:
    """Counts of broken limits.

    Parameters
    ----------
    config : what the owners allow.

    Attributes
    ----------
    velocity, caps : int, writes that broke a velocity window, and writes that left a cap.
    examples : the first few of either, one line each.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._entities: dict[str, _Entity] = {}
        self.velocity = 0
        self.caps = 0
        self.examples: list[str] = []

    def saw(self, event: Mapping[str, Any]) -> None:
        """Take a catalog event: what the platform shows; other events and unreadable ones say nothing."""
        name, budget = event.get("budget_entity"), event.get("daily_budget_micros")
        if event.get("kind") != "catalog" or not isinstance(name, str) or not isinstance(budget, int):
            return
        scope = (str(event.get("tenant")), str(event.get("account")))
        key = "/".join((*scope, name))
        at_ms = int(event.get("occurred_at_ms", 0))
        entity = self._entities.get(key)
        if entity is None:
            pool, campaign = str(event.get("pool") or ""), str(event.get("campaign_id"))
            self._entities[key] = _Entity(self._config.of(*scope), scope, campaign, pool, budget, at_ms)
        elif at_ms > entity.shown_ms and budget != entity.budget_micros:
            entity.moves.append((at_ms, entity.budget_micros, budget))
            entity.budget_micros, entity.shown_ms = budget, at_ms

    def wrote(self, tenant: str, account: str, name: str, at_ms: int, after_micros: int) -> None:
        """Take a write that landed: the entity's budget is ``after_micros`` from ``at_ms`` on."""
        entity = self._entities.get(f"{tenant}/{account}/{name}")
        if entity is None:
            self._note("caps", f"{name}: written before any catalog event showed it")
            return
        before, entity.budget_micros, entity.shown_ms = entity.budget_micros, after_micros, at_ms
        entity.moves.append((at_ms, before, after_micros))
        window_ms = entity.config.guardrails.velocity_window_ms
        entity.moves = [move for move in entity.moves if at_ms - move[0] <= window_ms]
        self._check_velocity(name, entity)
        self._check_caps(name, entity, raised=after_micros > before)

    def _check_velocity(self, name: str, entity: _Entity) -> None:
        allowed_ppm = entity.config.guardrails.velocity_ppm
        for first, (at_ms, start, _) in enumerate(entity.moves):
            since = entity.moves[first:]
            gross = sum(abs(after - before) for _, before, after in since)
            net = abs(since[-1][2] - start)
            if max(gross, net) * PPM > allowed_ppm * start:
                self._note("velocity", f"{name}: from {start} at {at_ms} by {net} net, {gross} gross")
                return

    def _check_caps(self, name: str, entity: _Entity, *, raised: bool) -> None:
        limits, budget = entity.config.guardrails, entity.budget_micros
        if not limits.budget_min_micros <= budget <= limits.budget_max_micros:
            self._note("caps", f"{name}: {budget} is outside the least and the greatest budget")
            return
        if not raised:
            return
        mine = [each for each in self._entities.values() if each.scope == entity.scope]
        sums = (
            ("account", limits.cap_account_micros, mine),
            ("campaign", limits.cap_campaign_micros, [e for e in mine if e.campaign == entity.campaign]),
            ("pool", entity.config.pool_daily_budget_micros, [e for e in mine if e.pool == entity.pool]),
        )
        for word, cap, members in sums:
            total = sum(each.budget_micros for each in members)
            if cap is not None and total > cap:
                self._note("caps", f"{name}: raised to {budget}, the {word} to {total} above {cap}")
                return

    def _note(self, kind: str, example: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {example}")
