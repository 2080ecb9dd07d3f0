"""The lists: ads, decisions, commands, attributions, dead letters, and where each shard stands.

Rules of this file: reading disturbs nobody; what is listed is what was committed; the order is stable: ads and
attributions by name, decisions and commands by time, newest last.
"""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterator
from typing import Any, Final

import orjson

from headgate.asked import Asked
from headgate.session import Session, open_session

Row = dict[str, Any]
COMMAND_KEYS: Final = (
    "command_id", "decision_id", "tenant", "account", "budget_entity", "action", "value_micros", "expected_micros",
    "created_at_ms", "not_before_ms", "expires_at_ms", "sent_at_ms", "confirmed_at_ms", "state", "result",
    "observed_micros", "reason",
)  # fmt: skip
COUNTERS: Final = (
    "lines", "blank", "accepted", "duplicates", "conflicting_duplicates", "unknown_fields", "decisions", "commands",
)  # fmt: skip


def ads(asked: Asked) -> Iterator[Row]:
    """A row for each ad, by tenant, account and ad."""
    from headgate.ad_rows import ad_rows

    with open_session(asked) as session:
        rows = [row for shard in session.shards for row in ad_rows(session.peek(shard)[0])]
    yield from sorted(rows, key=lambda row: (row["tenant"], row["account"], row["ad_id"]))


def attributions(asked: Asked) -> Iterator[Row]:
    """A row for each conversion and each deal, by tenant and account."""
    from headgate.attribution_rows import attribution_rows

    with open_session(asked) as session:
        rows = [row for shard in session.shards for row in attribution_rows(session.peek(shard)[0])]
    yield from sorted(rows, key=lambda row: (row["tenant"], row["account"]))


def decisions(asked: Asked) -> Iterator[Row]:
    """Every decision record, newest last."""
    with open_session(asked) as session:
        of_shards = [_decisions(session, shard) for shard in session.shards]
        yield from heapq.merge(*of_shards, key=lambda row: row["decided_at_ms"])


def _decisions(session: Session, shard: int) -> Iterator[Row]:
    from engine.decision import unpack

    for _, fields in session.reader(shard).outbox():
        if b"d" in fields:
            yield from unpack(fields[b"d"], session.config.policy_seed)


def commands(asked: Asked) -> Iterator[Row]:
    """Every command, with what the executor knows of it, newest last."""
    with open_session(asked, with_ledger=True) as session:
        rows: dict[str, Row] = {}
        for shard in session.shards:
            for _, fields in session.reader(shard).outbox():
                if b"c" in fields:
                    row = orjson.loads(fields[b"c"])
                    rows[row["command_id"]] = row
        ledger = session.ledger()
        for record in ledger.records() if ledger is not None else ():
            rows[record.command.command_id] = record.to_row()
    for row in sorted(rows.values(), key=lambda row: (row["created_at_ms"], row["command_id"])):
        yield {key: row.get(key) for key in COMMAND_KEYS}


def dead_letters(asked: Asked) -> Iterator[Row]:
    """Every refused line, by shard and number."""
    with open_session(asked) as session:
        for shard in session.shards:
            for _, fields in session.reader(shard).dead_letters():
                row = {name: _word(fields.get(name.encode())) for name in _LETTER}
                yield row | {"raw_base64": base64.b64encode(fields.get(b"raw", b"")).decode()}


_LETTER: Final = ("reason", "stream", "position", "tenant", "account")


def _word(text: bytes | None) -> str | None:
    return text.decode(errors="replace") if text else None


def status(asked: Asked) -> Row:
    """Whether all of the log is decided, and the counts of all shards."""
    with open_session(asked) as session:
        ends = session.log().end_offsets()
        rows = [_shard_row(session, shard, ends.get(shard, {})) for shard in session.shards]
    lag = sum(row["lag"] for row in rows)
    totals = {name: sum(row[name] for row in rows) for name in ("dead_letters", *COUNTERS)}
    return {"idle": lag == 0, "lag": lag, **totals, "stopped": _is_stopped(asked), "shards": rows}


def _shard_row(session: Session, shard: int, ends: dict[str, int]) -> Row:
    state, loaded = session.peek(shard)
    lag = sum(max(0, end - loaded.offsets.get(stream, 0)) for stream, end in ends.items())
    counts = {name: int(state.row[name]) for name in COUNTERS}
    return {
        "shard": shard,
        "lag": lag,
        "offsets": loaded.offsets,
        "seq": loaded.seq,
        "owned": bool(loaded.owner),
        "now_ms": int(state.row["now_ms"]),
        "ads": state.tables["ads"].used,
        "dead_letters": loaded.dlq_number,
        **counts,
    }


def _is_stopped(asked: Asked) -> bool:
    from headgate.brake import Brake

    return Brake(asked.folder).is_on()
