"""``--events FILE...``: one option that takes all the files that follow it."""

from __future__ import annotations

from collections.abc import Sequence

import typer.core


def spread(arguments: Sequence[str], option: str = "--events") -> list[str]:
    """Repeat the option before each of its files, so that a parser of one value an option understands.

    Examples
    --------
    >>> spread(["--events", "a", "b", "--until-idle"])
    ['--events', 'a', '--events', 'b', '--until-idle']
    """
    result: list[str] = []
    is_open = False
    has_value = False
    for word in arguments:
        if word.startswith("-") and word != "-":
            is_open = word == option or word.startswith(f"{option}=")
            has_value = word != option
        elif is_open:
            if has_value:
                result.append(option)
            has_value = True
        result.append(word)
    return result


class ManyFiles(typer.core.TyperCommand):
    """A command whose ``--events`` takes several files."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # vendored click
        """Spread the files before parsing."""
        return super().parse_args(ctx, spread(args))
