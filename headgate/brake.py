"""The brake: one file that stops every write to every platform, also when Redis is gone.

Rules of this file: the brake is on while the file ``STOP`` is in the data folder; whoever writes to a platform
asks `is_on` before each write. The file is written beside and then renamed, so that no reader sees half of it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from headgate.asked import Asked
from headgate.refusal import Refused

NAME: Final = "STOP"
REACH_S: Final = 1.0


class Brake:
    """The kill switch of a data folder.

    Parameters
    ----------
    folder : Path, the data folder (``--data``); created when the brake is pulled.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / NAME

    def is_on(self) -> bool:
        """Whether no platform may be written to; one system call."""
        return self.file.exists()

    def pull(self, actor: str, reason: str) -> dict[str, Any]:
        """Put the brake on; pulling it again keeps the first act.

        Returns
        -------
        dict with ``stopped``, ``actor``, ``reason``, ``at_ms`` of the act that holds.
        """
        if not self.is_on():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            act = {"actor": actor, "reason": reason, "at_ms": time.time_ns() // 1_000_000}
            beside = self.file.with_name(f"{NAME}.{os.getpid()}")
            beside.write_text(json.dumps(act), "utf-8")
            beside.replace(self.file)
        return {"stopped": True, **self._act()}

    def release(self, actor: str, reason: str) -> dict[str, Any]:
        """Take the brake off."""
        was_on = self.is_on()
        self.file.unlink(missing_ok=True)
        return {"stopped": False, "was_stopped": was_on, "actor": actor, "reason": reason}

    def tell_ledger(self, asked: Asked, *, stopped: bool) -> str:
        """Turn the switch of a ledger that executors on other machines share; the embedded one needs only the file.

        Returns
        -------
        str, what was done about it, for people.
        """
        from headgate.settings import EMBEDDED
        from state.caller import Caller
        from state.errors import StateError
        from state.kill_switch import KillSwitch
        from state.redis_client import connect

        try:
            url = asked.settings().ledger.url
            if url == EMBEDDED:
                return "embedded: the file is enough"
            switch = KillSwitch(Caller(connect(url, timeout_s=REACH_S), patience_s=REACH_S), self.file.parent)
            if stopped:
                act = self._act()
                switch.stop("global", str(act.get("actor", "")), str(act.get("reason", "")), int(act.get("at_ms", 0)))
            else:
                switch.resume("global")
        except (StateError, Refused) as fault:
            if not stopped:
                raise
            return f"not told, only executors that see {self.file} stop: {fault}"
        return "told"

    def _act(self) -> dict[str, Any]:
        try:
            act = json.loads(self.file.read_text("utf-8"))
        except (json.JSONDecodeError, FileNotFoundError):
            return {}
        return dict(act) if isinstance(act, dict) else {}
