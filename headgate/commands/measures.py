"""Proof and measurement: ``replay``, ``simulate``, ``bench``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from headgate.asked import Asked, ConfigOption, DataOption, JsonOption

BENCHES: Final = {
    "flow": {"events", "ads", "accounts", "seed"},
    "commit": {"ads"},
    "recovery": {"ads", "clicks"},
    "latency": {"rate", "seconds"},
}
"""The benchmarks, and the options each takes."""
SHIPPED_WORLD = "connectors.worlds.market:Market"


def replay(
    ctx: typer.Context, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Derive every decision again and compare.

    Bit for bit, from the log; a difference is exit code 1.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.output import print_object
    from headgate.refusal import Refused
    from headgate.replay import replay as derive_again
    from headgate.simulated_folder import refuse_replay

    refuse_replay(asked.folder)
    answer = derive_again(asked)
    print_object(answer, as_json=asked.as_json)
    if not answer["equal"]:
        first = answer["first_difference"]
        message = f"shard {first['shard']}: {first['how']}; what stands is not what this log and configuration give"
        raise Refused(message)


def simulate(
    ctx: typer.Context,
    world: Annotated[str, typer.Option("--world", metavar="MODULE_OR_FILE:CLASS")] = SHIPPED_WORLD,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same run.")] = 1,
    days: Annotated[float, typer.Option("--days", min=0.01, help="Days of virtual time.")] = 14,
    policy: Annotated[str | None, typer.Option("--policy", metavar="NAME", help="Default: as configured.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the world; may repeat.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the same engine in a simulated world.

    The same guardrails and executor too, in virtual time, as fast as the machine allows. With --data (a new or empty
    folder) ads, decisions, commands and attributions can be listed afterwards.
    """
    asked = Asked.of(ctx, config, data, as_json)
    given = parse_parameters(parameters or [])
    from headgate.output import print_object
    from headgate.worlds import play

    print_object(play(asked, world, seed, days, policy, given), as_json=asked.as_json)


def bench(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="|".join(BENCHES))] = "flow",
    events: Annotated[int | None, typer.Option("--events", min=100, help="flow: events in the workload.")] = None,
    ads: Annotated[int | None, typer.Option("--ads", min=1, help="flow, commit, recovery: ads in all.")] = None,
    accounts: Annotated[int | None, typer.Option("--accounts", min=2, help="flow: accounts in the workload.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="flow: the workload's seed.")] = None,
    clicks: Annotated[int | None, typer.Option("--clicks", min=0, help="recovery: live clicks.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", min=1, help="latency: events a second.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="latency: how long.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure speed on this machine.

    Servers and data are its own, in a temporary folder, gone afterwards; a settings file plays no part.
    """
    asked = Asked.of(ctx, config, data, as_json)
    from headgate.output import print_object
    from headgate.refusal import Misused

    if name not in BENCHES:
        message = f'bench: "{name}" is not one of {", ".join(BENCHES)}'
        raise Misused(message)
    given = {
        "events": events, "ads": ads, "accounts": accounts, "seed": seed, "clicks": clicks, "rate": rate,
        "seconds": seconds,
    }  # fmt: skip
    options = {key: value for key, value in given.items() if value is not None}
    if stray := sorted(options.keys() - BENCHES[name]):
        takes = ", ".join(f"--{option}" for option in sorted(BENCHES[name]))
        message = f"bench {name}: --{stray[0]} is not for it; it takes {takes}"
        raise Misused(message)
    from importlib import import_module

    print_object(import_module(f"bench.{name}").measure(**options), as_json=asked.as_json)


def parse_parameters(words: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` words as a dict; what a value means is the world's business.

    Raises
    ------
    Misused if a word has no ``=`` or no key.
    """
    from headgate.refusal import Misused

    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            message = f'--set: "{word}" is not KEY=VALUE'
            raise Misused(message)
        found[key] = value
    return found


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (replay, simulate, bench):
        app.command()(command)
