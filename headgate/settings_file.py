"""Reading ``headgate.toml``: the file, the environment's overrides, and complaints that name line and mend.

Rules of this file: all problems of a file are found in one reading; each is one line ``FILE:LINE: what, and what is
allowed``; a file named on the command line must exist, the default one need not.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from engine.stages import PRESETS
from headgate.complaints import complaint, nearest
from headgate.refusal import Refused
from headgate.settings import URL_SECTIONS, Settings
from headgate.toml_places import Path as KeyPath
from headgate.toml_places import key_lines

DEFAULT_FILE: Final = "headgate.toml"
_AT_LINE: Final = re.compile(r"^(?P<what>.*) \(at line (?P<line>\d+), column \d+\)$")
_AT_END: Final = re.compile(r"^(?P<what>.*) \(at end of document\)$")


class ConfigInvalid(Refused):
    """The configuration file cannot be used; ``problems`` has one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        rest = len(problems) - 1
        more = f" (and {rest} more: headgate config check lists them)" if rest else ""
        super().__init__(problems[0] + more)
        self.problems = problems


def load_settings(named: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings: the file named, else ``headgate.toml`` if there is one, else the built-in defaults.

    Parameters
    ----------
    named : Path or None, what ``--config`` said.
    environment : mapping, for the ``HEADGATE_<SECTION>_URL`` overrides.

    Raises
    ------
    ConfigInvalid if the file cannot be read or holds what is not allowed.
    """
    path = named if named is not None else Path(DEFAULT_FILE)
    text = ""
    if named is not None or path.exists():
        text = _read(path)
    else:
        path = Path("the environment")
    document = _parse(text, path)
    overridden = _override(document, environment)
    lines = key_lines(text)

    def place(key: KeyPath) -> tuple[int, str]:
        if key in overridden:
            return 0, f"HEADGATE_{key[0]}_URL".upper()
        cut = key
        while cut and cut not in lines:
            cut = cut[:-1]
        line = lines.get(cut, 1)
        return line, f"{path}:{line}" if text else str(path)

    settings = _validate(document, overridden, place)
    return settings.with_origin(path if text else None)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigInvalid([f"{path}: there is no such file; name another with --config"]) from None
    except IsADirectoryError:
        raise ConfigInvalid([f"{path}: this is a folder, --config wants a TOML file"]) from None
    except UnicodeDecodeError as fault:
        raise ConfigInvalid([f"{path}: byte {fault.start} is not UTF-8; save the file as UTF-8"]) from None
    except OSError as fault:
        raise ConfigInvalid([f"{path}: cannot be read: {fault.strerror}"]) from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as fault:
        said = str(fault)
        at, end = _AT_LINE.match(said), _AT_END.match(said)
        line = at["line"] if at else str(text.count("\n") + 1)
        what = at["what"] if at else end["what"] if end else said
        raise ConfigInvalid([f"{path}:{line}: not valid TOML: {what[:1].lower()}{what[1:]}"]) from None
    except RecursionError:
        raise ConfigInvalid([f"{path}:1: not valid TOML: nested too deeply"]) from None


def _override(document: dict[str, Any], environment: Mapping[str, str]) -> set[KeyPath]:
    done: set[KeyPath] = set()
    for section in URL_SECTIONS:
        value = environment.get(f"HEADGATE_{section.upper()}_URL")
        table = document.setdefault(section, {}) if value else None
        if value and isinstance(table, dict):
            table["url"] = value
            done.add((section, "url"))
    return done


def _validate(
    document: dict[str, Any], overridden: set[KeyPath], place: Callable[[KeyPath], tuple[int, str]]
) -> Settings:
    problems = [
        (path, message)
        for path, message in _passwords(document)
        if path not in overridden  # the environment may carry secrets, the file may not
    ]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document)
    except ValidationError as fault:
        problems += [complaint(error, Settings) for error in fault.errors()]
    if settings is not None:
        problems += _contradictions(settings)
    if problems or settings is None:
        placed = sorted((*place(path), message) for path, message in problems)
        raise ConfigInvalid([f"{where}: {message}" for _, where, message in placed])
    return settings


def _passwords(document: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    found: list[tuple[KeyPath, str]] = []
    for section in URL_SECTIONS:
        table = document.get(section)
        value = table.get("url") if isinstance(table, dict) else None
        if isinstance(value, str) and "@" in value and ":" in urlsplit(value).netloc.split("@")[0]:
            message = f"a password does not belong here; set HEADGATE_{section.upper()}_URL"
            found.append(((section, "url"), message))
    return found


def _contradictions(settings: Settings) -> list[tuple[KeyPath, str]]:
    rows: list[tuple[KeyPath, Any]] = [(("defaults",), settings.defaults)]
    for tenant, listed in settings.tenants.items():
        rows += [(("tenants", tenant, "accounts", name), row) for name, row in listed.accounts.items()]
    known = [*PRESETS, *settings.stages]
    found: list[tuple[KeyPath, str]] = []
    for path, row in rows:
        if row.stages not in known:
            found.append(((*path, "stages"), f'there is no stage table "{row.stages}"{nearest(row.stages, known)}'))
        if row.kill_roas > row.scale_roas:
            found.append(((*path, "kill_roas"), "kill_roas is above scale_roas"))
    for name, table in settings.stages.items():
        if name in PRESETS:
            found.append((("stages", name), f'"{name}" is the name of a preset; give the table another name'))
        found += _double_spellings(name, table)
    return found


def _double_spellings(name: str, table: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    owner = {stage: stage for stage in table}
    found: list[tuple[KeyPath, str]] = []
    for stage, row in table.items():
        for i, alias in enumerate(row.aliases):
            if owner.setdefault(alias, stage) != stage:
                place: KeyPath = ("stages", name, stage, "aliases", i)
                found.append((place, f'"{alias}" already stands for the stage "{owner[alias]}"'))
    return found
