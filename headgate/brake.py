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

NAME: Final = "STOP"


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

    def _act(self) -> dict[str, Any]:
        try:
            act = json.loads(self.file.read_text("utf-8"))
        except (json.JSONDecodeError, FileNotFoundError):
            return {}
        return dict(act) if isinstance(act, dict) else {}
