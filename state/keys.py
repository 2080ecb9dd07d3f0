"""Every Redis key of the state, in one table.

Rules of this file: all keys of a shard carry its hash tag ``{sNN}``, so a script may touch them together; a key that
is not made here does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FORMAT: Final = 1
"""Version of everything stored under these keys; a reader refuses another one."""

MANIFEST: Final = "headgate:manifest"
"""Hash: shards, format, identity - which shards ought to exist."""


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """The keys of one shard.

    Attributes
    ----------
    meta : hash: owner, lease, holder, step, digest, seq, out, dlq, checkpoint, format, code.
    offsets : hash: stream -> last consumed offset.
    delta : stream ``<seq>-0``: field ``d`` holds one binary delta.
    chunks : hash: ``table:k`` -> what is known of the chunk.
    out : stream ``<number>-0``: the outbox.
    dlq : stream ``<number>-0``: the dead letters.
    ads : hash: the readable summaries.
    """

    tag: str
    meta: str
    offsets: str
    delta: str
    chunks: str
    out: str
    dlq: str
    ads: str

    @classmethod
    def of(cls, shard: int) -> ShardKeys:
        """The keys of shard number ``shard`` (0, 1, 2, ...)."""
        tag = f"{{s{shard:02d}}}"
        names = ("meta", "offsets", "delta", "chunks", "out", "dlq", "ads")
        return cls(tag, *(f"{tag}:{name}" for name in names))

    def chunk(self, field: str) -> str:
        """The key of one chunk; ``field`` is ``table:k`` as in the chunks hash."""
        return f"{self.tag}:chunk:{field}"
