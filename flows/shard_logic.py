"""The decide flow's only stateful step: entries of one shard in, committed decisions out.

Rules of this file: memory is a cache of what Redis holds; nothing leaves but through the commit; a shard that was taken
over by another process stands down at once. How entries are cut into commits changes no byte of the state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from bytewax.operators import StatefulBatchLogic

from connectors.log import Entry
from connectors.wire.decode import decode, line_fields
from engine.config import EngineConfig
from engine.events import Kind, Refusal
from engine.plan import Tick
from engine.shard import Shard
from engine.step import Lines, Output, step
from flows.given_out import dead_letter_entries, outbox_entries, summaries_of
from flows.halt import EXPECTED, Halt, StandDown
from flows.shard_source import Chunk
from state.commit import Numbered
from state.scripts import Reply
from state.store import ShardStore

COMMIT_EVERY_S: Final = 0.02
COMMIT_EVENTS_MAX: Final = 65_536
REBUILD_THREADS: Final = 4
REBUILD_ROWS: Final = 100_000
"""Fewer rows are indexed sooner than threads are started."""
CATCH_UP: Final = 10
"""How many commit intervals may go by uncommitted while the log is far ahead: then every decision is late anyway."""
_RARE: Final = int(Kind.CATALOG)
_ACCEPTED: Final = int(Refusal.ACCEPTED)
DECODE_ENTRIES: Final = 4
"""Entries of up to 500 lines decoded at a time: more would leave the processor's cache."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit did, for those who watch."""

    shard: int
    events: int
    decisions: int
    commands: int
    dead_letters: int


