"""The World protocol, and the check that somebody else's world keeps it.

Rules of this file: a world that answers wrongly, or fails, is refused with one line that names the world and the fault;
its mistakes never reach the engine as half-read data.
"""

from __future__ import annotations

import json
import operator
import traceback
from typing import Any, Final, Protocol, SupportsIndex, runtime_checkable

import orjson

Event = dict[str, Any]
Answer = dict[str, Any]
RESULTS: Final = ("confirmed", "refused", "unknown")
_PLAIN: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_METHODS: Final = ("advance", "apply", "report")

# What code of unknown make may raise; interrupts and exhausted memory stay what they are.
FOREIGN_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)


class WorldError(ValueError):
    """A world cannot be used; the message is one line that says why."""


@runtime_checkable
class World(Protocol):
    """Anything that plays the ad platform and its customers in virtual time."""

    start_ms: int

    def advance(self, until_ms: int) -> list[Event]:
        """Wire events that became visible in (last, until_ms], in any order, duplicates allowed."""
        ...

    def apply(self, command: dict[str, Any], now_ms: int) -> Answer:
        """Carry out a command: ``{"result": "confirmed" | "refused" | "unknown", "observed_micros": int}``."""
        ...

    def report(self) -> dict[str, Any]:
        """The truth at the end: profit_micros, oracle_profit_micros, ads."""
        ...


def describe(fault: BaseException) -> str:
    """One line for a fault of foreign code: what it is and, where known, the line of code it came from."""
    text = " ".join(str(fault).split()) or "no message"
    frames = traceback.extract_tb(fault.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(fault).__name__}: {text[:300]}{where}"


def as_line(event: Event) -> bytes:
    """An event as a line of the wire format, without its end.

    Raises
    ------
    WorldError if it holds what JSON cannot say.
    """
    try:
        return orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # orjson's own error is one
        pass
    try:  # whole numbers of any size and half characters can be written too; the wire format will refuse them
        return json.dumps(event).encode()
    except (TypeError, ValueError, RecursionError) as fault:
        message = f"the world returned an event that cannot be written as JSON: {fault}: {event!r:.120}"
        raise WorldError(message) from fault


class CheckedWorld:
    """A world behind its protocol: every answer is checked before it is believed.

    Parameters
    ----------
    world : the instance. name : how the person named it, for messages.

    Raises
    ------
    WorldError, here and from every method, with one line.
    """

    def __init__(self, world: object, name: str) -> None:
        missing = [method for method in _METHODS if not callable(getattr(world, method, None))]
        if missing:
            message = f"world {name}: lacks {', '.join(f'{method}()' for method in missing)}"
            raise WorldError(message)
        found = getattr(world, "start_ms", None)
        start_ms = _whole(found)
        if start_ms is None:
            message = f"world {name}: start_ms must be an int (milliseconds, UTC), not {found!r:.60}"
            raise WorldError(message)
        self.start_ms: int = start_ms
        self._world: Any = world
        self._name = name

    def settings(self) -> dict[str, Any] | None:
        """The configuration the world recommends (as in ``headgate.toml``), or None; not part of the protocol."""
        recommend = getattr(self._world, "settings", None)
        answer = self._ask(recommend) if callable(recommend) else None
        return answer if isinstance(answer, dict) else None

    def advance(self, until_ms: int) -> list[Event]:
        """As `World.advance`; a list of dicts or a WorldError."""
        events = self._ask(self._world.advance, until_ms)
        if not isinstance(events, list):
            message = "advance"
            raise self._wrong(message, f"must return a list of events, not {type(events).__name__}")
        for event in events:
            if not isinstance(event, dict):
                message = "advance"
                raise self._wrong(message, f"returned an event that is no dict: {event!r:.60}")
        return events

    def apply(self, command: dict[str, Any], now_ms: int) -> Answer:
        """As `World.apply`; a lawful answer or a WorldError."""
        answer = self._ask(self._world.apply, command, now_ms)
        if not isinstance(answer, dict):
            message = "apply"
            raise self._wrong(message, f"must return a dict, not {type(answer).__name__}")
        if answer.get("result") not in RESULTS:
            message = "apply"
            raise self._wrong(message, f"result must be one of {', '.join(RESULTS)}, not {answer.get('result')!r:.60}")
        observed = _whole(answer.get("observed_micros"))
        if observed is None:
            message = "apply"
            raise self._wrong(message, f"observed_micros must be an int, not {answer.get('observed_micros')!r:.60}")
        return answer | {"observed_micros": observed}

    def report(self) -> dict[str, Any]:
        """As `World.report`; a dict with the profits and the ads, or a WorldError."""
        report = self._ask(self._world.report)
        if not isinstance(report, dict):
            message = "report"
            raise self._wrong(message, f"must return a dict, not {type(report).__name__}")
        lacking = [name for name in ("profit_micros", "oracle_profit_micros", "ads") if name not in report]
        if lacking:
            message = "report"
            raise self._wrong(message, f"lacks {', '.join(lacking)}")
        try:
            plain: dict[str, Any] = orjson.loads(orjson.dumps(report, option=_PLAIN))
        except TypeError as fault:
            message = "report"
            raise self._wrong(message, f"holds what cannot be written as JSON: {fault}") from fault
        return plain

    def _ask(self, method: Any, *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except FOREIGN_FAULTS as fault:
            message = f"world {self._name}: {method.__name__}() failed: {describe(fault)}"
            raise WorldError(message) from fault

    def _wrong(self, method: str, fault: str) -> WorldError:
        return WorldError(f"world {self._name}: {method}() {fault}")


def _whole(value: Any) -> int | None:
    """A whole number, NumPy's too, as an int; None for anything else."""
    return operator.index(value) if isinstance(value, SupportsIndex) and not isinstance(value, bool) else None
