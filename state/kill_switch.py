"""The kill switches: one for all, one per tenant, one per account; and a file that works when Redis is gone.

Rules of this file: a switch is read inside the script that permits a send (see `state.ledger_scripts`), never cached;
the file is looked at right before each send.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from state import ledger_keys as keys
from state.caller import Caller

FILE_NAME: Final = "STOP"


class KillSwitch:
    """Switches on the ledger's Redis, and the file in the data directory.

    Parameters
    ----------
    caller : on the ledger's client.
    data : Path, the data directory.
    """

    def __init__(self, caller: Caller, data: Path) -> None:
        self._caller = caller
        self.file = data / FILE_NAME

    def stop(self, scope: str, actor: str, reason: str, now_ms: int) -> None:
        """Stop "global", "tenant:T" or "account:T/A"; stopping twice keeps the first words."""
        words = f"{now_ms} {actor} {reason}"
        self._caller.patiently(lambda: self._caller.client.hsetnx(keys.STOPS, scope, words))

    def resume(self, scope: str) -> bool:
        """Lift a stop; whether there was one."""
        return bool(self._caller.patiently(lambda: self._caller.client.hdel(keys.STOPS, scope)))

    def stops(self) -> dict[str, str]:
        """The stops that are on: scope -> when (ms), who and why; the file as scope "file"."""
        found = self._caller.patiently(lambda: self._caller.client.hgetall(keys.STOPS))
        stops = {scope.decode(): words.decode() for scope, words in sorted(found.items())}
        return stops | ({"file": str(self.file)} if self.by_file() else {})

    def by_file(self) -> bool:
        """Whether the file is there; needs no Redis. A directory that cannot be looked into counts as stopped."""
        try:
            return self.file.exists()
        except OSError:
            return True
