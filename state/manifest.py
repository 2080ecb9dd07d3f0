"""The manifest: which shards ought to exist, so that a lost one halts instead of starting from zero.

Rules of this file: the manifest is made once, in one atom with the empty shards; afterwards it is only checked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import redis

from state.caller import Caller
from state.checkpoint import Record
from state.errors import ShardLost, StateFormat
from state.keys import FORMAT, MANIFEST, ShardKeys
from state.redis_client import command
from state.scripts import MANIFEST as MANIFEST_SCRIPT


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in Redis.

    Attributes
    ----------
    shards : int, their number.
    identity : str, 16 hex digits drawn when it was made. Who keeps it elsewhere can tell a Redis that lost all.
    created : bool, whether this call made it.
    """

    shards: int
    identity: str
    created: bool


def ensure(client: redis.Redis, shards: int, *, identity: str = "", patience_s: float = 10.0) -> Manifest:
    """Make the manifest and the empty shards, or check those that are there.

    Parameters
    ----------
    shards : int, how many shards the configuration wants.
    identity : str, what an earlier call answered; if given, nothing new is made and another identity halts.

    Raises
    ------
    ShardLost if a listed shard, or the manifest itself, is gone; StateFormat if it was made with another number of
    shards or by another version; StateUnavailable.
    """
    caller = Caller(client, patience_s=patience_s)
    if identity and not caller.patiently(lambda: command(client, "EXISTS", MANIFEST)):
        message = "the state in Redis is gone, or this is another Redis; restore a copy, or begin with a new --data"
        raise ShardLost(message)
    keys = [MANIFEST, *(ShardKeys.of(shard).meta for shard in range(shards))]
    args = (shards, FORMAT, secrets.token_hex(8), Record().encode())
    status, n, version, found, places = (part.decode() for part in caller.run(MANIFEST_SCRIPT, keys, args))
    if status == "LOST":
        message = f"the manifest is gone but shards {places} exist; restore Redis from a copy"
        raise ShardLost(message)
    if int(version) != FORMAT:
        message = f"the state has format {version}, this Headgate reads {FORMAT}; use the version that wrote it"
        raise StateFormat(message)
    if int(n) != shards:
        message = f"the state was made with {n} shards, the configuration wants {shards}; set shards = {n}"
        raise StateFormat(message)
    if places:
        message = f"shards {places} ought to exist but have no state in Redis; restore Redis from a copy"
        raise ShardLost(message)
    if identity and found != identity:
        message = "this Redis holds another state than before; restore the right copy, or begin with a new --data"
        raise ShardLost(message)
    return Manifest(shards, found, status == "CREATED")
