"""The bodies of the roles, one process each: ingest files, decide, execute.

Rules of this file: opening and closing only; what a role does lies in connectors and flows. A role ends cleanly on
SIGTERM: the decide flow drains and commits, the executor finishes its turn.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from headgate.asked import Asked
from headgate.refusal import Refused
from headgate.session import Session, open_session

if TYPE_CHECKING:
    from connectors.feed import Fed
    from engine.execution import Terms
    from flows.decide import DecideFlow
    from flows.execute_ports import Platform
    from flows.shard_logic import Commit

LEASE_MS = 5_000
"""How long a reservation is left to the executor that made it, unless platforms settle sooner than that."""


def wall_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM and SIGINT set a flag instead of ending the process; yields the flag's reader."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ingest(asked: Asked, files: Sequence[Path], *, as_of_ms: int | None, trusted: bool) -> dict[str, Any]:
    """Append files to the log, once."""
    with open_session(asked, begin=True) as session:
        fed = feed_files(session, files, as_of_ms, trusted=trusted, quiet=asked.as_json)
    return {"lines": fed.lines, "appended": fed.appended, "resumed": fed.resumed}


def feed_files(session: Session, files: Sequence[Path], as_of_ms: int | None, *, trusted: bool, quiet: bool) -> Fed:
    """Feed files into the session's log, with a progress bar for people."""
    from connectors.feed import Feed, feed
    from headgate.output import progress_bar

    what = Feed(files, f"{trusted} {as_of_ms}")
    with progress_bar("feeding", quiet=quiet) as progress:
        return feed(session.log(), what, _clock_of(session.folder, what.name, as_of_ms), progress, trusted=trusted)


def _clock_of(folder: Path, name: str, as_of_ms: int | None) -> int:
    """The feed's clock: what was asked for, else the wall when the feed was first begun (kept, so that it resumes)."""
    if as_of_ms is not None:
        return as_of_ms
    note = folder / "feeds" / name
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_suffix(".new")
        fresh.write_text(str(wall_ms()))
        fresh.replace(note)
    return int(note.read_text())


def decide(asked: Asked, *, shards: list[int] | None, until_idle: bool) -> dict[str, Any]:
    """Run the decide flow until stopped, or until all that is in the log now is decided."""
    totals = {"events": 0, "decisions": 0, "commands": 0, "dead_letters": 0}

    def watch(commit: Commit) -> None:
        for name in totals:
            totals[name] += getattr(commit, name)

    with open_session(asked, begin=True) as session, stop_on_signal() as stopped:
        run_flow(decide_flow(session, shards, until_idle=until_idle, stopped=stopped, watch=watch))
    return totals


def decide_flow(
    session: Session,
    shards: list[int] | None = None,
    *,
    until_idle: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    watch: Callable[[Commit], None] = lambda commit: None,
) -> DecideFlow:
    """The decide flow on a session; ``until_idle``: it ends at what is the log's end now."""
    from flows.decide import build
    from flows.shard_logic import ShardEngine

    mine = list(session.shards) if shards is None else shards
    if beyond := [shard for shard in mine if shard not in session.shards]:
        message = f"--shards: there is no shard {beyond[0]}; there are {len(session.shards)}, counted from 0"
        raise Refused(message)
    ends = session.log().end_offsets() if until_idle else None
    return build(
        mine,
        make_log=session.log,
        make_engine=lambda shard: ShardEngine(session.store(shard), session.config),
        positions=lambda shard: dict(session.store(shard).standing().offsets),
        stopped=stopped,
        ends=ends,
        commit_every_s=session.settings.state.commit_interval_ms / 1000,
        watch=watch,
    )


def run_flow(flow: DecideFlow) -> None:
    """Run a flow in this thread, in a process set for it."""
    from flows.decide import run
    from headgate.process import settle_in

    settle_in()
    run(flow)


def execute(asked: Asked, *, until_idle: bool) -> dict[str, Any]:
    """Run the executor until stopped, or until nothing is due."""
    with open_session(asked, begin=True, with_ledger=True) as session, stop_on_signal() as stopped:
        executor = make_executor(session)
        if until_idle:
            executor.run_until_drained()
        else:
            executor.run(stopped)
    return {"done": True}


def make_executor(
    session: Session,
    clock: Callable[[], int] = wall_ms,
    *,
    platform: Platform | None = None,
    shards: Sequence[int] | None = None,
) -> Any:
    """The executor on a session.

    Parameters
    ----------
    session : opened with a ledger.
    clock : the time in ms.
    platform : the simulated platform; None: the one kept in the session's folder.
    shards : whose commands it carries out; None: all.
    """
    from connectors.simulated_platform import SimulatedPlatform
    from flows.execute import Executor
    from flows.execute_ports import Ports
    from state.caller import Caller
    from state.kill_switch import KillSwitch
    from state.ledger import Ledger
    from state.outbox import Outbox
    from state.outcomes import Outcomes
    from state.redis_client import connect

    assert session.ledger_url is not None
    caller = Caller(connect(session.ledger_url))
    session.stack.callback(caller.client.close)
    ports = Ports(
        ledger=Ledger(caller),
        outcomes=Outcomes(caller),
        switch=KillSwitch(caller, session.folder),
        outbox=Outbox(session.caller.client),
        log=session.log(),
        platforms={"simulated": platform or SimulatedPlatform(session.folder / "platform.ndjson")},
        clock=clock,
    )
    return Executor(ports, session.config, session.shards if shards is None else shards, _terms(session))


def _terms(session: Session) -> Terms:
    """The executor's times: how long a platform may change its mind is a setting, a lease is over well before."""
    from engine.execution import Terms

    settle_ms = session.settings.platforms.simulated.settle_s
    return Terms(owner=secrets.token_hex(16), settle_ms=settle_ms, lease_ms=min(LEASE_MS, settle_ms // 4))
