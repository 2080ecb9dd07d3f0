"""One role a process: ``ingest``, ``decide``, ``execute``; each ends cleanly on SIGTERM or Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption
from headgate.commands.start import AsOf, Events, Trusted, readable
from headgate.many_files import ManyFiles

Shards = Annotated[
    str | None, typer.Option("--shards", metavar="LIST", help="Only these, as 0-7 or 0,3,5. Default: all.")
]


def ingest(
    ctx: typer.Context,
    events: Events,
    as_of: AsOf = None,
    trusted: Trusted = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Append event files to the log, once."""
    asked = Asked.of(ctx, config, data, as_json)
    from headgate import roles
    from headgate.output import print_object

    files = readable(events)
    print_object(roles.ingest(asked, files, as_of_ms=as_of, trusted=trusted), as_json=asked.as_json)


def decide(
    ctx: typer.Context,
    shards: Shards = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when all is decided.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the log, decide, commit."""
    asked = Asked.of(ctx, config, data, as_json)
    from headgate import roles
    from headgate.output import print_object

    chosen = parse_shards(shards)
    print_object(roles.decide(asked, shards=chosen, until_idle=until_idle), as_json=asked.as_json)


def execute(
    ctx: typer.Context,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when nothing is due.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry durable commands to the platforms."""
    asked = Asked.of(ctx, config, data, as_json)
    from headgate import roles
    from headgate.output import print_object

    print_object(roles.execute(asked, until_idle=until_idle), as_json=asked.as_json)


def parse_shards(text: str | None) -> list[int] | None:
    """The shards that ``0-3,7`` names, sorted; None is all.

    Raises
    ------
    Misused if the text is not such a list.
    """
    from headgate.refusal import Misused

    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or part.endswith("-"):
            message = f'--shards: "{text}" is not a list such as 0-7 or 0,3,5'
            raise Misused(message)
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(cls=ManyFiles)(ingest)
    app.command()(decide)
    app.command()(execute)
