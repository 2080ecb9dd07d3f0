"""The command line as a whole: which commands there are, in the order in which a newcomer needs them."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption
from headgate.commands import answers, checks, measures, people, roles, start

app = typer.Typer(
    name="headgate",
    help="Moves advertising budgets: safely, explainably, exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"headgate {version('headgate')}")
        raise typer.Exit


@app.callback()
def everything(
    ctx: typer.Context,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
    _asks_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Keep what was asked before the command's name."""
    ctx.obj = Asked(config, data, as_json)


for group in (start, answers, people, roles, measures, checks):
    group.register(app)
