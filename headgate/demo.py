"""``headgate demo``: everything embedded, a simulated market, a live view; it ends by itself.

Rules of this file: the demo has a folder of its own (a temporary one, or an empty ``--data``) with a ``headgate.toml``
inside, so that every other command can be tried on it; the decide role runs as the process it always is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from connectors.worlds.market import Market
from headgate.ad_rows import ad_rows
from headgate.asked import Asked
from headgate.demo_loop import TURN_MS, DemoLoop
from headgate.demo_view import AdLine, Frame, draw, in_words
from headgate.first_compile import compile_kernels, say
from headgate.refusal import Refused
from headgate.session import Session, open_session
from headgate.toml_text import toml_of

SECONDS: Final = 60.0
HOURS_PER_SECOND: Final = 6.0
"""Virtual hours in a second of the demo."""
_TURN_S: Final = TURN_MS / 3_600_000 / HOURS_PER_SECOND
_FRAME_S: Final = 0.5
_NEWS: Final = 8
_END_S: Final = 10.0
_MARKET: Final[dict[str, Any]] = {
    "mode": "both", "ads": 8, "daily_budget": 400.0, "days": 15, "launches": 2, "spread": 1.1, "deal_value": 600.0,
}  # fmt: skip


def show(asked: Asked, seconds: float | None = None) -> dict[str, Any]:
    """Run the demo and sum it up.

    Parameters
    ----------
    asked : ``--data`` names a folder that does not exist yet or is empty; without it a temporary one is used.
    seconds : how long, of real time; None is a minute.

    Returns
    -------
    dict: first_decision_s, decisions, commands, verdicts.

    Raises
    ------
    Refused if the folder is in use, or a role ended early.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        folder = _folder(asked, stack)
        compile_kernels(say)
        market = Market(7, **_MARKET)
        config = folder / "headgate.toml"
        config.write_text(toml_of(market.settings() | {"defaults": {"autonomy": "act"}}))
        own = Asked(config, folder, asked.as_json)
        session = stack.enter_context(open_session(own, begin=True, with_ledger=True))
        return _Show(session, market, asked.as_json, began).run(seconds or SECONDS)


class _Show:
    """The demo on an open session."""

    def __init__(self, session: Session, market: Market, is_quiet: bool, asked_s: float) -> None:
        self._session = session
        self._market = market
        self._is_quiet = is_quiet
        self._asked_s = asked_s
        self._first_s: float | None = None
        self._frame: Frame | None = None

    def run(self, seconds: float) -> dict[str, Any]:
        began = time.monotonic()
        console = Console(stderr=True, quiet=self._is_quiet)
        with (
            decide_role(self._session) as role,
            Live(get_renderable=lambda: draw(self._frame), console=console, refresh_per_second=2, transient=False),
        ):
            loop = DemoLoop(self._session, self._market, lambda: role.poll() is None)
            with suppress(KeyboardInterrupt):  # the viewer has seen enough; the summary follows
                self._play(loop, began, seconds)
        seen = loop.seen
        return {
            "first_decision_s": None if self._first_s is None else round(self._first_s, 2),
            "decisions": len(seen.decisions),
            "commands": seen.commands,
            "verdicts": dict(sorted(seen.verdicts.items())),
        }

    def _play(self, loop: DemoLoop, began: float, seconds: float) -> None:
        drawn = 0.0
        while (now := time.monotonic()) - began < seconds:
            loop.turn()
            if self._first_s is None and loop.seen.decisions:
                self._first_s = time.monotonic() - self._asked_s
            if not self._is_quiet and now - drawn >= _FRAME_S:
                self._frame = self._picture(loop, began + seconds - now)
                drawn = now
            time.sleep(max(0.0, now + _TURN_S - time.monotonic()))

    def _picture(self, loop: DemoLoop, left_s: float) -> Frame:
        truth = self._market.report()["ads"]
        rows = [row for shard in loop.shards for row in ad_rows(self._session.peek(shard)[0])]
        rows = sorted((row for row in rows if row["ad_id"] in truth), key=lambda row: str(row["ad_id"]))
        share_micros = round(self._market.conditions.share * 1_000_000)
        ads = [
            AdLine(
                name=row["ad_id"],
                status=truth[row["ad_id"]]["status"],
                verdict=row["verdict"] or "-",
                reason=row["reason"] or "",
                spend_micros=row["spend_micros"],
                value_micros=row["revenue_micros"] + row["pipeline_micros"],
                budget_micros=truth[row["ad_id"]]["budget_micros"],
                budget_before_micros=share_micros,
            )
            for row in rows
        ]
        news = [in_words(row, self._market.start_ms) for row in loop.seen.decisions[-_NEWS:]]
        counts = {"decisions": len(loop.seen.decisions), "commands": loop.seen.commands}
        day = (loop.now_ms - self._market.start_ms) / 86_400_000
        return Frame(day, left_s, ads, news, counts)


@contextmanager
def decide_role(session: Session) -> Iterator[subprocess.Popen[bytes]]:
    """The decide role as a process of its own, ended with the block."""
    command = [sys.executable, "-m", "headgate", "decide", "--data", str(session.folder)]
    command += ["--config", str(session.folder / "headgate.toml")]
    with (session.folder / "decide.log").open("wb") as log:
        role = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield role
        finally:
            role.terminate()
            try:
                role.wait(_END_S)
            except subprocess.TimeoutExpired:
                role.kill()
                role.wait()


def _folder(asked: Asked, stack: ExitStack) -> Path:
    if asked.data is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-demo-")))
    if asked.data.exists() and (not asked.data.is_dir() or any(asked.data.iterdir())):
        message = f"{asked.data} is not empty; the demo wants a folder of its own: another --data, or none"
        raise Refused(message)
    asked.data.mkdir(parents=True, exist_ok=True)
    return asked.data
