"""How kernels are compiled: one set of options for all of them.

Rules of this file: `KERNEL` functions allocate nothing (they have no reference counting to free it with), which spares
them an atomic count for every array they touch; never ``fastmath``; division by zero raises as in Python.
"""

from __future__ import annotations

from typing import Any, Final

KERNEL: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "python", "_nrt": False}
INLINED: Final[dict[str, Any]] = KERNEL | {"forceinline": True}
