"""What the executor tells is what the wire format takes."""

from __future__ import annotations

from dataclasses import replace

import orjson

from connectors.outcome_event import outcome_line
from engine.proposal import Action
from tests.engine.test_command import COMMAND


def test_the_line_has_the_fields_of_an_outcome() -> None:
    event = orjson.loads(outcome_line(COMMAND, "confirmed", 60_000_000, 9))
    assert event == {
        "kind": "outcome",
        "event_id": f"o-{COMMAND.command_id}-confirmed",
        "tenant": "acme",
        "account": "act_1",
        "source": "headgate.executor",
        "occurred_at_ms": 9,
        "command_id": COMMAND.command_id,
        "budget_entity": "ad_set:1",
        "result": "confirmed",
        "value_micros": 60_000_000,
        "observed_micros": 60_000_000,
    }


def test_what_is_not_known_is_absent() -> None:
    pause = replace(COMMAND, action=Action.PAUSE, value_micros=None)
    event = orjson.loads(outcome_line(pause, "unknown", None, 9))
    assert "value_micros" not in event
    assert "observed_micros" not in event
