"""SEAM: bodies that other modules provide; when the last one is wired, this file goes.

Rules of this file: a place is ``module:function``; what is not there yet is refused in one line, never an ImportError.
Every function takes the `Asked` of the command first and returns what the command prints.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from headgate.refusal import Refused


def body(place: str) -> Callable[..., Any]:
    """Find the body of a command.

    Raises
    ------
    Refused if the module or the function is not there yet.
    """
    module_name, name = place.split(":")
    parts = module_name.split(".")
    for i in range(1, len(parts) + 1):
        if importlib.util.find_spec(".".join(parts[:i])) is None:
            message = f"this command is not wired yet ({place} is missing)"
            raise Refused(message)
    found: Callable[..., Any] | None = getattr(importlib.import_module(module_name), name, None)
    if found is None:
        message = f"this command is not wired yet ({place} is missing)"
        raise Refused(message)
    return found
