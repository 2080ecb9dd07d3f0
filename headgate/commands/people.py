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

    brake = Brake(asked.folder)
    act = brake.pull(getpass.getuser(), reason)
    told = brake.tell_ledger(asked, stopped=True)  # after the file: nothing that fails from here on undoes the stop
    print_object(act | {"ledger": told}, as_json=asked.as_json)


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

    brake = Brake(asked.folder)
    told = brake.tell_ledger(asked, stopped=False)
    print_object(brake.release(getpass.getuser(), reason) | {"ledger": told}, as_json=asked.as_json)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(stop)
    app.command()(resume)
