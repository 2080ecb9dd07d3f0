"""The executor's ledger: what was asked, what was sent, what became of it. It outlives the outbox it was read from.

Rules of this file: the ledger decides nothing; it records a command once, moves it from one state to the next only if
it still stands where the executor thought, and numbers the outcomes. Every method is one script or one read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from engine.command import Command
from engine.config import GuardrailConfig
from engine.events import MS_PER_DAY
from engine.proposal import Action
from engine.record import Reading, Record, Result, State, View
from state import ledger_keys as keys
from state.caller import Caller
from state.errors import CorruptState
from state.ledger_rows import Entry, around, body_of, change_from, kept, number_of, record_from, sight, text_of
from state.ledger_scripts import KEEP, MOVE, OBSERVE, RECORD, VIEW
from state.redis_client import command as ask
from state.redis_client import connect

KEEP_MS: Final = 32 * MS_PER_DAY
"""How long writes and changes are kept: longer than any rate window, velocity window or cooldown."""


class Ledger:
    """The ledger on its Redis.

    Parameters
    ----------
    caller : on a client made by `state.redis_client.connect`.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._client = caller.client

    @classmethod
    def open(cls, url: str, *, patience_s: float = 10.0) -> Ledger:
        """Open the ledger at a URL (``unix:///path`` or ``redis://host:port/db``)."""
        return cls(Caller(connect(url), patience_s=patience_s))

    # --- what is there ------------------------------------------------------------------------------------------------

    def identity(self) -> str:
        """The nonce of this ledger, drawn when it began."""
        self._ask("SET", keys.IDENTITY, secrets.token_hex(8), "NX")
        return str(self._ask("GET", keys.IDENTITY).decode())

    def is_durable(self) -> bool:
        """Whether every write is on the disk before it is acknowledged."""
        found = self._caller.patiently(lambda: self._client.config_get("append*"))
        return found.get("appendonly") == "yes" and found.get("appendfsync") == "always"

    def cursor(self, shard: int) -> int:
        """The number of the last outbox entry of a shard that was recorded; 0 before the first."""
        return int(self._ask("HGET", keys.CURSOR, shard) or 0)

    def alarms(self) -> int:
        """How many command ids came again with other content (each such content counted once)."""
        return int(self._ask("HLEN", keys.ALARMS))

    def record_of(self, command_id: str) -> Record | None:
        """One command, or None if it was never recorded."""
        row = self._ask("HGETALL", keys.command(command_id))
        return record_from(row) if row else None

    def records(self, *, page: int = 500) -> Iterator[Record]:
        """All commands, oldest first."""
        start = 0
        while names := self._ask("ZRANGE", keys.INDEX, start, start + page - 1):
            yield from self._records(names)
            start += len(names)

    def due(self, now_ms: int, count: int) -> list[Record]:
        """Up to ``count`` commands to look at now, the longest due first; those whose approval ran out among them."""
        names: list[bytes] = []
        for queue in (keys.DUE, keys.AWAITING):
            names += self._ask("ZRANGEBYSCORE", queue, "-inf", now_ms, "LIMIT", 0, count)
        return list(self._records(names[:count]))

    def next_due_ms(self) -> int | None:
        """When the next command under way is to be looked at; None if none is (approvals waited for do not count)."""
        first = self._ask("ZRANGE", keys.DUE, 0, 0, "WITHSCORES")
        return int(float(first[1])) if first else None

    def awaiting(self, count: int = 1000) -> list[Record]:
        """Commands that wait for a person, the next to expire first."""
        return list(self._records(self._ask("ZRANGE", keys.AWAITING, 0, count - 1)))

    def view(self, command: Command, now_ms: int, limits: GuardrailConfig) -> View:
        """What the guardrails need to know around a command."""
        starts = [now_ms - w for w in (limits.entity_window_ms, limits.campaign_window_ms, limits.account_window_ms)]
        scopes = keys.scopes(command.tenant, command.account)
        surroundings = around(command)
        reply = self._caller.run(VIEW, [*surroundings, keys.STOPS], [*starts, *scopes])
        version, stopped, (micros, paused), flight, changes, writes = reply
        return View(
            version=int(version),
            stopped=bool(stopped),
            micros=number_of(micros),
            paused=None if paused is None else paused == b"1",
            in_flight=tuple(Action(action.decode()) for action in flight[1::2]),
            changes=tuple(change_from(m, s) for m, s in zip(changes[::2], changes[1::2], strict=True)),
            entity_writes=writes[0],
            campaign_writes=writes[1] if command.campaign_id else None,
            account_writes=writes[2],
        )

    # --- what is written ----------------------------------------------------------------------------------------------

    def record(self, shard: int, number: int, now_ms: int, entries: Sequence[Entry]) -> int:
        """Record commands once each and move the shard's cursor to ``number``, in one atom.

        A command recorded before is left as it is; a newer one supersedes an older one of its entity that was not
        reserved yet.

        Returns
        -------
        int, how many came under a known id with other content: an alarm, and refused.
        """
        args: list[bytes | str | int] = [shard, number, now_ms]
        for entry in entries:
            command = entry.command
            body, digest = body_of(command)
            facts = {
                "id": command.command_id,
                "digest": digest,
                "state": entry.state.value,
                "result": entry.result.value if entry.result else "",
                "reason": str(entry.reason),
                "created": str(command.created_at_ms),
                "number": str(command.decision_number),
                "entity": keys.entity(command.tenant, command.account, command.budget_entity),
                "due": str(entry.due_ms),
            }
            args += [orjson.dumps(facts), body]
        return int(self._caller.run(RECORD, [keys.CURSOR], args))

    def keep(self, shard: int, records: Sequence[Record], *, page: int = 500) -> None:
        """Store commands whose story was lived elsewhere, as in a simulation: as they are, for lists only."""
        for start in range(0, len(records), page):
            args = [part for record in records[start : start + page] for part in kept(record, shard)]
            self._caller.run(KEEP, [keys.INDEX], args)

    def observe(self, command: Command, reading: Reading, version: int, now_ms: int) -> bool:
        """Take what the platform shows of an entity; a value that differs from the last one is somebody's change.

        Returns
        -------
        bool, False if the account moved on since ``version`` (nothing was written).
        """
        account, entity, flight, changes, *_ = around(command)
        paused = "" if reading.paused is None else str(int(reading.paused))
        args: list[bytes | str | int] = [version, now_ms, text_of(reading.micros), paused]
        return bool(self._caller.run(OBSERVE, [account, entity, changes, flight], args))

    def wait(self, record: Record, until_ms: int, reason: str, now_ms: int) -> Record | None:
        """Look at a command again at ``until_ms``; None, here and below, if it does not stand where ``record`` says."""
        queue = "awaiting" if record.state is State.PROPOSED else "due"
        return self._moved(record, now_ms, record.state, due=until_ms, queue=queue, reason=reason or record.reason)

    def approve(self, record: Record, now_ms: int) -> Record | None:
        """Take a person's approval; the command goes on when its jitter is over."""
        due = record.command.not_before_ms
        return self._moved(record, now_ms, State.APPROVED, due=due, approved=True, reason="")

    def reserve(self, record: Record, owner: str, version: int, weighed_ms: int, now_ms: int) -> Record | None:
        """Reserve the write at the account's ``version``: it counts for the rates, and its entity is in flight."""
        facts = {"version": str(version), "flight": "add", "writes": "add"}
        changed = {"owner": owner, "reserved_at_ms": weighed_ms, "reason": ""}
        return self._moved(record, now_ms, State.RESERVED, facts, due=now_ms, **changed)

    def mark(self, record: Record, due_ms: int, now_ms: int) -> Record | str:
        """Make the intent to send durable, unless a kill switch is on: then, or if it was outrun, a word instead."""
        scopes = keys.scopes(record.command.tenant, record.command.account)
        facts = {"owner": record.owner, "scopes": scopes, "writes": "add"}
        changed = {"attempts": record.attempts + 1, "sent_at_ms": now_ms}
        reply, after = self._move(record, now_ms, State.SENT, facts, due=due_ms, **changed)
        return after if reply == b"OK" else str(reply.decode()).lower()

    def release(self, record: Record, until_ms: int, reason: str, now_ms: int, *, sent: bool) -> Record | None:
        """Go back to approved; a write that did not leave (``sent`` False) no longer counts for the rates."""
        facts = {"flight": "remove", "writes": "" if sent else "remove"}
        return self._moved(record, now_ms, State.APPROVED, facts, due=until_ms, result=None, reason=reason)

    def doubt(self, record: Record, until_ms: int, reason: str, now_ms: int) -> Record | None:
        """Record that the fate of a sent command is open."""
        facts = {"tell": Result.UNKNOWN.value}
        return self._moved(record, now_ms, State.UNKNOWN, facts, due=until_ms, result=Result.UNKNOWN, reason=reason)

    def finish(
        self, record: Record, state: State, result: Result, reason: str, observed: Reading | None, now_ms: int
    ) -> Record | None:
        """Record the end of a command; what was observed becomes what the entity is known to be."""
        facts: dict[str, Any] = {"flight": "remove", "tell": result.value}
        micros = None if observed is None else observed.micros
        if observed is not None and state in {State.CONFIRMED, State.FAILED}:
            facts |= sight(record.command, observed, own=state is State.CONFIRMED)
        changed: dict[str, Any] = {"result": result, "reason": str(reason)}
        if micros is not None:
            changed["observed_micros"] = micros
        if state is State.CONFIRMED:
            changed["confirmed_at_ms"] = now_ms
        return self._moved(record, now_ms, state, facts, **changed)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _ask(self, *parts: bytes | str | int) -> Any:
        return self._caller.patiently(lambda: ask(self._client, *parts))

    def _records(self, names: Sequence[bytes]) -> Iterator[Record]:
        for name in names:
            record = self.record_of(name.decode())
            if record is None:
                message = f"ledger: command {name.decode()} is listed but not there; restore the ledger's Redis"
                raise CorruptState(message)
            yield record

    def _moved(
        self, record: Record, now_ms: int, state: State, facts: dict[str, Any] | None = None, **changed: Any
    ) -> Record | None:
        reply, after = self._move(record, now_ms, state, facts or {}, **changed)
        return after if reply == b"OK" else None

    def _move(
        self, record: Record, now_ms: int, state: State, facts: dict[str, Any], **changed: Any
    ) -> tuple[bytes, Record]:
        due, queue = changed.pop("due", None), changed.pop("queue", "due")
        after = replace(record, state=state, **changed)
        command = record.command
        # A write is named by the attempt it leads to; `mark` and later moves have counted it already.
        attempt = record.attempts + 1 if record.state in {State.APPROVED, State.RESERVED} else record.attempts
        move = {
            "id": command.command_id,
            "from": record.state.value,
            "attempts": str(record.attempts),
            "action": command.action.value,
            "now": str(now_ms),
            "keep": str(now_ms - KEEP_MS),
            "write": f"{command.command_id}:{attempt}",
            "queue": queue,
            "reason": str(after.reason),
            "observed": text_of(after.observed_micros),
            "set": ["state", state.value, *(part for k, v in changed.items() for part in (k, text_of(v)))],
            "scopes": (),
            "flight": "",
            "writes": "",
            "seen": (),
        } | facts
        if due is not None:
            move["due"] = str(due)
        reply = self._caller.run(MOVE, [keys.command(command.command_id), *around(command)], [orjson.dumps(move)])
        return reply, after
