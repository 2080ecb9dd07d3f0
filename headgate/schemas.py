"""``headgate schema``: what a line and a settings file may hold, for other people's validators."""

from __future__ import annotations

import sys
from typing import Any

import orjson

from connectors.wire.schema import KINDS, wire_schema
from headgate.complaints import nearest
from headgate.refusal import Refused
from headgate.settings import Settings

SETTINGS = "settings"


def schemas(name: str | None) -> dict[str, Any]:
    """One schema, or all of them by name.

    Raises
    ------
    Refused if there is no schema of that name.
    """
    if name is None:
        return {**{kind: wire_schema(kind) for kind in KINDS}, SETTINGS: _settings()}
    if name == SETTINGS:
        return _settings()
    if name not in KINDS:
        known = [*KINDS, SETTINGS]
        message = f'schema: there is no "{name}"{nearest(name, known) or "; there are " + ", ".join(known)}'
        raise Refused(message)
    return wire_schema(name)


def print_schema(name: str | None) -> None:
    """Print it, indented for people when the standard output is a terminal."""
    style = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    sys.stdout.write(orjson.dumps(schemas(name), option=style).decode() + "\n")


def _settings() -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
