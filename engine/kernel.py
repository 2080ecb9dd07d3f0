"""How kernels are compiled: one set of options for all of them.

Rules of this file: a kernel allocates nothing (it has no reference counting to free it with), which spares it an
atomic count for every array it touches; never ``fastmath``; division by zero raises as in Python; compiled code is kept
on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])
Int: TypeAlias = int | np.integer[Any]
"""A number as kernels pass it: an ``int`` from Python, a numpy integer from a row; int64 once compiled."""
OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "python", "_nrt": False}

if TYPE_CHECKING:

    def kernel(function: Function) -> Function:
        """Compile a kernel."""

    def inlined(function: Function) -> Function:
        """Compile what runs once a field or more often into its callers."""

else:
    kernel = njit(**OPTIONS)
    inlined = njit(**OPTIONS, forceinline=True)
