"""Where people begin: ``demo`` and ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption
from headgate.many_files import ManyFiles

Events = Annotated[list[Path], typer.Option("--events", metavar="FILE...", help="NDJSON files, in this order.")]
AsOf = Annotated[
    int | None, typer.Option("--as-of", metavar="MS", min=0, help="The clock (UTC ms). Default: the wall at start.")
]
Trusted = Annotated[bool, typer.Option("--trusted", help="Also take outcome and control events from the files.")]


def demo(
    ctx: typer.Context,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, help="End by itself. Default: until Ctrl-C.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show it all at work, embedded, in a simulated world.

    First decisions come in under a minute; Ctrl-C or --seconds ends it.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.demo import show
    from headgate.output import print_object

    print_object(show(asked, seconds), as_json=asked.as_json)


def run(
    ctx: typer.Context,
    events: Events,
    as_of: AsOf = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when all is decided.")] = False,
    trusted: Trusted = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Feed event files through the real log and flow.

    Time is the events' own; running it again resumes where it was.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate import feeding
    from headgate.output import print_object

    files = readable(events)
    answer = feeding.run(asked, files, as_of_ms=as_of, until_idle=until_idle, trusted=trusted)
    print_object(answer, as_json=asked.as_json)


def readable(files: list[Path]) -> list[Path]:
    """The files, all of them there and readable, or the first that is not is refused before anything starts."""
    from headgate.refusal import Refused

    for file in files:
        if file.is_dir():
            message = f"{file}: this is a folder, --events wants NDJSON files"
            raise Refused(message)
        try:
            file.open("rb").close()
        except FileNotFoundError:
            message = f"{file}: there is no such file"
            raise Refused(message) from None
    return files


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)
    app.command(cls=ManyFiles)(run)
