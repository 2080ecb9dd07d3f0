"""What every command is asked with: configuration, data folder, and the form of the answer.

Rules of this file: standard library and typer only (it is loaded for ``--help``); the three options are accepted before
and after the command's name, the one nearer to the command wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from headgate.settings import Settings

DEFAULT_DATA: Final = Path(".headgate")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file. Default: headgate.toml if there is one.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of the embedded servers. Default: .headgate.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Lists: one JSON object a line. Single answers: one object.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """The three options of every command, after both places were read."""

    config: Path | None = None
    data: Path | None = None
    as_json: bool = False

    @classmethod
    def of(cls, ctx: typer.Context, config: Path | None, data: Path | None, as_json: bool) -> Asked:
        """Merge a command's own options with those given before its name."""
        before = ctx.find_root().obj or cls()
        return cls(config or before.config, data or before.data, as_json or before.as_json)

    @property
    def folder(self) -> Path:
        """The data folder, whether it exists or not."""
        return self.data or DEFAULT_DATA

    def settings(self) -> Settings:
        """Read the settings (see `headgate.settings_file.load_settings`); a simulated folder has its own."""
        from headgate.settings_file import load_settings
        from headgate.simulated_folder import note_in

        return load_settings(self.config or note_in(self.folder))
