"""``headgate simulate``: a world by its name, played with the engine as configured."""

from __future__ import annotations

from typing import Any, get_args

from connectors.worlds.loader import load
from headgate.asked import Asked
from headgate.complaints import nearest
from headgate.refusal import Misused
from headgate.sections import Policy
from headgate.simulation import fitting, progress_bar, simulate


def play(
    asked: Asked, world: str, seed: int, days: float, policy: str | None, parameters: dict[str, str]
) -> dict[str, Any]:
    """Play a world for some days and report.

    Parameters
    ----------
    world : ``MODULE_OR_FILE:CLASS``. seed : the world's seed. days : virtual days.
    policy : a policy's name for all accounts, or None for the configured ones.
    parameters : the world's parameters, as texts.

    Raises
    ------
    Misused for an unknown policy; the loader's error for a world that cannot be had.
    """
    known = get_args(Policy)
    if policy is not None and policy not in known:
        message = f'--policy: there is no "{policy}"{nearest(policy, known) or "; there are " + ", ".join(known)}'
        raise Misused(message)
    made = load(world, seed, parameters)
    config = fitting(made, asked.settings()).engine()
    with progress_bar(shown=not asked.as_json) as on_progress:
        return simulate(made, config, days, policy, on_progress=on_progress)
