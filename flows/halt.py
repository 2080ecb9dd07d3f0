"""Why a flow stands down: the first fault that any of its shards met.

Rules of this file: an error raised through Bytewax becomes a panic that takes threads and peers down with pages of
noise; so what may go wrong at run time (a server away, a shard taken over) is noted here instead, every source ends,
and the shards that are sound commit what they have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connectors.log import LogError
from state.errors import StateError


class StandDown(Exception):
    """The shard cannot go on here; the message is one line for people."""


EXPECTED: Final = (StandDown, StateError, LogError)
"""What is noted; anything else is a fault of the program and may panic."""


class Halt:
    """Shared by all parts of one flow.

    Parameters
    ----------
    at_once : called with the first fault when it is noted, for a process that has nobody to raise it to.
    """

    def __init__(self, at_once: Callable[[Exception], None] = lambda fault: None) -> None:
        self.fault: Exception | None = None
        self.at_once = at_once

    def note(self, fault: Exception) -> None:
        """Note a fault; the first one counts."""
        if self.fault is None:
            self.fault = fault
            self.at_once(fault)
