"""Misses of a plain forecast: known once the hours after it have closed, wider after weeks that surprised."""

from __future__ import annotations

import numpy as np
import pytest

from ml.bars import Floats
from ml.exact import Sums
from ml.volatility.misses import MISS_NAMES, USUAL_MEAN, USUAL_SPREAD, WINDOWS, misses

N = 2_200
STILL = np.zeros(N)


def table(variance: Floats, ahead: int) -> dict[str, Floats]:
    """`misses` by name, of bars whose variance is known exactly."""
    realised = np.convolve(variance, np.ones(ahead))[:N]
    return dict(zip(MISS_NAMES, misses(Sums.of(np.sqrt(variance)), realised, STILL, ahead), strict=True))


def steady() -> Floats:
    return np.full(N, 1e-4)


@pytest.mark.parametrize("ahead", [6, 48])
def test_after_weeks_that_surprised_misses_lie_wider_apart_than_after_steady_ones(ahead: int) -> None:
    wild = steady()
    wild[N - 300 :] *= np.exp(np.random.default_rng(1).normal(0.0, 2.0, 300).clip(-3.0, 3.0))
    calm, surprised = table(steady(), ahead), table(wild, ahead)
    for window in WINDOWS:
        name = f"misses_spread_{window}"
        assert surprised[name][-1] > calm[name][-1] + 0.3
        assert calm[name][-1] == pytest.approx(0.5 * np.log(0.01), abs=0.01)


def test_their_mean_leans_to_the_side_on_which_they_lay() -> None:
    risen = steady()
    risen[N - 200 :] *= np.linspace(1.0, 20.0, 200)
    assert table(steady(), 24)["misses_mean_336"][-1] == pytest.approx(0.0, abs=1e-9)
    assert table(risen, 24)["misses_mean_336"][-1] > 0.1
    assert np.abs(table(risen * 1e3, 24)["misses_mean_336"]).max() <= 0.5


@pytest.mark.parametrize("ahead", [6, 48])
def test_a_forecast_whose_hours_have_not_closed_has_no_miss_yet(ahead: int) -> None:
    variance = steady() * np.exp(np.random.default_rng(2).normal(0.0, 0.5, N))
    realised = np.convolve(variance, np.ones(ahead))[:N]
    other = np.sqrt(variance)
    other[N - ahead :] *= 3.0
    for first, second in zip(
        misses(Sums.of(np.sqrt(variance)), realised, STILL, ahead),
        misses(Sums.of(other), realised, STILL, ahead),
        strict=True,
    ):
        assert first[-1] == second[-1]


def test_where_too_little_is_known_they_are_as_usual_and_the_long_window_is_the_short_one() -> None:
    found = table(steady() * np.exp(np.random.default_rng(3).normal(0.0, 0.5, N)), 24)
    assert all(np.isfinite(column).all() for column in found.values())
    assert found["misses_spread_336"][300] == USUAL_SPREAD
    assert found["misses_mean_1440"][300] == USUAL_MEAN
    assert found["misses_spread_1440"][900] == found["misses_spread_336"][900] != USUAL_SPREAD
    assert found["misses_spread_1440"][-1] != found["misses_spread_336"][-1]
