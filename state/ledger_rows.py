"""How the ledger writes what it knows into Redis' texts, and reads it back.

Rules of this file: pure; every number is text in full digits; absent is the empty text or no field.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from hashlib import blake2b
from typing import Any

import orjson

from engine.command import Command
from engine.proposal import Action
from engine.record import Reading, Record, Result, State
from engine.velocity import Change
from state import ledger_keys as keys


@dataclass(frozen=True, slots=True)
class Entry:
    """A command on its way into the ledger, with the state in which it enters (`engine.execution.first_state`)."""

    command: Command
    state: State
    result: Result | None
    reason: str
    due_ms: int


def around(command: Command) -> list[str]:
    """The keys of what surrounds a command: account, entity, flight, changes, writes of entity, campaign, account."""
    tenant, account, name = command.tenant, command.account, command.budget_entity
    places = [make(tenant, account, name) for make in (keys.entity, keys.flight, keys.changes)]
    scopes = (f"entity:{name}", f"campaign:{command.campaign_id or ''}", "")
    return [keys.account(tenant, account), *places, *(keys.writes(tenant, account, scope) for scope in scopes)]


def sight(command: Command, observed: Reading, *, own: bool) -> dict[str, Any]:
    """What a command's end tells of its entity: the change it made (or found), and what the entity is now."""
    seen: list[str] = []
    if observed.micros is not None:
        seen += ["micros", str(observed.micros)]
    if observed.paused is not None:
        seen += ["paused", str(int(observed.paused))]
    facts: dict[str, Any] = {"seen": seen}
    after = observed.micros
    before = command.expected_micros if command.action is Action.SET_BUDGET else after
    if before is not None and after is not None and (own or before != after):
        facts["change"] = f"{before}|{after}|{int(own)}"
    return facts


def body_of(command: Command) -> tuple[bytes, str]:
    """A command as it is stored, and the digest that tells it from any other under its id."""
    body = orjson.dumps(command.to_row(), option=orjson.OPT_SORT_KEYS)
    return body, blake2b(body, digest_size=16).hexdigest()


def kept(record: Record, shard: int) -> tuple[bytes, bytes]:
    """A whole record as the script that keeps it takes it: facts and body; `record_from` reads it back."""
    command = record.command
    body, digest = body_of(command)
    fields = {"id": command.command_id, "digest": digest, "shard": shard}
    fields |= {each.name: getattr(record, each.name) for each in dataclass_fields(record) if each.name != "command"}
    flat = [part for name, value in fields.items() for part in (name, text_of(value))]
    facts = {"id": command.command_id, "created": str(command.created_at_ms), "set": flat}
    return orjson.dumps(facts), body


def record_from(row: dict[bytes, bytes]) -> Record:
    """A command from its hash."""
    return Record(
        command=Command.from_row(orjson.loads(row[b"body"])),
        state=State(row[b"state"].decode()),
        result=Result(row[b"result"].decode()) if row[b"result"] else None,
        reason=row[b"reason"].decode(),
        approved=row.get(b"approved") == b"1",
        attempts=int(row[b"attempts"]),
        owner=row[b"owner"].decode(),
        reserved_at_ms=number_of(row.get(b"reserved_at_ms")),
        sent_at_ms=number_of(row.get(b"sent_at_ms")),
        confirmed_at_ms=number_of(row.get(b"confirmed_at_ms")),
        observed_micros=number_of(row.get(b"observed_micros")),
    )


def change_from(member: bytes, score: bytes) -> Change:
    """A change from its member and score in the sorted set."""
    _, before, after, own = member.split(b"|")
    return Change(int(float(score)), int(before), int(after), own == b"1")


def number_of(text: bytes | None) -> int | None:
    """A number from its text; absent and empty are None."""
    return int(text) if text else None


def text_of(value: Any) -> str:
    """The text of a value; None is empty, a truth is 1 or 0."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
