"""What came of a run, and every way in which it may be wrong.

Rules of this file: it reads what the product wrote and compares; a finding is one line. What ought to be there comes
from the witness (`tests.reference`), from an uninterrupted run, or from the other end of the same wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from connectors.simulated_platform import changes_in
from headgate import listing
from headgate.asked import Asked
from headgate.session import Session, open_session
from tests.proofs.workload import COUNTS, TOTALS
from tests.reference.model import Reference

Entries = list[tuple[int, dict[bytes, bytes]]]


@dataclass(frozen=True)
class Books:
    """All that a run left behind."""

    ads: list[dict[str, Any]]
    status: dict[str, Any]
    digests: list[str]
    outbox: list[Entries]
    dead_letters: list[Entries]
    decisions: list[dict[str, Any]]

    @property
    def commands(self) -> list[dict[str, Any]]:
        """The commands of the outboxes."""
        return [orjson.loads(f[b"c"]) for entries in self.outbox for _, f in entries if b"c" in f]


def read(config: Path, data: Path) -> Books:
    """Read what a run left."""
    asked = Asked(config, data, as_json=True)
    with open_session(asked) as session:
        digests = [session.peek(shard)[0].digest() for shard in session.shards]
        outbox = [list(session.reader(shard).outbox()) for shard in session.shards]
        letters = [list(session.reader(shard).dead_letters()) for shard in session.shards]
    status = listing.status(asked)
    return Books(list(listing.ads(asked)), status, digests, outbox, letters, list(listing.decisions(asked)))


def against_witness(books: Books, witness: Reference, *, outcomes: int = 0) -> list[str]:
    """The counting columns of all ads, the counters and the dead letters, against the plain model's."""
    names = ("tenant", "account", "ad_id", *TOTALS)
    found = [{name: row[name] for name in names} for row in books.ads]
    wanted = [{name: row[name] for name in names} for row in witness.ads()]
    faults = _different("ad", found, wanted, key=lambda row: row["ad_id"])
    for name in COUNTS:
        more = outcomes if name in {"lines", "accepted"} else 0
        if books.status[name] != witness.counts[name] + more:
            faults.append(f"{name} is {books.status[name]}, not {witness.counts[name] + more}")
    said = Counter((f[b"reason"].decode(), f[b"raw"]) for entries in books.dead_letters for _, f in entries)
    if said != Counter(witness.dead_letters()):
        faults.append(f"{sum(said.values())} dead letters, not {len(witness.dead_letters())}")
    return faults + _sums(books)


def _sums(books: Books) -> list[str]:
    """The counters against what they count."""
    status, faults = books.status, []
    if not status["idle"]:
        faults.append(f"{status['lag']} entries of the log are not decided")
    done = sum(status[name] for name in ("accepted", "duplicates", "conflicting_duplicates", "blank", "dead_letters"))
    if done != status["lines"]:
        faults.append(f"{status['lines']} lines, but {done} are accounted for")
    for name, rows in (("decisions", books.decisions), ("commands", books.commands)):
        ids = Counter(row[f"{name[:-1]}_id"] for row in rows)
        if twice := [one for one, count in ids.items() if count > 1]:
            faults.append(f"{len(twice)} {name} twice, as {twice[0]}")
        if len(rows) != status[name]:
            faults.append(f"{len(rows)} {name} in the outbox, {status[name]} counted")
    for kind in (books.outbox, books.dead_letters):
        for shard, entries in enumerate(kind):
            if [number for number, _ in entries] != list(range(1, len(entries) + 1)):
                faults.append(f"the numbers of shard {shard} have a gap")
    return faults


def against_twin(books: Books, twin: Books) -> list[str]:
    """Everything, bit for bit, against another run."""
    faults = []
    for shard, (one, other) in enumerate(zip(books.digests, twin.digests, strict=True)):
        if one != other:
            faults.append(f"the state of shard {shard} differs")
    for name in ("outbox", "dead_letters"):
        for shard, (one, other) in enumerate(zip(getattr(books, name), getattr(twin, name), strict=True)):
            if one != other:
                at = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
                faults.append(f"{name} of shard {shard}: {len(one)} entries, not {len(other)}; they part at {at}")
    faults += _different("ad", books.ads, twin.ads, key=lambda row: row["ad_id"])
    return faults + _different("decision", books.decisions, twin.decisions, key=lambda row: row["decision_id"])


