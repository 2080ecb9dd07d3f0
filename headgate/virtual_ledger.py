"""The executor's ledger in memory, for virtual time: commands, and what the platform is known to hold.

Rules of this file: it keeps and counts, it decides nothing. A world offers no read: what it answered, and what its
catalog has shown since, is what can be read back; what was not shown a day after a send has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.command import Command
from engine.config import EngineConfig, GuardrailConfig, Level
from engine.events import MS_PER_HOUR
from engine.proposal import Action
from engine.record import Reading, Record, State, View
from engine.velocity import Change

SHOWN_BY_MS: Final = 25 * MS_PER_HOUR
"""A world shows its catalog once a day at least."""
AT_LARGE: Final = frozenset({State.RESERVED, State.SENT, State.UNKNOWN})
"""The states in which a command may have an effect that is not known yet: its entity is in flight."""

Place = tuple[str, str, str]


@dataclass(slots=True)
class Entity:
    """What the platform is known to hold, and what was done to it."""

    budget_micros: int | None = None
    paused: bool | None = None
    shown_ms: int = -1
    changes: list[Change] = field(default_factory=list)
    writes: list[tuple[int, str | None]] = field(default_factory=list)  # (sent_at_ms, campaign)
    at_large: set[str] = field(default_factory=set)  # ids of commands whose fate is open
    newest: str = ""  # id of the command that a newer one would supersede


class VirtualLedger:
    """Records of commands and the entities they concern.

    Parameters
    ----------
    config : what the owners grant.

    Attributes
    ----------
    records : dict of command_id to `Record`, in the order in which they came.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._entities: dict[Place, Entity] = {}
        self.records: dict[str, Record] = {}

    def keep(self, record: Record, **changes: Any) -> Record:
        """Write a record with changes."""
        record = replace(record, **changes)
        command_id = record.command.command_id
        self.records[command_id] = record
        at_large = self.entity(record.command).at_large
        (at_large.add if record.state in AT_LARGE else at_large.discard)(command_id)
        return record

    def entity(self, command: Command) -> Entity:
        """The entity that a command concerns."""
        place = (command.tenant, command.account, command.budget_entity)
        return self._entities.setdefault(place, Entity())

    def saw(self, event: Mapping[str, Any]) -> None:
        """Take a catalog event that the wire format accepts: what the platform shows of an entity."""
        place = (event["tenant"], event["account"], event["budget_entity"])
        entity = self._entities.setdefault(place, Entity())
        at_ms = event["occurred_at_ms"]
        if at_ms < entity.shown_ms:
            return
        entity.shown_ms = at_ms
        entity.paused = str(event["status"]).lower() == "paused"
        budget = event.get("daily_budget_micros")
        if budget is not None and budget != entity.budget_micros:
            if entity.budget_micros is not None:
                entity.changes.append(Change(at_ms, entity.budget_micros, budget, own=False))
            entity.budget_micros = budget

    def sent(self, command: Command, now_ms: int) -> None:
        """Count a write."""
        self.entity(command).writes.append((now_ms, command.campaign_id))

    def applied(self, command: Command, observed_micros: int, now_ms: int) -> int:
        """Take a confirmed command; the entity's budget afterwards."""
        entity = self.entity(command)
        before = observed_micros if entity.budget_micros is None else entity.budget_micros
        after = observed_micros if command.action is Action.SET_BUDGET else before
        entity.changes.append(Change(now_ms, before, after))
        entity.budget_micros, entity.shown_ms = after, now_ms
        if command.action is not Action.SET_BUDGET:
            entity.paused = command.action is Action.PAUSE
        return after

    def reading(self, record: Record, now_ms: int) -> Reading | None:
        """What can be read back: news since the send, or what was there before where a day brought none."""
        entity, sent_ms = self.entity(record.command), record.sent_at_ms or 0
        if entity.shown_ms < sent_ms and now_ms < sent_ms + SHOWN_BY_MS:
            return None
        return Reading(entity.budget_micros, entity.paused)

    def limits(self, command: Command) -> GuardrailConfig:
        """The limits that hold for a command."""
        return self._config.of(command.tenant, command.account).guardrails

    def granted(self, command: Command) -> Level:
        """The autonomy that the owner grants."""
        return Level[self._config.of(command.tenant, command.account).autonomy.upper()]

    def view(self, command: Command, now_ms: int) -> View:
        """What is known around a command; the version is not needed where one executor is alone."""
        limits, entity = self.limits(command), self.entity(command)
        scope = (command.tenant, command.account)
        writes = [write for place, each in self._entities.items() if place[:2] == scope for write in each.writes]
        own_campaign = [write for write in writes if write[1] == command.campaign_id]
        others = (self.records[each] for each in sorted(entity.at_large - {command.command_id}))
        return View(
            version=0,
            stopped=False,
            micros=entity.budget_micros,
            paused=entity.paused,
            in_flight=tuple(record.command.action for record in others),
            changes=tuple(entity.changes),
            entity_writes=_since(entity.writes, now_ms - limits.entity_window_ms),
            campaign_writes=_since(own_campaign, now_ms - limits.campaign_window_ms) if command.campaign_id else None,
            account_writes=_since(writes, now_ms - limits.account_window_ms),
        )

    def forget(self, before_ms: int) -> None:
        """Drop the changes and writes that no window reaches back to."""
        for entity in self._entities.values():
            entity.changes = [change for change in entity.changes if change.at_ms >= before_ms]
            entity.writes = [write for write in entity.writes if write[0] >= before_ms]


def _since(writes: list[tuple[int, str | None]], at_ms: int) -> int:
    return sum(1 for sent_ms, _ in writes if sent_ms >= at_ms)
