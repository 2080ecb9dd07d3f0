"""One shard's durable state: own it, load it, commit to it, checkpoint it, let it go.

Rules of this file: memory is a cache: after FENCED or MISMATCH it is worthless, and the shard must be acquired and
loaded anew into new tables; every write is a guarded script, so making a call again after any failure is safe.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import redis

from engine.table import Table
from state import recovery, scripts
from state.caller import Caller
from state.checkpoint import Checkpointer
from state.commit import Numbered, Place, digest_of, pack
from state.errors import CorruptState, ShardBusy, ShardFenced, ShardLost, StateFormat
from state.keys import FORMAT, ShardKeys
from state.lease import Holder, Lease, new_nonce
from state.recovery import Loaded
from state.redis_client import command
from state.scripts import Reply, Script

STEP_BYTES: Final = 1 << 20
"""The least that one step of a checkpoint writes: what it takes, every shard of the process waits for."""


class ShardStore:
    """The state of one shard in Redis.

    Parameters
    ----------
    client : redis.Redis from `state.redis_client.connect`.
    shard : int.
    ttl_s : float, seconds a lease lasts without a commit or a renewal.
    patience_s : float, seconds to wait for a Redis that is away before a call fails.
    code : str, hash of code and configuration, noted in meta for people.
    """

    def __init__(
        self, client: redis.Redis, shard: int, *, ttl_s: float = 5.0, patience_s: float = 10.0, code: str = ""
    ) -> None:
        self.shard = shard
        self.keys = ShardKeys.of(shard)
        self.ttl_s = ttl_s
        self.code = code
        self.caller = Caller(client, patience_s=patience_s)
        self.lease: Lease | None = None
        self.tables: Mapping[str, Table] = {}
        self.checkpoints = Checkpointer({})
        self.place = Place(0, 0, 0)
        self.step = -1
        self._last_nonce = ""
        self._delta_bytes = 0

    def acquire(self, wait_s: float = 0.0, *, force: bool = False) -> Lease:
        """Become the shard's owner: at once if nobody lives who holds it, else when the other lease runs out.

        Parameters
        ----------
        wait_s : float, how long to wait for a living owner to let go.
        force : bool, take it from a living owner (who is fenced at its next commit).

        Raises
        ------
        ShardBusy if another owner still holds it; ShardLost if the shard is not there; StateFormat; StateUnavailable.
        """
        nonce = new_nonce()
        dead = self._last_nonce
        end = time.monotonic() + wait_s
        while True:
            sent = time.monotonic()
            answer = self._ask(nonce, dead, force=force)
            if answer[0] == b"OK":
                self._last_nonce, self.step = nonce, -1
                self.lease = Lease(nonce, self.ttl_s, sent + self.ttl_s)
                return self.lease
            holder = Holder.decode(answer[2])
            if holder.is_dead() and dead != answer[1].decode():
                dead = answer[1].decode()
                continue
            left = end - time.monotonic()
            if left <= 0:
                message = f"shard {self.shard} is held by {holder}; stop that process, or wait until its lease runs out"
                raise ShardBusy(message)
            time.sleep(min(left, 0.25, int(answer[3]) / 1000 + 0.005))

    def load(self, tables: Mapping[str, Table]) -> Loaded:
        """Fill tables (emptied first) with the shard's state and bind them: `commit` stores what changes in them.

        Raises
        ------
        ShardFenced if ownership was lost meanwhile; CorruptState, StateFormat, ShardLost, StateUnavailable.
        """
        nonce = self._owned().nonce
        client = self.caller.client
        try:
            loaded = self.caller.patiently(lambda: recovery.load(client, self.keys, tables))
        except CorruptState:
            self._check_owner(self.caller.patiently(lambda: recovery.heads(client, self.keys)).owner, nonce)
            raise
        self._check_owner(loaded.owner, nonce)
        self.tables = tables
        self.step = loaded.step
        self.place = Place(loaded.seq, loaded.out_number, loaded.dlq_number)
        self.checkpoints = Checkpointer(tables, loaded.stored)
        for changes in loaded.redone:
            self.checkpoints.note(changes, 0)
        self.checkpoints.delta_bytes = loaded.redone_bytes
        loaded.redone.clear()  # views that would keep the deltas' bytes in memory
        return loaded

    def peek(self, tables: Mapping[str, Table]) -> Loaded:
        """Fill tables with the newest state without owning the shard; its owner is not disturbed."""
        loaded: Loaded = self.caller.patiently(lambda: recovery.peek(self.caller.client, self.keys, tables))
        loaded.redone.clear()
        return loaded

    def standing(self) -> Loaded:
        """Where the shard stands (numbers, offsets, owner), without its tables and without owning it."""
        standing: Loaded = self.caller.patiently(lambda: recovery.heads(self.caller.client, self.keys))
        return standing

    def commit(
        self,
        offsets: Mapping[str, int],
        outbox: Sequence[Numbered] = (),
        dead_letters: Sequence[Numbered] = (),
        summaries: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        """Store, in one atom, all that changed in the tables and all that follows from it; renews the lease.

        Parameters
        ----------
        offsets : stream -> last consumed offset, of the streams that moved.
        outbox, dead_letters : numbered without a gap from the last number on.
        summaries : ad -> readable summary, of the ads that changed.

        Returns
        -------
        Reply; the tables are marked saved if it landed.

        Raises
        ------
        ValueError if a number leaves a gap; StateUnavailable (the same call may be made again), ShardFenced.
        """
        changes = tuple(c for c in (table.change() for table in self.tables.values()) if c is not None)
        packed = pack(changes, self.place, offsets, outbox, dead_letters, summaries or {})
        keys = self.keys
        named = (keys.meta, keys.offsets, keys.delta, keys.out, keys.dlq, keys.ads)
        reply = self._guarded(scripts.COMMIT, named, packed.digest, packed.args)
        if reply.landed:
            self.place = packed.after
            for table in self.tables.values():
                table.mark_saved()
            self.checkpoints.note(changes, packed.size)
            self._delta_bytes = packed.size
        return reply

    def checkpoint(self, max_bytes: int = 0, *, force: bool = False) -> Reply:
        """Take one bounded step of a checkpoint if one is due, running or forced; call it right after a commit.

        Parameters
        ----------
        max_bytes : int, about how much to write in this step; 0: little, but more than commits add between two steps.
        force : bool, begin even if none is due.

        Returns
        -------
        Reply; OK also when there was nothing to do. `checkpointing` tells whether steps remain.
        """
        books = self.checkpoints
        if not books.ready():
            return Reply.OK
        if books.record is None:
            if not (force or books.due()):
                return Reply.OK
            books.begin(self.place.seq)
        chunks, taken = books.next_chunks(self.place.seq, max_bytes or max(STEP_BYTES, 2 * self._delta_bytes))
        if chunks:
            named = [self.keys.meta, self.keys.chunks, *(self.keys.chunk(packed.field) for packed in chunks)]
            args = [part for packed in chunks for part in (packed.field, packed.info, packed.blob)]
            digest = digest_of(*(f"{packed.field} {packed.info}" for packed in chunks))
            reply = self._guarded(scripts.WRITE_CHUNKS, named, digest, args)
            if not reply.landed:
                return reply
        books.wrote(chunks, taken)
        return Reply.OK if books.plan else self._finish()

    @property
    def checkpointing(self) -> bool:
        """Whether a checkpoint is under way."""
        return self.checkpoints.record is not None

    def renew(self) -> Reply:
        """Extend the lease without a commit."""
        lease = self._owned()
        sent = time.monotonic()
        ttl_ms = round(self.ttl_s * 1000)
        reply = Reply(self.caller.run(scripts.RENEW, [self.keys.meta], [lease.nonce, ttl_ms]))
        self._after(reply, sent)
        return reply

    def release(self) -> Reply:
        """Let the shard go; FENCED if it was another's already."""
        lease = self._owned()
        self.lease = None
        return Reply(self.caller.run(scripts.RELEASE, [self.keys.meta], [lease.nonce]))

    def summaries(self) -> dict[bytes, bytes]:
        """The readable summaries of the shard's ads."""
        return dict(self.caller.patiently(lambda: command(self.caller.client, "HGETALL", self.keys.ads)))

    def _ask(self, nonce: str, dead: str, *, force: bool) -> list[bytes]:
        args: list[bytes | str | int] = [nonce, round(self.ttl_s * 1000), int(force), dead]
        args += [Holder.me().encode(), self.code, FORMAT]
        answer: list[bytes] = self.caller.run(scripts.ACQUIRE, [self.keys.meta], args)
        if answer[0] == b"MISSING":
            message = f"shard {self.shard} has no state in Redis though it ought to; restore Redis from a copy"
            raise ShardLost(message)
        if answer[0] == b"FORMAT":
            message = f"shard {self.shard} has another format than {FORMAT}; use the version that wrote it"
            raise StateFormat(message)
        return answer

    def _finish(self) -> Reply:
        books = self.checkpoints
        record, dropped = books.close()
        named = [self.keys.meta, self.keys.chunks, self.keys.delta, *map(self.keys.chunk, dropped)]
        args = [record.encode(), f"{record.seq + 1}-0", *dropped]
        reply = self._guarded(scripts.FINISH_CHECKPOINT, named, digest_of(*args), args)
        if reply.landed:
            books.finish(dropped)
        return reply

    def _guarded(self, script: Script, keys: Sequence[str], digest: str, args: Sequence[bytes | str | int]) -> Reply:
        lease = self._owned()
        sent = time.monotonic()
        guard = (lease.nonce, self.step, self.step + 1, digest, round(self.ttl_s * 1000))
        reply = Reply(self.caller.run(script, keys, [*guard, *args]))
        if reply.landed:
            self.step += 1
        self._after(reply, sent)
        return reply

    def _after(self, reply: Reply, sent: float) -> None:
        if not reply.landed:
            self.lease = None
        elif self.lease is not None and reply is Reply.OK:
            self.lease = Lease(self.lease.nonce, self.ttl_s, sent + self.ttl_s)

    def _owned(self) -> Lease:
        if self.lease is None:
            message = f"shard {self.shard} is not owned by this process; acquire and load it anew"
            raise ShardFenced(message)
        return self.lease

    def _check_owner(self, found: str, nonce: str) -> None:
        if found != nonce:
            self.lease = None
            message = f"shard {self.shard} was taken over by another process; stand down"
            raise ShardFenced(message)
