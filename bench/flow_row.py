"""The whole flow: log in Redis -> Bytewax -> engine -> guarded commits, until all of the log is decided.

Rules of this file: the servers, the session and the flow are those of ``headgate run``; the log is filled before the
clock starts, the answer is read back from Redis after it has stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import workload
from bench.engine_row import WARM_EVENTS, answer_of
from bench.flow import digest_of, write_workload
from bench.harness import Took, cpu_of, peak_mb, timed, workplace
from connectors.embedded_redis import connect_or_start
from headgate.asked import Asked
from headgate.roles import decide_flow, feed_files, run_flow
from headgate.session import Session, open_session

if TYPE_CHECKING:
    from flows.shard_logic import Commit


def run(path: str, accounts: int) -> dict[str, Any]:
    """Measure it on a file of the workload."""
    with workplace() as folder:
        small = folder / "warm.ndjson"
        write_workload(small, WARM_EVENTS, 50, 4, 1)
        _, warm = session_of(folder / "warm", 4)
        with open_session(warm, begin=True) as session:
            drain(session, small, 0)
        server_folder, asked = session_of(folder / "data", accounts)
        with connect_or_start(server_folder) as server, open_session(asked, begin=True) as session:
            took, server_s, commits = drain(session, Path(path), server.pid)
            peak = peak_mb()
            shards = [session.peek(shard)[0] for shard in session.shards]
    return {
        "answer": digest_of(answer_of(shards)),
        "events": sum(int(shard.row["lines"]) for shard in shards),
        "cpu_s": took.cpu_s,
        "wall_s": took.wall_s,
        "peak_mb": peak,
        "server_cpu_s": server_s,
        "commits": commits,
    }


def session_of(folder: Path, accounts: int) -> tuple[Path, Asked]:
    """A new data folder with the workload's configuration beside it."""
    folder.mkdir()
    settings = folder / "headgate.toml"
    settings.write_text(workload.config_toml(accounts))
    return folder, Asked(config=settings, data=folder, as_json=True)


def drain(session: Session, path: Path, server_pid: int) -> tuple[Took, float, int]:
    """Fill the log, then decide all of it; returns what deciding took here, at the server, and in commits."""
    feed_files(session, [path], workload.CLOCK_MS, trusted=False, quiet=True)
    commits: list[int] = []

    def watch(commit: Commit) -> None:
        commits.append(commit.events)

    server_s = cpu_of(server_pid) if server_pid else 0.0
    with timed() as took:
        run_flow(decide_flow(session, until_idle=True, watch=watch))
    server_s = cpu_of(server_pid) - server_s if server_pid else 0.0
    return took, server_s, len(commits)
