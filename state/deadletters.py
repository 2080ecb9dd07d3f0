"""Reading the dead letters: the lines that were refused, why, and where they stood.

Rules of this file: it only reads; a dead letter is written by the commit that moves the offset past its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import redis

from state.caller import Caller
from state.keys import ShardKeys
from state.redis_client import command

BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused line.

    Attributes
    ----------
    shard, number : int, where it stands.
    reason : str, a refusal code.
    stream, position : str, the line's place in the log: ``<offset>.<line>``.
    tenant, account : str, empty if the line did not tell.
    raw : bytes, the line as it came.
    """

    shard: int
    number: int
    reason: str
    stream: str
    position: str
    tenant: str
    account: str
    raw: bytes


def read(client: redis.Redis, shards: Iterable[int], *, patience_s: float = 10.0) -> Iterator[DeadLetter]:
    """Every dead letter of the given shards, oldest first within each shard."""
    caller = Caller(client, patience_s=patience_s)
    for shard in shards:
        yield from _read_shard(caller, shard)


def count(client: redis.Redis, shards: Iterable[int], *, patience_s: float = 10.0) -> int:
    """How many dead letters the given shards hold."""
    caller = Caller(client, patience_s=patience_s)
    return sum(int(_ask(caller, "XLEN", ShardKeys.of(shard).dlq)) for shard in shards)


def _ask(caller: Caller, *parts: str | int) -> Any:
    return caller.patiently(lambda: command(caller.client, *parts))


def _read_shard(caller: Caller, shard: int) -> Iterator[DeadLetter]:
    key = ShardKeys.of(shard).dlq
    after = "0-0"
    while True:
        reply = _ask(caller, "XREAD", "COUNT", BATCH, "STREAMS", key, after)
        if not reply:
            return
        for entry_id, flat in reply[0][1]:
            after = entry_id.decode()
            yield _letter(shard, after, dict(zip(flat[::2], flat[1::2], strict=True)))


def _letter(shard: int, entry_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    def text(name: bytes) -> str:
        return fields.get(name, b"").decode(errors="replace")

    return DeadLetter(
        shard=shard,
        number=int(entry_id.partition("-")[0]),
        reason=text(b"reason"),
        stream=text(b"stream"),
        position=text(b"position"),
        tenant=text(b"tenant"),
        account=text(b"account"),
        raw=fields.get(b"raw", b""),
    )
