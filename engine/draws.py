"""Chance as data: one counter-based generator per decision, derived from what is logged anyway.

Rules of this file: the only module of the engine that names ``numpy.random``; the same seed, account and number give
the same bits on every machine and in every process, whatever was drawn before.

References
----------
Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3 (Philox).
"""

from __future__ import annotations

from typing import Final

import numpy as np

Draws = np.random.Generator
_WORD: Final = (1 << 64) - 1


def draws_of(seed: int, account_hash: int, number: int) -> Draws:
    """The generator of one decision.

    Parameters
    ----------
    seed : int, the policy's seed.
    account_hash : int, 64 bits (`engine.hashing.account_hash`).
    number : int, the decision's number in its account.

    Returns
    -------
    numpy Generator over Philox; key (seed, account), counter block ``number``, so streams never overlap.
    """
    key = np.array([seed & _WORD, account_hash & _WORD], np.uint64)
    counter = np.array([0, number & _WORD, 0, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def fuzz_of(draws: Draws, limit_ppm: int) -> int:
    """Draw the perturbation of a value: uniform over the whole parts per million in [-limit, limit]."""
    return int(draws.integers(-limit_ppm, limit_ppm, endpoint=True))


def jitter_of(draws: Draws, min_ms: int, max_ms: int) -> int:
    """Draw how long a command waits before it may be sent: uniform over [min, max), or min where they are equal."""
    return int(draws.integers(min_ms, max_ms)) if max_ms > min_ms else min_ms
