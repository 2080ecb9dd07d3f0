"""``headgate run``: files through the real log, flow, commit and executor, in event time.

Rules of this file: the phases follow one another (feed, decide, execute, until nothing is left), so that what the log
holds, and with it every decision, is a function of the files alone. The executor's clock is the engine's: history does
not act on today.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.asked import Asked
from headgate.roles import decide_flow, feed_files, make_executor, run_flow, stop_on_signal
from headgate.session import Session, open_session

if TYPE_CHECKING:
    from flows.shard_logic import Commit


def run(
    asked: Asked, files: Sequence[Path], *, as_of_ms: int | None, until_idle: bool, trusted: bool
) -> dict[str, Any]:
    """Feed files, decide and execute; return the counts.

    Parameters
    ----------
    until_idle : end when all is decided and executed; else go on deciding what others append, until stopped.
    """
    from headgate.output import progress_bar

    with (
        open_session(asked, begin=True, with_ledger=True) as session,
        stop_on_signal() as stopped,
    ):
        fed = feed_files(session, files, as_of_ms, trusted=trusted, quiet=asked.as_json)
        totals = {
            "lines": fed.lines,
            "resumed": fed.resumed,
            "events": 0,
            "decisions": 0,
            "commands": 0,
            "dead_letters": 0,
        }
        with progress_bar("deciding", quiet=asked.as_json) as progress:

            def watch(commit: Commit) -> None:
                for name in ("events", "decisions", "commands", "dead_letters"):
                    totals[name] += getattr(commit, name)
                progress(totals["events"], fed.lines)

            while not stopped():
                run_flow(decide_flow(session, until_idle=True, stopped=stopped, watch=watch))
                if not stopped():
                    make_executor(session, clock=_engine_clock(session)).run_until_drained()
                if until_idle and _is_idle(session):
                    break
        return totals


def _engine_clock(session: Session) -> Any:
    """The greatest tick that any shard has seen, as a clock that stands still."""
    now_ms = max(int(session.peek(shard)[0].row["now_ms"]) for shard in session.shards)
    return lambda: now_ms


def _is_idle(session: Session) -> bool:
    """Whether all of the log is decided."""
    ends = session.log().end_offsets()
    return all(
        session.store(shard).standing().offsets.get(stream, 0) >= end
        for shard, streams in ends.items()
        for stream, end in streams.items()
    )
