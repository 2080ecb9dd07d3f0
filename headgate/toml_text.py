"""Settings as the text of a TOML file.

Rules of this file: what is written reads back as the same tables; the texts of JSON for strings, numbers, truths and
lists are those of TOML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def toml_of(settings: Mapping[str, Any], path: str = "") -> str:
    """Nested tables of texts, numbers, truths and lists of these as TOML; a value that is None is left out."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in settings.items():
        name = orjson.dumps(key).decode()
        if isinstance(value, Mapping):
            tables.append(toml_of(value, f"{path}.{name}" if path else name))
        elif value is not None:
            lines.append(f"{name} = {orjson.dumps(value).decode()}")
    head = [f"[{path}]"] if path and lines else []
    return "\n".join([*head, *lines, *tables]) + "\n"
