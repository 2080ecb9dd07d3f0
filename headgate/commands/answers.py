"""What can be asked of the state: status, ads, decisions, explain, commands, attributions, dead letters."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption

Tenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")]
Account = Annotated[str | None, typer.Option("--account", help="Only this account.")]

ADS = (
    "tenant", "account", "ad_id", "clicks", "conversions", "revenue_micros", "pipeline_micros", "spend_micros",
    "verdict", "reason", "target_micros",
)  # fmt: skip
DECISIONS = ("decided_at_ms", "decision_id", "tenant", "account", "ad_id", "verdict", "reason", "target_micros")
COMMANDS = (
    "created_at_ms", "command_id", "tenant", "account", "budget_entity", "action", "value_micros", "expected_micros",
    "state", "result", "reason",
)  # fmt: skip
ATTRIBUTIONS = ("tenant", "account", "conversion_id", "deal_id", "ad_id", "layer", "credit_ppm", "click_id")
DEAD_LETTERS = ("reason", "stream", "position", "tenant", "account")


def status(
    ctx: typer.Context, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Tell whether all is decided.

    Also how far each shard is and how many lines were refused.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.listing import status as status_of
    from headgate.output import print_object

    print_object(status_of(asked), as_json=asked.as_json)


def ads(
    ctx: typer.Context,
    tenant: Tenant = None,
    account: Account = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the ads.

    A row each: what it cost, what it brought, what was decided and why.
    """
    _list("ads", ADS, Asked.of(ctx, config, data, as_json), tenant, account)


def decisions(
    ctx: typer.Context,
    tenant: Tenant = None,
    account: Account = None,
    ad: Annotated[str | None, typer.Option("--ad", help="Only this ad.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the decisions, newest last."""
    _list("decisions", DECISIONS, Asked.of(ctx, config, data, as_json), tenant, account, ad_id=ad)


def explain(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="AD_OR_DECISION", help="An ad's id or a decision's.")],
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an ad was held, scaled or paused.

    The evidence, the thresholds, and what would flip the decision.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.explanation import explain as explain_subject
    from headgate.explanation import in_words
    from headgate.output import print_lines, print_object

    record = explain_subject(asked, subject)
    if asked.as_json:
        print_object(record, as_json=True)
    else:
        print_lines(in_words(record))


def commands(
    ctx: typer.Context,
    tenant: Tenant = None,
    account: Account = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the commands and what became of them."""
    _list("commands", COMMANDS, Asked.of(ctx, config, data, as_json), tenant, account)


def attributions(
    ctx: typer.Context,
    tenant: Tenant = None,
    account: Account = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is credited to which ad.

    A row for each conversion and each deal, with the evidence that decided.
    """
    _list("attributions", ATTRIBUTIONS, Asked.of(ctx, config, data, as_json), tenant, account)


def dead_letters(
    ctx: typer.Context,
    tenant: Tenant = None,
    account: Account = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the refused lines: why, and where they stood."""
    _list("dead_letters", DEAD_LETTERS, Asked.of(ctx, config, data, as_json), tenant, account)


def _list(
    name: str, columns: tuple[str, ...], asked: Asked, tenant: str | None, account: str | None, **more: str | None
) -> None:
    from headgate import listing
    from headgate.output import print_rows

    wanted = {"tenant": tenant, "account": account, **more}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    rows = getattr(listing, name)(asked)
    kept = (row for row in rows if all(row.get(key) == value for key, value in wanted.items()))
    print_rows(kept, columns, as_json=asked.as_json)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (status, ads, decisions, explain, commands, attributions):
        app.command()(command)
    letters = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    letters.callback()(_letters)
    letters.command("list")(dead_letters)
    app.add_typer(letters, name="deadletters")


def _letters() -> None:
    """See the lines that were refused."""
