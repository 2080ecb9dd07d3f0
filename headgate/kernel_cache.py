"""The compiled kernels on disk, dropped as soon as any source they may have been made from has changed.

Rules of this file: numba looks only at the file of the kernel it loads, never at the files of the functions, constants
and row layouts compiled into it, so an old kernel would go on with an old layout and give wrong numbers without a word.
Here any change of any source of a room with kernels drops all of that room's caches; compiling again takes seconds.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

HOUSE: Final = Path(__file__).parent.parent
ROOMS: Final = ("engine", "connectors", "bench")
STAMP: Final = Path("engine", "__pycache__", "kernels.stamp")


def drop_stale(house: Path = HOUSE) -> bool:
    """Drop the compiled kernels if a source changed since they were last looked at.

    Parameters
    ----------
    house : Path, the folder of the rooms.

    Returns
    -------
    bool, whether they were dropped. A house that cannot be written has none: numba keeps its caches elsewhere there.
    """
    stamp, found = house / STAMP, _fingerprint(house)
    try:
        if stamp.exists() and stamp.read_text() == found:
            return False
        for room in ROOMS:
            for compiled in (house / room).rglob("__pycache__/*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        beside = stamp.with_name(f"{stamp.name}.{os.getpid()}")
        beside.write_text(found)
        beside.replace(stamp)
    except OSError:
        return False
    return True


def _fingerprint(house: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for room in ROOMS:
        for source in sorted((house / room).rglob("*.py")):
            known = source.stat()
            digest.update(f"{source.relative_to(house)} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()
