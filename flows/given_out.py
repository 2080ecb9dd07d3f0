"""What a step gave out, in the form in which a commit stores it.

Rules of this file: pure; numbers come from the engine, never from here.
"""

from __future__ import annotations

import orjson

from engine.decision import pack
from engine.shard import POLICIES
from engine.step import Output
from state.commit import Numbered


def outbox_entries(output: Output, policy_hash: str) -> list[Numbered]:
    """The decisions and commands of a step as outbox entries, by number."""
    entries: list[Numbered] = [
        (number, {b"d": pack(rows, names, POLICIES, policy_hash)}) for number, rows, names in output.decisions
    ]
    entries += [(number, {b"c": orjson.dumps(command.to_row())}) for number, command in output.commands]
    return sorted(entries)


def dead_letter_entries(output: Output) -> list[Numbered]:
    """The dead letters of a step."""
    return [
        (
            letter.number,
            {
                b"reason": letter.reason.encode(),
                b"stream": letter.stream.encode(),
                b"position": letter.position.encode(),
                b"tenant": letter.tenant.encode(),
                b"account": letter.account.encode(),
                b"raw": letter.raw,
            },
        )
        for letter in output.dead_letters
    ]
