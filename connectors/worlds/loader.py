"""Finds and builds a world by its name: ``package.module:Class`` or ``path/to/file.py:Class``.

Rules of this file: loading is the only effect; whatever is wrong with the name, the code or a parameter is one
`WorldError` with one line.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from connectors.worlds.protocol import FOREIGN_FAULTS, CheckedWorld, WorldError, describe

Value = int | float | bool | str


def load(spec: str, seed: int, params: Mapping[str, object]) -> CheckedWorld:
    """Build a world.

    Parameters
    ----------
    spec : "package.module:Class" or "path/to/file.py:Class". seed : the world's seed.
    params : what was given as ``--set key=value``; texts are read by `parse`; values that are no text stay as they are.

    Raises
    ------
    WorldError where the file, module or class does not exist, its code or constructor fails, or it is no world.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name.isidentifier():
        message = f"world {spec!r}: name it as package.module:Class or path/to/file.py:Class"
        raise WorldError(message)
    module = _from_file(spec, Path(place)) if place.endswith(".py") else _from_package(spec, place)
    built = getattr(module, name, None)
    if not isinstance(built, type):
        classes = sorted(key for key, value in vars(module).items() if _is_own_class(value, module))
        offer = f"; it has {', '.join(classes)}" if classes else ""
        message = f"world {spec}: there is no class {name} in {place}{offer}"
        raise WorldError(message)
    values = {key: parse(value) if isinstance(value, str) else value for key, value in params.items()}
    try:
        world = built(seed, **values)
    except FOREIGN_FAULTS as fault:
        given = ", ".join(f"{key}={value!r}" for key, value in values.items()) or "no parameters"
        message = f"world {spec}: cannot be made with seed {seed} and {given}: {_reason(fault)}"
        raise WorldError(message) from fault
    return CheckedWorld(world, spec)


def parse(text: str) -> Value:
    """The value of a ``key=value`` parameter: an int, a float, true or false, else the text itself.

    Examples
    --------
    >>> [parse(text) for text in ("20", "0.5", "true", "both")]
    [20, 0.5, True, 'both']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _from_file(spec: str, path: Path) -> ModuleType:
    if not path.is_file():
        message = f"world {spec}: there is no file {path}"
        raise WorldError(message)
    name = f"headgate_world_{path.stem}"
    source = importlib.util.spec_from_file_location(name, path)
    if source is None or source.loader is None:
        message = f"world {spec}: {path} is no Python file"
        raise WorldError(message)
    module = importlib.util.module_from_spec(source)
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    _let_import_from(path.resolve().parent)
    try:
        source.loader.exec_module(module)
    except FOREIGN_FAULTS as fault:
        del sys.modules[name]
        message = f"world {spec}: {path} cannot be run: {describe(fault)}"
        raise WorldError(message) from fault
    return module


def _from_package(spec: str, place: str) -> ModuleType:
    _let_import_from(Path.cwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as fault:
        if fault.name is not None and (place == fault.name or place.startswith(f"{fault.name}.")):
            message = f"world {spec}: there is no module {place}"
            raise WorldError(message) from fault
        message = f"world {spec}: {place} cannot be imported: {describe(fault)}"
        raise WorldError(message) from fault
    except FOREIGN_FAULTS as fault:
        message = f"world {spec}: {place} cannot be imported: {describe(fault)}"
        raise WorldError(message) from fault


def _let_import_from(folder: Path) -> None:
    """Let a world import its neighbours; last on the path, so that they never hide an installed package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_own_class(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _reason(fault: BaseException) -> str:
    """The fault in words; a refused parameter needs no line of code, a real failure does."""
    return " ".join(str(fault).split()) if isinstance(fault, ValueError | TypeError) else describe(fault)
