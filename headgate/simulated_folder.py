"""A data folder that holds a simulation: how it is marked, what it is read with, and what it refuses.

Rules of this file: a simulation is whole or not there; it can be listed, never fed; its servers are the embedded ones
of its folder, whatever the settings say of others, and all its accounts are in one shard. Standard library only, at
loading: every command looks here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headgate.refusal import Refused

if TYPE_CHECKING:
    from headgate.settings import Settings

NOTE: Final = "simulation.toml"
"""The mark of the folder: how it came about, and the settings the simulation was played with."""
UNFINISHED: Final = "simulation.unfinished"
"""The same while the simulation runs."""


def note_in(folder: Path) -> Path | None:
    """The settings that a simulated folder is read with where no others are named; None where it is not simulated."""
    note = folder / NOTE
    return note if note.is_file() else None


def is_simulated(folder: Path) -> bool:
    """Whether a folder holds a simulation.

    Raises
    ------
    Refused if that did not come to its end.
    """
    if (folder / UNFINISHED).exists():
        message = f"the simulation in {folder} did not come to its end; remove the folder and simulate again"
        raise Refused(message)
    return note_in(folder) is not None


def refuse_feeding(folder: Path) -> None:
    """Refuse whatever would go on from a simulation.

    Raises
    ------
    Refused.
    """
    message = f"{folder} holds a simulation, which can be listed but not fed or carried out; use another --data"
    raise Refused(message)


def refuse_replay(folder: Path) -> None:
    """Refuse to replay a simulation, which keeps no log.

    Raises
    ------
    Refused.
    """
    if is_simulated(folder):
        message = f"{folder} holds a simulation, which keeps no log; simulate again with the same seed to compare"
        raise Refused(message)


def as_simulated(settings: Settings) -> Settings:
    """The same settings on the servers of a simulated folder: embedded, with one shard."""
    from headgate.settings import LedgerSettings, LogSettings, StateSettings

    servers = {"log": LogSettings(shards=1), "state": StateSettings(), "ledger": LedgerSettings()}
    return settings.model_copy(update=servers)


@contextmanager
def marked(folder: Path, note: str) -> Iterator[None]:
    """Within the block a simulation is stored in a folder; if the block fails, nothing of it is left.

    Parameters
    ----------
    folder : new or empty. note : what is written into `NOTE`.

    Raises
    ------
    Refused if the folder holds something.
    """
    refuse_full(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        undo.callback(_clear, folder)
        (folder / UNFINISHED).write_text(note, "utf-8")
        yield
        undo.pop_all()
    (folder / UNFINISHED).replace(folder / NOTE)


def refuse_full(folder: Path) -> None:
    """Refuse a folder that is not empty, or no folder.

    Raises
    ------
    Refused.
    """
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; --data wants a folder"
        raise Refused(message)
    if folder.exists() and any(folder.iterdir()):
        message = f"{folder} is not empty; a simulation wants a folder of its own: another --data, or none"
        raise Refused(message)


def _clear(folder: Path) -> None:
    """Remove what a simulation put into a folder that was empty before."""
    for place in folder.iterdir():
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
