"""What a step gave out, in the form in which a commit stores it.

Rules of this file: pure; numbers come from the engine, never from here.
"""

from __future__ import annotations

import orjson

from engine.decision import pack
from engine.shard import POLICIES
from engine.step import Output
from engine.verdict import reason_word, verdict_word
from state.commit import Numbered


def outbox_entries(output: Output, policy_hash: str) -> list[Numbered]:
    """The decisions and commands of a step as outbox entries, by number."""
    entries: list[Numbered] = [
        (number, {b"d": pack(rows, names, POLICIES, policy_hash)}) for number, rows, names in output.decisions
    ]
    entries += [(number, {b"c": orjson.dumps(command.to_row())}) for number, command in output.commands]
    return sorted(entries)


def summaries_of(output: Output) -> dict[bytes, bytes]:
    """The ads whose decision changed: "tenant/account/ad" to what stands now, as JSON; the newest of an ad wins."""
    found: dict[bytes, bytes] = {}
    for _, rows, names in output.decisions:
        words = names.split(b"\n")
        columns = (rows[name].tolist() for name in ("verdict", "reason", "target_micros", "now_ms", "number"))
        for place, (verdict, reason, target, now_ms, number) in enumerate(zip(*columns, strict=True)):
            found[b"/".join(words[4 * place : 4 * place + 3])] = orjson.dumps(
                {
                    "verdict": verdict_word(verdict),
                    "reason": reason_word(reason),
                    "target_micros": target if target >= 0 else None,
                    "decided_at_ms": now_ms,
                    "number": number,
                }
            )
    return found


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
