"""The wire event of an outcome, as the executor tells it to the event log.

Rules of this file: the id follows from command and result alone, so an outcome told twice counts once.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from engine.command import Command

SOURCE: Final = "headgate.executor"


def outcome_line(command: Command, result: str, observed_micros: int | None, at_ms: int) -> bytes:
    """The NDJSON line, without its end.

    Parameters
    ----------
    command : what it is about.
    result : confirmed, refused, held or unknown.
    observed_micros : int or None, what the platform showed.
    at_ms : int, when it became known.
    """
    event: dict[str, Any] = {
        "kind": "outcome",
        "event_id": f"o-{command.command_id}-{result}",
        "tenant": command.tenant,
        "account": command.account,
        "source": SOURCE,
        "occurred_at_ms": at_ms,
        "command_id": command.command_id,
        "budget_entity": command.budget_entity,
        "result": result,
    }
    if command.value_micros is not None:
        event["value_micros"] = command.value_micros
    if observed_micros is not None:
        event["observed_micros"] = observed_micros
    return orjson.dumps(event)
