"""Every key of the executor's ledger, in one table.

Rules of this file: the ledger lives on a Redis of its own (``appendfsync always``); all keys share the hash tag
``{ledger}``, so one script may touch them together.
"""

from __future__ import annotations

from typing import Final

_TAG: Final = "{ledger}:"

IDENTITY: Final = _TAG + "identity"
"""String: a nonce drawn when the ledger began; part of the producer's name in the event log."""
CURSOR: Final = _TAG + "cursor"
"""Hash: shard -> number of the last outbox entry that was recorded."""
INDEX: Final = _TAG + "index"
"""Sorted set: command id by creation time, for lists."""
DUE: Final = _TAG + "due"
"""Sorted set: command id by the time to look at it next; only commands under way."""
AWAITING: Final = _TAG + "awaiting"
"""Sorted set: command id by its expiry; only commands that wait for a person."""
ALARMS: Final = _TAG + "alarms"
"""Hash: ``<command id> <digest>`` -> "1": an id that came again with other content."""
STOPS: Final = _TAG + "stops"
"""Hash: scope ("global", "tenant:T", "account:T/A") -> who stopped it and why."""
NUMBERS: Final = _TAG + "outcome_numbers"
"""Hash: shard -> number of its last outcome."""


def command(command_id: str) -> str:
    """Hash: one command, its body and how far it got."""
    return f"{_TAG}command:{command_id}"


def account(tenant: str, name: str) -> str:
    """Hash: ``version``, raised by every change of anything in the account."""
    return f"{_TAG}account:{tenant}/{name}"


def entity(tenant: str, name: str, budget_entity: str) -> str:
    """Hash: ``newest`` decision number, ``open`` command, ``micros`` and ``paused`` as last seen."""
    return f"{_TAG}entity:{tenant}/{name}/{budget_entity}"


def flight(tenant: str, name: str, budget_entity: str) -> str:
    """Hash: command id -> action, of commands whose fate is open."""
    return f"{_TAG}flight:{tenant}/{name}/{budget_entity}"


def changes(tenant: str, name: str, budget_entity: str) -> str:
    """Sorted set: ``<account version>|before|after|own`` by time."""
    return f"{_TAG}changes:{tenant}/{name}/{budget_entity}"


def writes(tenant: str, name: str, scope: str) -> str:
    """Sorted set: ``<command id>:<attempt>`` by time; ``scope`` is "" (account), "campaign:C" or "entity:E"."""
    return f"{_TAG}writes:{tenant}/{name}/{scope}"


def outcomes(shard: int) -> str:
    """Stream ``<number>-0``: the outcomes of a shard's commands, on their way to the event log."""
    return f"{_TAG}outcomes:{shard:02d}"


def scopes(tenant: str, name: str) -> tuple[str, str, str]:
    """The kill switches that concern an account, widest first."""
    return "global", f"tenant:{tenant}", f"account:{tenant}/{name}"