@contextmanager
def opened(config: Path, data: Path) -> Iterator[Session]:
    """A session with the ledger."""
    with open_session(Asked(config, data, as_json=True), with_ledger=True) as session:
        yield session


def of_executor(config: Path, data: Path, books: Books) -> list[str]:
    """The outbox against the ledger, and the ledger against the platform."""
    with opened(config, data) as session:
        ledger = session.ledger()
        records = list(ledger.records())
        alarms = ledger.alarms()
    wanted = {row["command_id"]: row for row in books.commands}
    found = {record.command.command_id: record.command.to_row() for record in records}
    faults = [f"command {one} is missing in the ledger" for one in sorted(wanted.keys() - found.keys())]
    faults += [f"command {one} is in the ledger alone" for one in sorted(found.keys() - wanted.keys())]
    other = [one for one in sorted(wanted.keys() & found.keys()) if wanted[one] != found[one]]
    faults += [f"command {one} has other content in the ledger" for one in other]
    if len(records) != len(found) or alarms:
        faults.append(f"{len(records) - len(found)} commands doubled in the ledger, {alarms} alarms")
    open_ones = [record for record in records if not record.is_final]
    faults += [f"command {record.command.command_id} is left at {record.state}" for record in open_ones]
    applied = Counter(change["command_id"] for change in changes_in(data / "platform.ndjson"))
    faults += [f"command {one} was applied {count} times" for one, count in applied.items() if count > 1]
    confirmed = {record.command.command_id for record in records if record.state == "confirmed"}
    faults += [f"command {one} was applied, but is not confirmed" for one in sorted(applied.keys() - confirmed)]
    return faults + [f"command {one} is confirmed, but was not applied" for one in sorted(confirmed - applied.keys())]


def outcome_lines(config: Path, data: Path) -> list[dict[str, Any]]:
    """The outcome events in the log."""
    with open_session(Asked(config, data, as_json=True)) as session:
        lines = [
            line
            for shard in session.shards
            for entry in _log_of(session, shard)
            for line in (entry.lines or b"").split(b"\n")
            if line.startswith(b'{"kind":"outcome"')
        ]
    return [orjson.loads(line) for line in lines]


def of_outcomes(config: Path, data: Path) -> list[str]:
    """The outcome events of the log against the ledger's streams: each once, none missing."""
    from state.caller import Caller
    from state.outcomes import Outcomes
    from state.redis_client import connect

    told = Counter(line["event_id"] for line in outcome_lines(config, data))
    with opened(config, data) as session:
        outcomes = Outcomes(Caller(connect(session.ledger_url)))
        made = [one for shard in outcomes.numbers() for one in outcomes.after(shard, 0, 1_000_000)]
    wanted = Counter(f"o-{one.command_id}-{one.result}" for one in made)
    wrong = [one for one in told | wanted if told[one] != wanted[one]]
    return [f"outcome {one}: {told[one]} in the log, {wanted[one]} in the ledger" for one in wrong]


def _log_of(session: Session, shard: int) -> Iterator[Any]:
    log = session.log()
    offset, stream = 0, f"headgate.events.{shard:02d}"
    while entries := log.read({shard: {stream: offset}}, 1 << 20).get(shard):
        yield from entries
        offset = entries[-1].offset


def _different(what: str, found: list[Any], wanted: list[Any], key: Any) -> list[str]:
    if found == wanted:
        return []
    one, other = ({(row["tenant"], row["account"], key(row)): row for row in rows} for rows in (found, wanted))
    wrong = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    shown = f", as {wrong[0]}: {one.get(wrong[0])}, not {other.get(wrong[0])}" if wrong else ", in their order"
    return [f"{len(wrong)} of {len(other)} {what} rows are wrong{shown}"]
