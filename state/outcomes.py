"""The outcomes on their way from the ledger to the event log.

Rules of this file: outcomes are numbered per shard by the ledger, in the script that made them, and kept for a while
after they were passed on, so a log that lost its tail can be given them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from state import ledger_keys as keys
from state.caller import Caller
from state.redis_client import command

KEEP: Final = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: number in its shard, result, reason, what was observed, when."""

    number: int
    command_id: str
    result: str
    reason: str
    observed_micros: int | None
    at_ms: int


class Outcomes:
    """The ledger's outcome streams.

    Parameters
    ----------
    caller : on the ledger's client.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def numbers(self) -> dict[int, int]:
        """The number of the last outcome of each shard that has any."""
        found = self._caller.patiently(lambda: self._caller.client.hgetall(keys.NUMBERS))
        return {int(shard): int(number) for shard, number in found.items()}

    def after(self, shard: int, number: int, count: int) -> list[Outcome]:
        """Up to ``count`` outcomes of a shard behind ``number``, in order."""
        key = keys.outcomes(shard)
        ask = ("XRANGE", key, f"{number + 1}-0", "+", "COUNT", count)
        rows = self._caller.patiently(lambda: command(self._caller.client, *ask))
        return [_outcome(name, row) for name, row in rows]

    def trim(self, shard: int, number: int) -> None:
        """Forget outcomes long before ``number``, up to which the log has them."""
        key, oldest = keys.outcomes(shard), max(0, number - KEEP)
        self._caller.patiently(lambda: self._caller.client.xtrim(key, minid=f"{oldest}-0", approximate=False))


def _outcome(name: bytes, flat: Sequence[bytes]) -> Outcome:
    row = dict(zip(flat[::2], flat[1::2], strict=True))
    observed = row[b"observed"]
    return Outcome(
        number=int(name.split(b"-")[0]),
        command_id=row[b"id"].decode(),
        result=row[b"result"].decode(),
        reason=row[b"reason"].decode(),
        observed_micros=int(observed) if observed else None,
        at_ms=int(row[b"at"]),
    )
