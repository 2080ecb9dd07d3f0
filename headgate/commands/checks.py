"""Is all well: ``config check``, ``doctor``, ``schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption


def config_check(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: what --config says.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every fault of the settings file.

    With its line and the nearest valid key; exit code 1 if there is one.
    """
    asked = Asked.of(ctx, file or config, data, as_json)
    from headgate.config_check import check

    if not check(asked):
        raise typer.Exit(1)


def doctor(
    ctx: typer.Context, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Say whether this machine is fit, and how to mend it.

    One line a check; exit code 1 if something is broken.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.doctor import examine
    from headgate.output import print_rows

    findings = [finding.row() for finding in examine(asked)]
    print_rows(findings, ("state", "check", "found", "mend"), as_json=asked.as_json)
    if any(finding["state"] == "broken" for finding in findings):
        raise typer.Exit(1)


def schema(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="An event kind, or settings. Default: all.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print JSON Schemas: wire format, settings."""
    Asked.of(ctx, config, data, as_json)
    from headgate.schemas import print_schema

    print_schema(name)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    settings = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    settings.callback()(_settings)
    settings.command("check")(config_check)
    app.add_typer(settings, name="config")
    app.command()(doctor)
    app.command()(schema)


def _settings() -> None:
    """Look at the settings file."""
