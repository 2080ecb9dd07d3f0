"""What ``python -m bytewax.run flows.decide`` opens: the settings and data folder that the environment names.

Rules of this file: HEADGATE_CONFIG and HEADGATE_DATA stand for ``--config`` and ``--data``; HEADGATE_SHARDS for
``--shards``; HEADGATE_UNTIL_IDLE for ``--until-idle``. The session stays open until the process ends.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from headgate.asked import Asked
from headgate.roles import decide_flow
from headgate.session import open_session

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow


def open_decide() -> Dataflow:
    """Open the session and build the flow; SIGTERM drains it."""
    from headgate.commands.roles import parse_shards

    config, data = os.environ.get("HEADGATE_CONFIG"), os.environ.get("HEADGATE_DATA")
    stack = ExitStack()
    atexit.register(stack.close)
    asked = Asked(Path(config) if config else None, Path(data) if data else None)
    session = stack.enter_context(open_session(asked, begin=True))
    signals: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    signal.signal(signal.SIGTERM, note)
    flow = decide_flow(
        session,
        parse_shards(os.environ.get("HEADGATE_SHARDS")),
        until_idle=bool(os.environ.get("HEADGATE_UNTIL_IDLE")),
        stopped=lambda: bool(signals),
    )
    flow.halt.at_once = _leave
    return flow


def _leave(fault: Exception) -> None:
    """Say why and end this process now: Bytewax would end well, or wait for peers that know nothing of it."""
    sys.stderr.write(f"headgate: {fault}\n")
    sys.stderr.flush()
    os._exit(1)