class ShardEngine:
    """A shard's engine and its durable state, without any framework around it.

    Parameters
    ----------
    store : ShardStore of the shard. config : EngineConfig.
    wait_s : float, how long to wait for another owner to let go.
    """

    def __init__(self, store: ShardStore, config: EngineConfig, *, wait_s: float = 20.0) -> None:
        self._store = store
        self._config = config
        self._policy_hash = config.digest()
        store.acquire(wait_s)
        self.shard = Shard(store.shard, config)
        loaded = store.load(self.shard.tables)
        if sum(table.used for table in self.shard.tables.values()) < REBUILD_ROWS:
            self.shard.rebuild()
        else:
            with ThreadPoolExecutor(REBUILD_THREADS) as threads:
                self.shard.rebuild(threads.map)
        self._seen = dict(loaded.offsets)
        self._offsets: dict[str, int] = {}
        self._outbox: list[Numbered] = []
        self._dead: list[Numbered] = []
        self._summaries: dict[bytes, bytes] = {}
        self._counts = [0, 0, 0, 0]
        self.events = 0

    def take(self, entries: Iterable[Entry]) -> Iterator[int]:
        """Take entries in order; yields the number of events taken so far since the last commit, for pacing."""
        for item in items_of(self._fresh(entries)):
            if isinstance(item, Lines):
                self.events += item.events.size
                self._offsets[item.stream] = int(item.offsets[-1])
            else:
                self._offsets[item.stream] = item.offset
            self._keep(step(self.shard, [item]))
            yield self.events

    def commit(self) -> Commit | None:
        """Make all that was taken durable, in one atom; None if there is nothing.

        Raises
        ------
        StandDown if the shard belongs to another process now, or its state moved without this one.
        """
        if not self._offsets:
            return None
        reply = self._store.commit(self._offsets, self._outbox, self._dead, self._summaries)
        self._heed(reply)
        done = Commit(self._store.shard, self.events, *self._counts[1:])
        self._offsets, self._outbox, self._dead, self._summaries = {}, [], [], {}
        self._counts = [0, 0, 0, 0]
        self.events = 0
        self._heed(self._store.checkpoint())
        return done

    def renew(self) -> None:
        """Keep the shard while there is nothing to commit."""
        self._heed(self._store.renew())

    def release(self) -> None:
        """Let the shard go."""
        if self._store.lease is not None:
            self._store.release()

    def _heed(self, reply: Reply) -> None:
        if reply in (Reply.OK, Reply.ALREADY):
            return
        shard = self._store.shard
        if reply is Reply.FENCED:
            message = f"shard {shard} was taken over by another process; this one stands down"
        else:
            message = f"shard {shard}: Redis holds another state than this process knows; start it again to reload"
        raise StandDown(message)

    def _fresh(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Leave out entries that the state has already."""
        for entry in entries:
            at = self._seen.get(entry.stream, 0)
            if entry.offset <= at:
                continue
            if entry.offset != at + 1:
                message = f"{entry.stream}: entries {at + 1} to {entry.offset - 1} are missing; nothing was decided"
                raise StandDown(message)
            # Kept apart from the offsets to commit: entries are read ahead, in groups, before they are decided.
            self._seen[entry.stream] = entry.offset
            yield entry

    def _keep(self, output: Output) -> None:
        self._counts[1] += sum(len(rows) for _, rows, _ in output.decisions)
        self._counts[2] += len(output.commands)
        self._counts[3] += len(output.dead_letters)
        self._outbox += outbox_entries(output, self._policy_hash)
        self._dead += dead_letter_entries(output)
        self._summaries |= summaries_of(output)


def items_of(entries: Iterable[Entry]) -> Iterator[Lines | Tick]:
    """Turn log entries into the engine's items: runs of lines decoded together, marks one by one."""
    held: list[Entry] = []
    for entry in entries:
        if held and (entry.mark is not None or len(held) == DECODE_ENTRIES or not _alike(entry, held[0])):
            yield lines_of(held)
            held = []
        if entry.mark is not None:
            mark = entry.mark
            yield Tick(mark.now_ms, mark.clock_ms, mark.kind == "end", entry.stream, entry.offset)
        else:
            held.append(entry)
    if held:
        yield lines_of(held)


def _alike(one: Entry, other: Entry) -> bool:
    """Whether the lines of two entries may be decoded together."""
    return one.stream == other.stream and one.trusted == other.trusted


def lines_of(entries: list[Entry]) -> Lines:
    """Decode the lines of entries of one stream and one trust."""
    payloads = [entry.lines or b"" for entry in entries]
    decoded = decode(payloads, trusted=entries[0].trusted)
    events = decoded.events
    details: dict[int, dict[str, Any]] = {}
    rare = np.flatnonzero((events["kind"] >= _RARE) & (events["refusal"] == _ACCEPTED))
    for place in rare:
        details[int(place)] = line_fields(decoded.data, events[place])
    offsets = np.array([entry.offset for entry in entries], np.int64)
    return Lines(decoded.data, events, entries[0].stream, offsets, decoded.blank, details)


class ShardLogic(StatefulBatchLogic[Chunk, Commit, None]):
    """`ShardEngine` behind Bytewax: commits by time and by size, when there is nothing more to read, and at the end.

    Parameters
    ----------
    make : opens the engine of a shard; called at the first item.
    commit_every_s : float, how long what was taken may stay uncommitted.
    halt : told why this shard stands down; it takes nothing more then.
    """

    def __init__(self, make: Callable[[int], ShardEngine], commit_every_s: float, halt: Halt) -> None:
        self._make = make
        self._every_s = commit_every_s
        self._halt = halt
        self._is_down = False
        self._engine: ShardEngine | None = None
        self._due_s = 0.0
        self._renewed_s = 0.0

    def on_batch(self, values: list[Chunk]) -> tuple[Iterable[Commit], bool]:
        """Take chunks; commit whenever it is time, in the middle of them too."""
        return self._guarded(lambda: self._take(values)), False

    def _take(self, values: list[Chunk]) -> list[Commit]:
        if self._engine is None:
            self._engine = self._make(values[0].shard)
        engine = self._engine
        done: list[Commit | None] = []
        if not self._due_s:
            self._due_s = time.monotonic() + self._every_s
        for chunk in values:
            for events in engine.take(chunk.entries):
                grace_s = CATCH_UP * self._every_s if chunk.is_full else 0.0
                if events >= COMMIT_EVENTS_MAX or time.monotonic() >= self._due_s + grace_s:
                    done.append(engine.commit())
                    self._due_s = time.monotonic() + self._every_s
        return [commit for commit in done if commit is not None]

    def on_notify(self) -> tuple[Iterable[Commit], bool]:
        """Commit what is due, or keep the shard while nothing comes."""
        return self._guarded(self._keep_up), False

    def _keep_up(self) -> list[Commit]:
        now_s = time.monotonic()
        assert self._engine is not None
        commit = self._engine.commit()
        self._due_s = 0.0
        if commit is None and now_s - self._renewed_s > 1.0:
            self._engine.renew()
        self._renewed_s = now_s
        return [commit] if commit else []

    def on_eof(self) -> tuple[Iterable[Commit], bool]:
        """Commit the rest and let the shard go."""
        return self._guarded(self._leave), True

    def _leave(self) -> list[Commit]:
        if self._engine is None:
            return []
        commit = self._engine.commit()
        self._engine.release()
        self._engine = None
        return [commit] if commit else []

    def _guarded(self, act: Callable[[], list[Commit]]) -> list[Commit]:
        """Act, unless this shard stands down; what is left in memory is worthless then."""
        if self._is_down:
            return []
        try:
            return act()
        except EXPECTED as fault:
            self._is_down, self._engine = True, None
            self._halt.note(fault)
            return []

    def notify_at(self) -> datetime | None:
        """When to commit next, or to renew the lease."""
        if self._is_down:
            return None
        left = max(0.0, self._due_s - time.monotonic()) if self._due_s else 1.5
        return datetime.now(UTC) + timedelta(seconds=left)

    def snapshot(self) -> None:
        """Nothing: Redis holds the state."""
