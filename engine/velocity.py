"""How far a budget may still move: pure arithmetic over sliding windows.

Rules of this file: integers only; a window is closed at both ends, so a change made exactly one window ago still
counts; a difference between one change's end and the next one's start is a change too (somebody else's).

Theory of operation: the values an entity had in the last window form a path. Every place of the path is the start of
some window that also holds the move now asked for, so the move must fit each of them: no further than ``velocity``
of the start from any later value (net), and no more in total movement than that (gross).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a budget entity.

    Attributes
    ----------
    at_ms : int, when it was seen to hold (never earlier than it happened).
    before_micros, after_micros : int, the daily budget; equal where only the status changed (pause, resume).
    own : bool, False where a person or the platform made it.
    """

    at_ms: int
    before_micros: int
    after_micros: int
    own: bool = True


def path(changes: Sequence[Change], current_micros: int, now_ms: int, window_ms: int) -> list[int]:
    """The values an entity had in the closed window that ends now, oldest first, the last one the current.

    Parameters
    ----------
    changes : all known changes of the entity, oldest first.
    current_micros : int, the budget now.
    now_ms, window_ms : int, milliseconds.

    Returns
    -------
    list of int, micros, never empty.
    """
    values: list[int] = []
    older: int | None = None
    for change in changes:
        if now_ms - change.at_ms > window_ms:
            older = change.after_micros
            continue
        if not values and older is not None:
            values.append(older)
        values += (change.before_micros, change.after_micros)
    if not values and older is not None:
        values.append(older)
    values.append(current_micros)
    return values


def room(values: Sequence[int], velocity_ppm: int) -> tuple[int, int]:
    """The smallest and the greatest value to which the last one of ``values`` may move.

    Parameters
    ----------
    values : what `path` gives.
    velocity_ppm : int, the greatest net and gross change in a window, parts per million of its start.

    Returns
    -------
    (lowest, highest) : int, micros, both inclusive; lowest > highest where no move fits, not even none.
    """
    current = values[-1]
    low, high = 0, current + current * velocity_ppm // PPM
    gross = 0
    least = greatest = later = current
    for start in reversed(values):
        gross += abs(later - start)
        later = start
        least, greatest = min(least, start), max(greatest, start)
        allowed = start * velocity_ppm // PPM
        low = max(low, current - (allowed - gross), greatest - allowed)
        high = min(high, current + (allowed - gross), least + allowed)
    return low, high


def fits(values: Sequence[int], target_micros: int, velocity_ppm: int) -> bool:
    """Whether a move to ``target_micros`` breaks no window: the definition itself, cross-multiplied.

    Parameters
    ----------
    values : what `path` gives.
    target_micros : int, the value asked for.
    velocity_ppm : int, see `room`.
    """
    for i, start in enumerate(values):
        later = [*values[i:], target_micros]
        gross = sum(abs(later[k + 1] - later[k]) for k in range(len(later) - 1))
        net = max(abs(target_micros - value) for value in later)
        if max(gross, net) * PPM > velocity_ppm * start:
            return False
    return True
