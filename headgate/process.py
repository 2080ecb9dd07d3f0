"""A long-lived process: its allocator and its garbage collector, set for work on large arrays.

Rules of this file: nothing here changes a result. Fresh memory is dear where a machine is virtual (a page fault costs
microseconds), so what was freed is kept; what was imported is never garbage, so the collector need not look at it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEEP_BYTES: Final = 1 << 30


def settle_in() -> None:
    """Keep freed memory instead of giving it back (glibc only), and take all objects so far out of the collector."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
    gc.collect()
    gc.freeze()
