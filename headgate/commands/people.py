"""People in charge: ``stop`` and ``resume``."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the act.")]


def stop(
    ctx: typer.Context,
    reason: Reason = "",
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop every write to every platform.

    Within a second, also when Redis is gone.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.brake import Brake
    from headgate.output import print_object

    print_object(Brake(asked.folder).pull(getpass.getuser(), reason), as_json=asked.as_json)


def resume(
    ctx: typer.Context,
    reason: Reason = "",
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let commands go out again."""
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.brake import Brake
    from headgate.output import print_object

    print_object(Brake(asked.folder).release(getpass.getuser(), reason), as_json=asked.as_json)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(stop)
    app.command()(resume)
