"""What every benchmark measures with: CPU and wall clocks, peak memory, processes of their own, the machine's record.

Rules of this file: CPU seconds are those of all threads of a process; peak memory is that of the process's own image
(what `ru_maxrss` says includes the process it was forked from); what is measured runs in a child, so that no row
inherits another's memory, caches or compiled code.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn

from headgate.refusal import Refused

HOUSE: Final = Path(__file__).parent.parent
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Took:
    """What a block took: CPU seconds of this process, wall seconds."""

    cpu_s: float = 0.0
    wall_s: float = 0.0


@contextmanager
def timed() -> Iterator[Took]:
    """Measure a block; the numbers stand in what it yields once the block has ended."""
    took = Took()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield took
    took.cpu_s, took.wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s


def peak_mb() -> float:
    """The most memory this process ever held, in MB (10^6 bytes)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def cpu_of(pid: int) -> float:
    """CPU seconds of another process: all its threads, and its children that have ended (10 ms steps)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def fine_cpu_of(pid: int) -> float:
    """CPU seconds of the threads of another process in nanosecond steps, where the kernel tells them."""
    try:
        threads = [Path(thread, "schedstat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return cpu_of(pid)
    return sum(int(line.split()[0]) for line in threads) / 1e9


class Child:
    """``module:function`` with keyword arguments in a fresh interpreter; ended at the end of a ``with`` block.

    Parameters
    ----------
    place : str. given : what JSON can say.
    """

    def __init__(self, place: str, **given: Any) -> None:
        path = os.pathsep.join([str(HOUSE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._place = place
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the end of the block
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.child", place, json.dumps(given)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Child:
        """Use it in a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()

    def line(self) -> str:
        """The next line it prints.

        Raises
        ------
        Refused with its last words if it ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._fail()
        return line.strip()

    def answer(self) -> dict[str, Any]:
        """What it prints last, once it has ended.

        Raises
        ------
        Refused with its last words if it failed.
        """
        assert self._process.stdout is not None
        lines = self._process.stdout.read().splitlines()
        if self._process.wait() or not lines:
            self._fail()
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer

    def stop(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.terminate()

    def _fail(self) -> NoReturn:
        self._process.wait()
        self._said.seek(0)
        said = self._said.read()
        if os.environ.get("HEADGATE_DEBUG", "") not in {"", "0"}:
            sys.stderr.write(said)
        words = said.strip().splitlines() or ["it said nothing"]
        message = f"bench: {self._place} failed ({words[-1]}); HEADGATE_DEBUG=1 shows all of it"
        raise Refused(message)


def in_child(place: str, **given: Any) -> dict[str, Any]:
    """Call ``module:function`` in a fresh interpreter and wait for its answer, one JSON object.

    Raises
    ------
    Refused with the child's last words if it failed.
    """
    with Child(place, **given) as child:
        return child.answer()


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for the data of one benchmark, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as name:
        yield Path(name)


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was when they were."""
    load = os.getloadavg()
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("bytewax", "numpy", "numba", "orjson")},
        "load_1_min": round(load[0], 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
