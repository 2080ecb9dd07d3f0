"""The demo's loop: a simulated market lives on the real parts, a few virtual hours a turn.

Rules of this file: nothing is short-cut: events go through the log, decisions through the outbox, commands through the
ledger and the guardrails, outcomes back into the log. Time is virtual and goes in lockstep: a turn ends when its tick
is decided and its commands are carried out, so the same seed shows the same demo on a slow machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.log import Mark, cut
from connectors.simulated_platform import WorldPlatform
from connectors.worlds.market import Market
from connectors.worlds.protocol import as_line
from engine.decision import unpack
from engine.events import MS_PER_HOUR
from engine.hashing import partition
from engine.record import Reading
from headgate.refusal import Refused
from headgate.roles import make_executor
from headgate.session import Session
from state.outbox import Outbox

TURN_MS: Final = MS_PER_HOUR
"""Virtual time of one turn."""
ACT_MS: Final = 30_000
"""Virtual time after a tick at which its commands are carried out: the longest jitter has passed."""
PRODUCER: Final = "headgate.demo"
_DECIDED_WITHIN_S: Final = 300.0  # the first start compiles the kernels
_LOOK_S: Final = 0.005


@dataclass(slots=True)
class Seen:
    """What came out of the outboxes so far: decision records and commands, oldest first."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    commands: int = 0


class DemoLoop:
    """A market on the real parts.

    Parameters
    ----------
    session : opened with a ledger. market : the world. decides : whether the decide role is still at work.

    Attributes
    ----------
    now_ms : int, virtual time. seen : what was decided.
    """

    def __init__(self, session: Session, market: Market, decides: Callable[[], bool]) -> None:
        self.now_ms = market.start_ms
        self.seen = Seen()
        self._market = market
        self._session = session
        self._decides = decides
        self._log = session.log()
        self._outbox = Outbox(session.caller.client)
        self._platform = WorldPlatform(market)
        conditions = market.conditions
        self._shard_of = {
            name: partition(conditions.tenant, name, len(session.shards)) for name, _ in conditions.accounts
        }
        self._out_numbers = dict.fromkeys(self.shards, 0)
        self._executor = make_executor(session, lambda: self.now_ms, platform=self._platform, shards=self.shards)
        for shard in self.shards:
            self._append(shard, [])

    @property
    def shards(self) -> list[int]:
        """The shards that the market's accounts fall into."""
        return sorted(set(self._shard_of.values()))

    def turn(self) -> None:
        """One turn: the market lives, the tick is decided, the commands are carried out.

        Raises
        ------
        Refused if the decide role ended or does not keep up.
        """
        self.now_ms += TURN_MS
        self._feed()
        self._wait_decided()
        self._look()
        self.now_ms += ACT_MS
        while self._executor.turn():
            pass
        self.now_ms -= ACT_MS

    def _feed(self) -> None:
        """Append the turn's events and its tick to the log of each shard."""
        lines: dict[int, list[bytes]] = {shard: [] for shard in self.shards}
        for event in self._market.advance(self.now_ms):
            lines[self._shard_of[event["account"]]].append(as_line(event))
            if event["kind"] == "catalog":
                standing = Reading(event["daily_budget_micros"], event["status"] == "paused")
                self._platform.see(event["tenant"], event["account"], event["budget_entity"], standing)
        for shard, own in lines.items():
            self._append(shard, list(cut(own)))

    def _append(self, shard: int, entries: list[bytes]) -> None:
        """Append entries and the tick of now; until the next one nothing is from the future, outcomes included."""
        sequence = self._log.last_sequence(shard, PRODUCER) + 1
        self._log.append(shard, PRODUCER, sequence, [*entries, Mark("tick", self.now_ms, self.now_ms + TURN_MS)])

    def _wait_decided(self) -> None:
        """Wait until the decide role has committed all that the log holds."""
        ends = self._log.end_offsets()
        patience_s = time.monotonic() + _DECIDED_WITHIN_S
        for shard in self.shards:
            while not self._reached(shard, ends[shard]):
                if not self._decides():
                    message = "the demo's decide role ended early; headgate demo --data DIR keeps DIR/decide.log"
                    raise Refused(message)
                if time.monotonic() > patience_s:
                    message = f"the demo's decide role stood still for {_DECIDED_WITHIN_S:.0f} s; is the machine busy?"
                    raise Refused(message)
                time.sleep(_LOOK_S)

    def _reached(self, shard: int, ends: dict[str, int]) -> bool:
        reached = self._session.store(shard).standing().offsets
        return all(reached.get(stream, 0) >= end for stream, end in ends.items())

    def _look(self) -> None:
        """Take what is new in the outboxes, for the eye."""
        while entries := self._outbox.read(self._out_numbers):
            for entry in entries:
                self._out_numbers[entry.shard] = entry.number
                if b"c" in entry.fields:
                    self.seen.commands += 1
                elif b"d" in entry.fields:
                    rows = unpack(entry.fields[b"d"], self._session.config.policy_seed)
                    self.seen.decisions += rows
                    self.seen.verdicts.update(str(row["verdict"]) for row in rows)
