"""Chance of the market: streams of random numbers keyed by what they decide.

Rules of this file: every draw belongs to (seed, account, purpose, item), never to "the next call", so the same seed and
the same commands give the same market however its time is cut. The n-th click of an ad always carries the same marks.
Theory: counter-based generators (Salmon et al., 2011); clicks are a unit-rate Poisson process in operational time, so a
change of budget moves when the next clicks come, and never what was before.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

CHUNK: Final = 128
_MASK: Final = (1 << 64) - 1


class Purpose(IntEnum):
    """What a stream of numbers decides."""

    TRAITS = 1
    CLICKS = 2
    ANSWERS = 3


def stream(seed: int, account: int, purpose: Purpose, item: int = 0) -> np.random.Generator:
    """A generator of its own for (seed, account, purpose, item); ``item`` below 2^48, ``account`` below 2^8."""
    word = account << 56 | int(purpose) << 48 | item
    return np.random.Generator(np.random.Philox(key=np.array([seed & _MASK, word & _MASK], np.uint64)))


class Uniform(IntEnum):
    """Columns of a click's uniform marks."""

    CONVERTS = 0
    TRACKED = 1
    CLICK_LOST = 2
    DELAY_KIND = 3
    KEY_KIND = 4
    REFUNDED = 5
    APPOINTED = 6
    SHOWED = 7
    WON = 8
    HAS_CONTACT = 9


class Wait(IntEnum):
    """Columns of a click's exponential marks (mean 1)."""

    DELAY = 0
    REFUND = 1


class Normal(IntEnum):
    """Columns of a click's standard normal marks."""

    VALUE = 0
    APPOINTMENT = 1
    SHOW = 2
    CLOSE = 3


class Marks(NamedTuple):
    """What is settled about one click before it happens."""

    number: int
    point: float  # operational time of the click: expected clicks of its ad since launch
    token: str  # 16 hex digits for its ids, telling nothing of the ad
    uniforms: list[float]
    waits: list[float]
    normals: list[float]


class ClickStream:
    """The clicks of one ad in operational time, drawn ``CHUNK`` at a time."""

    __slots__ = ("_account", "_ad", "_at", "_chunk", "_chunks", "_seed")

    def __init__(self, seed: int, account: int, ad: int) -> None:
        self._seed, self._account, self._ad = seed, account, ad
        self._chunks = 0
        self._at = 0
        self._chunk: list[Marks] = []
        self._draw(0.0)

    @property
    def next_point(self) -> float:
        """Operational time of the next click."""
        return self._chunk[self._at].point

    def take(self) -> Marks:
        """The next click's marks; the stream moves on."""
        marks = self._chunk[self._at]
        self._at += 1
        if self._at == CHUNK:
            self._draw(marks.point)
        return marks

    def _draw(self, after: float) -> None:
        rng = stream(self._seed, self._account, Purpose.CLICKS, self._ad << 24 | self._chunks)
        points = (after + np.cumsum(rng.standard_exponential(CHUNK))).tolist()
        tokens = rng.integers(0, 1 << 64, CHUNK, np.uint64).tolist()
        uniforms = rng.random((CHUNK, len(Uniform))).tolist()
        waits = rng.standard_exponential((CHUNK, len(Wait))).tolist()
        normals = rng.standard_normal((CHUNK, len(Normal))).tolist()
        first = self._chunks * CHUNK
        self._chunk = [
            Marks(
                first + i,
                points[i],
                f"{tokens[i]:016x}",
                uniforms[i],
                waits[i],
                normals[i],
            )
            for i in range(CHUNK)
        ]
        self._chunks += 1
        self._at = 0
