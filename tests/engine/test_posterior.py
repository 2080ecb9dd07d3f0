"""The Gamma posterior against scipy and against itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from engine.posterior import WIDE_SHAPE, gamma_below, return_posterior, return_quantile

SHAPES = st.floats(0.05, 5_000.0)


@given(shape=SHAPES, share=st.floats(0.001, 0.999))
def test_gamma_below_is_the_incomplete_gamma_function(shape: float, share: float) -> None:
    x = float(special.gammaincinv(shape, share))
    tolerance = 1e-10 if shape < WIDE_SHAPE else 2e-5
    assert gamma_below(shape, x) == pytest.approx(float(special.gammainc(shape, x)), abs=tolerance)


@pytest.mark.parametrize("x", [-1.0, 0.0])
def test_nothing_lies_below_zero(x: float) -> None:
    assert gamma_below(2.0, x) == 0.0


def test_far_right_is_everything() -> None:
    assert gamma_below(1.0, 700.0) == pytest.approx(1.0, abs=1e-12)


@given(shape=st.floats(0.5, 500.0), rate=st.floats(0.01, 1e4), share=st.sampled_from([0.05, 0.5, 0.95]))
def test_quantiles(shape: float, rate: float, share: float) -> None:
    expected = float(stats.gamma.ppf(share, shape, scale=1 / rate))
    assert return_quantile(shape, rate, share) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_prior_is_one_unit_at_break_even() -> None:
    shape, rate = return_posterior(0, 0, 50e6, 2.0)
    assert (shape, rate) == (1.0, 0.5)
    assert shape / rate == 2.0


def test_evidence_is_counted_in_units() -> None:
    shape, rate = return_posterior(500_000_000, 200_000_000, 50e6, 1.0)
    assert (shape, rate) == (11.0, 5.0)
    assert math.isclose(shape / rate, 2.2)


def test_negative_value_counts_as_none() -> None:
    assert return_posterior(-5, 0, 1.0, 1.0) == (1.0, 1.0)
