"""What one commit sends: the delta, the offsets, the outbox entries, the dead letters, the summaries, as one message.

Rules of this file: no IO; a commit packed once is sent as it is however often, and its digest tells it from any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.table import Change
from state import delta

Numbered = tuple[int, Mapping[bytes, bytes]]
"""An outbox entry or a dead letter: its number (1, 2, 3, ... per shard, from the engine) and its fields."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shard stands: the last commit, the last outbox number, the last dead-letter number; 0: none yet."""

    seq: int
    out_number: int
    dlq_number: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A commit ready to be sent.

    Attributes
    ----------
    args : arguments of the commit script behind its guard.
    digest : str, 32 hex digits over all of them.
    size : int, bytes of the delta.
    after : where the shard stands once it landed.
    """

    args: list[bytes | str | int]
    digest: str
    size: int
    after: Place


def pack(
    changes: Sequence[Change],
    place: Place,
    offsets: Mapping[str, int],
    outbox: Sequence[Numbered],
    dead_letters: Sequence[Numbered],
    summaries: Mapping[bytes, bytes],
) -> Packed:
    """Pack the commit that follows ``place``.

    Raises
    ------
    ValueError if a number does not follow the one before it.
    """
    blob = delta.encode(changes, place.seq + 1)
    after = Place(
        place.seq + 1,
        _last("outbox entry", place.out_number, outbox),
        _last("dead letter", place.dlq_number, dead_letters),
    )
    head: list[bytes | str | int] = [place.seq, after.seq]
    head += [place.out_number, after.out_number, place.dlq_number, after.dlq_number]
    rest: list[bytes | str | int] = [2 * len(offsets)]
    for stream, offset in offsets.items():
        rest += (stream, offset)
    for entries in (outbox, dead_letters):
        rest.append(len(entries))
        for number, fields in entries:
            rest += (f"{number}-0", 2 * len(fields))
            for name, value in fields.items():
                rest += (name, value)
    rest.append(2 * len(summaries))
    for ad, summary in summaries.items():
        rest += (ad, summary)
    digest = digest_of(delta.checksum(blob), len(blob), *head, *rest)
    return Packed([*head, blob, *rest], digest, len(blob), after)


def digest_of(*parts: bytes | str | int) -> str:
    """A digest of a sequence of parts, 32 hex digits; where one part ends and the next begins counts."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _last(what: str, last: int, entries: Sequence[Numbered]) -> int:
    for number, _ in entries:
        if number != last + 1:
            message = f"{what} {number} does not follow {last}"
            raise ValueError(message)
        last = number
    return last
