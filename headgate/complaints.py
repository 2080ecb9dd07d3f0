"""What pydantic found wrong, said as a person would: the key, what it is, what is allowed.

Rules of this file: one line a fault; the nearest valid name is offered where there is one (difflib).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from headgate.toml_places import Path

_QUOTED: Final = re.compile(r"'([^']*)'")
_SECRET: Final = re.compile(r"token|secret|password|api_key|credential", re.IGNORECASE)
_WANTED: Final = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be a text in quotes",
    "list_type": 'must be a list, as ["a", "b"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "missing": "is missing",
}
_PATTERNS: Final = {
    "^[A-Z]{3}$": "must be three capital letters, as USD",
    "^[A-Za-z0-9_.:-]{1,128}$": "may only hold letters, digits and _ . : -, 1 to 128 of them",
}


def complaint(error: Mapping[str, Any], model: type[BaseModel]) -> tuple[Path, str]:
    """Turn one entry of ``ValidationError.errors()`` into the key's path and a sentence.

    Parameters
    ----------
    error : mapping, as pydantic gives it.
    model : the model that was validated, to look valid keys up.
    """
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    key = path[-1] if path else "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        return path, _unknown_key(path, model)
    if kind == "literal_error":
        allowed = _QUOTED.findall(error["ctx"]["expected"])
        value = error["input"]
        return path, f"{key} = {_shown(value)} is not one of {', '.join(allowed)}{nearest(value, allowed)}"
    if kind == "string_pattern_mismatch":
        return path, f"{key}: {_shown(error['input'])} {_PATTERNS[error['ctx']['pattern']]}"
    if kind == "value_error":
        return path, f"{key}: {error['ctx']['error']}"
    if kind in _WANTED:
        given = "" if kind == "missing" else f", not {_shown(error['input'])}"
        return path, f"{key} {_WANTED[kind]}{given}"
    said = str(error["msg"]).removeprefix("Input should be ")
    return path, f"{key} must be {said}, not {_shown(error['input'])}"


def nearest(name: object, known: Iterable[str]) -> str:
    """``; did you mean "..."?`` with the nearest of the known names, or nothing."""
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f'; did you mean "{found[0]}"?' if found else ""


def _unknown_key(path: Path, model: type[BaseModel]) -> str:
    keys = _keys_at(path[:-1], model)
    name = str(path[-1])
    table = ".".join(str(part) for part in path[:-1])
    where = f"in [{table}]" if table else "at the top of the file"
    hint = nearest(name, keys)
    if not hint and _SECRET.search(name):
        hint = "; secrets are not read from this file, only from files it names or the environment"
    known = "; valid keys: " + ", ".join(keys)
    return f'unknown key "{name}" {where}{hint or known}'


def _keys_at(path: Path, model: type[BaseModel]) -> list[str]:
    annotation: Any = model
    for part in path:
        annotation = _model_in(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field is not None else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
    annotation = _model_in(annotation)
    return list(annotation.model_fields) if hasattr(annotation, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    """The model or dict inside an annotation such as ``X | None`` or ``Annotated[X, ...]``."""
    if isinstance(annotation, type) or get_origin(annotation) is dict:
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not type(None) and (get_origin(found) is dict or isinstance(found, type)):
            return found
    return annotation


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:80]}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value) if isinstance(value, int | Decimal) else type(value).__name__
