"""``headgate simulate``: a world by its name, played with the engine as configured; kept where a folder is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from connectors.worlds.loader import load
from connectors.worlds.protocol import CheckedWorld
from headgate.asked import Asked
from headgate.complaints import nearest
from headgate.refusal import Misused
from headgate.sections import Policy
from headgate.settings_file import load_settings
from headgate.simulated_folder import as_simulated, marked, refuse_full
from headgate.simulation import acting, fitting, progress_bar, simulate, with_policy
from headgate.toml_text import toml_of

if TYPE_CHECKING:
    from headgate.settings import Settings


def play(
    asked: Asked, world: str, seed: int, days: float, policy: str | None, parameters: dict[str, str]
) -> dict[str, Any]:
    """Play a world for some days and report.

    Parameters
    ----------
    asked : ``--data`` names a folder, new or empty, in which all is kept for the lists; without it nothing is kept.
    world : ``MODULE_OR_FILE:CLASS``. seed : the world's seed. days : virtual days.
    policy : a policy's name for all accounts, or None for the configured ones.
    parameters : the world's parameters, as texts.

    Raises
    ------
    Misused for an unknown policy; Refused for a folder that is in use; the loader's error for a world that cannot be
    had.
    """
    known = get_args(Policy)
    if policy is not None and policy not in known:
        message = f'--policy: there is no "{policy}"{nearest(policy, known) or "; there are " + ", ".join(known)}'
        raise Misused(message)
    if asked.data is not None:
        refuse_full(asked.data)
    given = load_settings(asked.config)
    made = load(world, seed, parameters)
    settings = fitting(made, given)
    with ExitStack() as stack:
        more: dict[str, Any] = {"on_progress": stack.enter_context(progress_bar(shown=not asked.as_json))}
        if asked.data is not None:
            told = f"--world {world} --seed {seed} --days {days:g}" + (f" --policy {policy}" if policy else "")
            note = _note(told, parameters, _text_of(made, given))
            more |= stack.enter_context(_kept(asked.data, note, settings, policy))
        return simulate(made, settings.engine(), days, policy, **more)


@contextmanager
def _kept(folder: Path, note: str, settings: Settings, policy: str | None) -> Iterator[dict[str, Any]]:
    """A shard and a ledger in a folder, as the parameters of `simulate`."""
    from headgate.session import session_on
    from headgate.simulated_store import StoredShard

    with marked(folder, note), session_on(as_simulated(settings), folder, begin=True, with_ledger=True) as session:
        stored = StoredShard(session, acting(with_policy(settings.engine(), policy)))
        yield {"take": stored.take, "on_end": lambda done: stored.close(list(done.executor.ledger.records.values()))}


def _text_of(made: CheckedWorld, given: Settings) -> str:
    """The settings that count, as the text of a file."""
    if given.origin is not None:
        return given.origin.read_text("utf-8-sig")
    return toml_of(made.settings() or {})


def _note(told: str, parameters: dict[str, str], text: str) -> str:
    """What is left in the folder: a comment for people, and the settings it is read with."""
    said = " ".join([told, *(f"--set {key}={value}" for key, value in parameters.items())])
    return f"# headgate simulate {said!r}\n# Played with autonomy act; it can be listed, not fed.\n{text}"
