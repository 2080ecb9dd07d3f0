"""The ``simulated`` platform: an ad platform in a file, and a world of the simulation seen as a platform.

Rules of this file: like a real platform it is not idempotent: a request that comes twice is applied twice and shows as
two lines, so that tests can count. Every applied change is on the disk before the reply.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from engine.proposal import Action
from engine.record import Answer, Reading, Request, Result

_Key = tuple[str, str, str]


class SimulatedPlatform:
    """Budgets and statuses in an append-only NDJSON file; the last line of an entity says how it stands.

    An entity that no line names stands as the catalog said, which is what a command expects: this platform has no
    catalog of its own.

    Parameters
    ----------
    path : Path of the file; made, with its directory, where it is missing. A last line that was cut off by a crash was
        never acknowledged: it is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._standing: dict[_Key, Reading] = {}
        self._read_to = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as file:
            whole = path.read_bytes().rfind(b"\n") + 1
            file.truncate(whole)

    def read(self, request: Request) -> Reading | None:
        """What the platform shows of the request's entity, whoever changed it."""
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            added = file.read()
        added = added[: added.rfind(b"\n") + 1]
        self._read_to += len(added)
        for line in added.splitlines():
            self._take(orjson.loads(line))
        found = self._standing.get(_key(request))
        return found or Reading(request.expected_micros, request.action is Action.RESUME)

    def apply(self, request: Request, now_ms: int) -> Answer:
        """Apply a request, whatever it is, and however often it comes."""
        return self._write(request, now_ms, "headgate")

    def edit(self, request: Request, now_ms: int) -> Answer:
        """Apply a change by somebody else's hand, as people do in the platform's own console."""
        return self._write(request, now_ms, "person")

    def _write(self, request: Request, now_ms: int, by: str) -> Answer:
        with self._locked() as file:
            before = self.read(request)
            file.truncate(self._read_to)  # what a process left half written was never acknowledged
            micros = before.micros if before else None
            if request.action is Action.SET_BUDGET:
                micros = request.value_micros
            change = {
                "command_id": request.command_id,
                "tenant": request.tenant,
                "account": request.account,
                "budget_entity": request.budget_entity,
                "action": request.action.value,
                "micros": micros,
                "paused": _paused(request, before),
                "applied_at_ms": now_ms,
                "by": by,
            }
            file.write(orjson.dumps(change, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
        return Answer(Result.CONFIRMED, micros)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, to be changed by one process at a time."""
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _take(self, change: dict[str, Any]) -> None:
        key = (change["tenant"], change["account"], change["budget_entity"])
        self._standing[key] = Reading(change["micros"], change["paused"])


class World(Protocol):
    """The part of a world that takes commands."""

    def apply(self, command: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Take a command; ``{"result": "confirmed" | "refused" | "unknown", "observed_micros": int}``."""


class WorldPlatform:
    """A simulated world as a platform.

    A world is told of commands and tells of budgets in its replies and catalog events; between them it stands as it
    was last seen.

    Parameters
    ----------
    world : anything with ``apply(command, now_ms)``.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._standing: dict[_Key, Reading] = {}

    def see(self, tenant: str, account: str, budget_entity: str, reading: Reading) -> None:
        """Take what a catalog event of the world says of an entity."""
        self._standing[tenant, account, budget_entity] = reading

    def read(self, request: Request) -> Reading | None:
        """What was last seen of the request's entity; before anything was, what the command expects."""
        found = self._standing.get(_key(request))
        return found or Reading(request.expected_micros, request.action is Action.RESUME)

    def apply(self, request: Request, now_ms: int) -> Answer:
        """Pass a request on, in the words of the World protocol."""
        before = self.read(request)
        command = {
            "command_id": request.command_id,
            "budget_entity": request.budget_entity,
            "action": request.action.value,
            "value_micros": request.value_micros or 0,  # a world may reckon with both: 0 where there is none
            "expected_micros": request.expected_micros or 0,
        }
        reply = self._world.apply(command, now_ms)
        result = Result(reply["result"])
        observed = reply.get("observed_micros")
        paused = _paused(request, before) if result is Result.CONFIRMED else (before.paused if before else None)
        self._standing[_key(request)] = Reading(observed, paused)
        return Answer(result, observed)


def changes_in(path: Path) -> list[dict[str, Any]]:
    """All changes a platform file holds, oldest first; none if there is no file."""
    if not path.exists():
        return []
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _key(request: Request) -> _Key:
    return request.tenant, request.account, request.budget_entity


def _paused(request: Request, before: Reading | None) -> bool | None:
    if request.action is Action.SET_BUDGET:
        return before.paused if before else None
    return request.action is Action.PAUSE
