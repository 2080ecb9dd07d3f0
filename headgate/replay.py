"""``headgate replay``: every decision derived again from the log alone, and compared bit for bit with what stands.

Rules of this file: it writes nothing; what is committed is read once, then fresh engines take each shard's log from its
first entry up to the committed offsets, one entry at a time, however the live run had cut it. Blocks of decisions,
commands and dead letters are compared byte for byte as they come, the whole state by its digest at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from connectors.log import Entry, LogTruncated
from engine.decision import policy_hash_of
from engine.shard import Shard
from engine.step import Output, step
from flows.given_out import dead_letter_entries, outbox_entries
from flows.shard_logic import items_of
from headgate.asked import Asked
from headgate.differences import Difference, between
from headgate.refusal import Refused
from headgate.session import Session, open_session
from state.commit import Numbered
from state.reader import Fields
from state.recovery import Loaded

READ_BYTES: Final = 4 << 20
Answer = dict[str, Any]


def replay(asked: Asked) -> Answer:
    """Derive everything again and compare.

    Returns
    -------
    ``shards``, ``decisions``, ``commands``, ``dead_letters`` (derived now), ``equal``, ``first_difference`` (None, or
    where it is, what it is, and how the two differ).

    Raises
    ------
    Refused if the log does not reach back to its start or not as far as the state, or if the decisions were made with
    another configuration than the one given.
    """
    from headgate.output import progress_bar

    with open_session(asked) as session, progress_bar("replaying", quiet=asked.as_json) as progress:
        standing = {shard: session.store(shard).standing() for shard in session.shards}
        total = sum(sum(loaded.offsets.values()) for loaded in standing.values())
        replays = [ShardReplay(session, shard) for shard in session.shards]
        for again in replays:
            for _ in again.run():
                progress(sum(other.entries for other in replays), total)
    first = next((again.difference for again in replays if again.difference is not None), None)
    return {
        "shards": len(replays),
        "decisions": sum(again.decisions for again in replays),
        "commands": sum(again.commands for again in replays),
        "dead_letters": sum(again.dead_letters for again in replays),
        "equal": first is None,
        "first_difference": first.to_row() if first is not None else None,
    }


class ShardReplay:
    """One shard, from the start of its log to where its committed state stands.

    Attributes
    ----------
    entries : log entries taken. decisions, commands, dead_letters : how many were derived.
    difference : the first place at which what was derived is not what stands, None if there is none.
    """

    def __init__(self, session: Session, shard: int) -> None:
        self._session = session
        self._shard = shard
        self.entries = self.decisions = self.commands = self.dead_letters = 0
        self.difference: Difference | None = None

    def run(self) -> Iterator[None]:
        """Derive and compare all of it, an entry at a time."""
        state, loaded = self._session.peek(self._shard)
        reader = self._session.reader(self._shard)
        shard = Shard(self._shard, self._session.config)
        policy_hash = self._session.config.digest()
        outbox = _up_to(reader.outbox(), loaded.out_number)
        letters = _up_to(reader.dead_letters(), loaded.dlq_number)
        for entry in self._log(loaded):
            for item in items_of([entry]):
                output = step(shard, [item])
                self._compare("outbox", outbox_entries(output, policy_hash), outbox)
                self._compare("dead_letter", dead_letter_entries(output), letters)
                self._count(output)
            for table in shard.tables.values():
                table.mark_saved()  # what changed need not be kept: nothing is stored
            self.entries += 1
            yield
        self._compare_rest("outbox", outbox)
        self._compare_rest("dead_letter", letters)
        if self.difference is None and shard.digest() != state.digest():
            self.difference = _states(state, shard)

    def _count(self, output: Output) -> None:
        self.decisions += sum(len(rows) for _, rows, _ in output.decisions)
        self.commands += len(output.commands)
        self.dead_letters += len(output.dead_letters)

    def _log(self, loaded: Loaded) -> Iterator[Entry]:
        """The shard's entries from the first one to the last one that its state has."""
        log = self._session.log()
        positions: dict[str, int] = {}
        while any(positions.get(stream, 0) < end for stream, end in loaded.offsets.items()):
            try:
                found = log.read({self._shard: positions}, READ_BYTES).get(self._shard, [])
            except LogTruncated as error:
                message = f"the log no longer reaches back to its first entry, which replay needs ({error})"
                raise Refused(message) from error
            if not found:
                message = (
                    f"the log of shard {self._shard} ends before its state, at {positions}: the state is at "
                    f"{loaded.offsets}; restore the log"
                )
                raise Refused(message)
            for entry in found:
                positions[entry.stream] = entry.offset
                if entry.offset <= loaded.offsets.get(entry.stream, 0):
                    yield entry

    def _compare(self, what: str, derived: Sequence[Numbered], stored: Iterator[tuple[int, Fields]]) -> None:
        for number, fields in derived:
            if self.difference is not None:
                return
            stands = next(stored, None)
            self.difference = between(self._shard, what, (number, dict(fields)), stands)
            if self.difference is not None and stands is not None:
                _check_policy(self._session, self._shard, *stands)

    def _compare_rest(self, what: str, stored: Iterator[tuple[int, Fields]]) -> None:
        """Whatever stands beyond what was derived is a difference too."""
        extra = next(stored, None) if self.difference is None else None
        if extra is not None:
            self.difference = between(self._shard, what, None, extra)


def _up_to(entries: Iterator[tuple[int, Fields]], last: int) -> Iterator[tuple[int, Fields]]:
    """What was committed when the state was read; a running flow may have gone on since."""
    for number, fields in entries:
        if number > last:
            return
        yield number, fields


def _states(stored: Shard, derived: Shard) -> Difference:
    """The table that differs, where all that was given out is equal."""
    for name, table in derived.tables.items():
        other = stored.tables[name]
        if table.base != other.base or table.live().tobytes() != other.live().tobytes():
            return Difference(
                derived.number, "state", name, {"rows": other.used}, {"rows": table.used}, "the tables differ"
            )
    return Difference(derived.number, "state", "digest", stored.digest(), derived.digest(), "the digests differ")


def _check_policy(session: Session, shard: int, number: int, fields: Fields) -> None:
    """Refuse to compare with decisions that another configuration made.

    Raises
    ------
    Refused.
    """
    try:
        made_with = policy_hash_of(fields[b"d"]) if b"d" in fields else None
    except ValueError:  # it was tampered with: the comparison says so
        return
    mine = session.config.digest()
    if made_with not in (None, mine):
        origin = session.settings.origin or "the built-in defaults"
        message = (
            f"block {number} of shard {shard} was decided with another configuration (policy hash {made_with}) than "
            f"{origin} (policy hash {mine}); replay with the one it was decided with: --config FILE"
        )
        raise Refused(message)
