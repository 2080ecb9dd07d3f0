"""Drive an engine over lines, cut wherever a test likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from connectors.wire.decode import decode, line_fields
from engine.config import EngineConfig
from engine.events import Kind, Refusal
from engine.plan import Tick
from engine.shard import Shard
from engine.step import Lines, Output, step


def lines_of(payloads: Sequence[bytes], offset: int, *, trusted: bool = False) -> Lines:
    """Decode payloads as entries of a log, numbered from ``offset``."""
    decoded = decode(payloads, trusted=trusted)
    events = decoded.events
    rare = np.flatnonzero((events["kind"] >= Kind.CATALOG) & (events["refusal"] == Refusal.ACCEPTED))
    details = {int(i): line_fields(decoded.data, events[i]) for i in rare}
    return Lines(decoded.data, events, "test", np.arange(offset, offset + len(payloads)), details=details)


class Drive:
    """An engine and everything it gave out."""

    def __init__(self, config: EngineConfig, clock_ms: int) -> None:
        self.shard = Shard(0, config)
        self.clock_ms = clock_ms
        self.outputs: list[Output] = []
        self.offset = 0
        self.tick(0)

    def feed(self, lines: Sequence[bytes]) -> None:
        """Feed lines, each an entry of the log of its own, in one step."""
        self.outputs.append(step(self.shard, [lines_of(lines, self.offset + 1)]))
        self.offset += len(lines)

    def feed_trusted(self, lines: Sequence[bytes]) -> None:
        """Feed lines that may hold outcome and control events."""
        self.outputs.append(step(self.shard, [lines_of(lines, self.offset + 1, trusted=True)]))
        self.offset += len(lines)

    def tick(self, now_ms: int, *, end: bool = False) -> None:
        """Let the engine's time come to ``now_ms``."""
        self.offset += 1
        self.outputs.append(step(self.shard, [Tick(now_ms, self.clock_ms, end, "test", self.offset)]))

    def dead_letters(self) -> list[tuple[str, bytes]]:
        """Reason and line of all that was refused, in order."""
        return [(letter.reason, letter.raw) for output in self.outputs for letter in output.dead_letters]

    def decisions(self) -> list[Any]:
        """All decision rows as bytes, with their names."""
        return [(number, rows.tobytes(), names) for output in self.outputs for number, rows, names in output.decisions]
