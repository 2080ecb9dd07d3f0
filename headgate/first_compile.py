"""The first start: every kernel compiled once, with a line that says so, so that nobody waits in silence.

Rules of this file: what is compiled stays on disk until a source changes (`headgate.kernel_cache`); compiling is done
by use: a tiny market is played, which runs whatever a demo or a simulation runs.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headgate.kernel_cache import HOUSE, STAMP, drop_stale

DONE: Final = STAMP.with_name("kernels.compiled")
_DAYS: Final = 3.0


def compile_kernels(say: Callable[[str], None], house: Path = HOUSE) -> float:
    """Compile all kernels unless that was done since the sources last changed.

    Parameters
    ----------
    say : told one line before the work and one after it; not called where nothing is to be done.

    Returns
    -------
    float, seconds it took; 0 where nothing was to be done.
    """
    drop_stale(house)
    if _is_done(house):
        return 0.0
    say("compiling kernels, once: half a minute to two, as the machine is busy")
    began = time.monotonic()
    _use_them()
    with contextlib.suppress(OSError):  # a house that cannot be written: numba keeps its caches elsewhere
        (house / DONE).write_text((house / STAMP).read_text())
    seconds = time.monotonic() - began
    say(f"kernels compiled in {seconds:.0f} s")
    return seconds


def _is_done(house: Path) -> bool:
    try:
        return (house / DONE).read_text() == (house / STAMP).read_text()
    except OSError:
        return False


def _use_them() -> None:
    for policy in ("thresholds", "headgate"):
        _play(policy)


def _play(policy: str) -> None:
    """A tiny market under a policy, and the lists of what became of it."""
    from connectors.worlds.market import Market
    from connectors.worlds.protocol import CheckedWorld
    from engine.shard import Shard
    from engine.step import step
    from headgate.ad_rows import ad_rows
    from headgate.attribution_rows import attribution_rows
    from headgate.settings import Settings
    from headgate.simulation import acting, simulate, with_policy

    market = Market(1, mode="both", ads=4, daily_budget=400.0, refunds=0.2)
    config = acting(with_policy(Settings.model_validate(market.settings()).engine(), policy))
    shard = Shard(0, config)
    simulate(CheckedWorld(market, "market"), config, _DAYS, take=lambda items: step(shard, items))
    ad_rows(shard)
    list(attribution_rows(shard))


def say(line: str) -> None:
    """Tell people, beside the answer."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    """``python -m headgate.first_compile``: what ``make setup`` ends with."""
    compile_kernels(say)


if __name__ == "__main__":
    main()
