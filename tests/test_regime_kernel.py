"""Laws of the regime features and table: causal, exact, unit-free, never noisy, and probabilities that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import HOUR_MS, Bars, Floats, Timeframe
from ml.regime import REGIME, RegimeQuestion
from ml.regime.formula import LARGEST_Z, Label, codes, percentile, stretches
from ml.regime.state import NAMES, WARMUP, state
from ml.regime.table import ROUND_THE_CLOCK, SESSIONS, cells, probabilities
from ml.timeline import StillMarket

QUESTION = RegimeQuestion(symbol="ETHUSDT")


def market(n: int, seed: int = 11) -> Bars:
    """Fat-tailed returns, some hours missing, some prices repeated, two prices spoilt."""
    rng = np.random.default_rng(seed)
    returns = 0.006 * rng.standard_t(4, n) * np.exp(0.4 * np.sin(np.arange(n) / 90.0))
    returns[rng.random(n) < 0.05] = 0.0
    close = 20_000.0 * np.exp(np.cumsum(returns))
    close[n // 3], close[n // 2] = np.nan, 0.0
    at = HOUR_MS * (np.arange(n) + np.cumsum(rng.random(n) < 0.002))
    return Bars("ETHUSDT", Timeframe.H1, at, close, close, close, close, np.zeros(n))


BARS = market(WARMUP + 900)
FULL = state(BARS, None)


def bits(values: Floats) -> bytes:
    return np.ascontiguousarray(values).tobytes()


@settings(max_examples=60, deadline=None)
@given(st.integers(WARMUP - 1, len(BARS) - 1), st.integers(0, 40))
def test_a_row_from_its_tail_equals_the_row_from_full_history_bit_for_bit(at: int, more: int) -> None:
    tail = state(BARS.between(at - WARMUP + 1 - more, at + 1), None)
    assert bits(tail[-1]) == bits(FULL[at])


@settings(max_examples=30, deadline=None)
@given(st.integers(WARMUP, len(BARS)))
def test_bars_to_come_change_no_row(known: int) -> None:
    assert bits(state(BARS.between(0, known), None)) == bits(FULL[:known])


def test_a_batch_of_questions_gets_the_rows_that_each_would_get_alone() -> None:
    at = BARS.close_at[np.r_[WARMUP : len(BARS) : 37, len(BARS) - 5 : len(BARS)]]
    still = StillMarket.of(BARS)
    batch = REGIME.features.rows([QUESTION] * len(at), at, still)
    for i, as_of in enumerate(at):
        alone = REGIME.features.rows([QUESTION], np.asarray([as_of]), still)
        assert bits(alone.values[0]) == bits(batch.values[i])
        assert REGIME.rules.predict(alone)[0] == REGIME.rules.predict(batch)[i]
        assert REGIME.rules.explain(alone)[0] == REGIME.rules.explain(batch)[i]


@pytest.mark.parametrize("factor", [0.01, 10.0, 3.7e6])
def test_the_unit_of_the_price_does_not_matter(factor: float) -> None:
    scaled = state(BARS.scaled(factor), None)
    exact = [NAMES.index(name) for name in ("v", "missing_bars", "bars_in_label", "sessions")]
    np.testing.assert_array_equal(scaled[:, exact], FULL[:, exact])
    np.testing.assert_allclose(scaled, FULL, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, WARMUP + 50), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=8
    )
)
def test_no_price_however_wrong_makes_a_warning_or_leaves_the_domain(spoilt: list[tuple[int, float]]) -> None:
    close = BARS.close[: WARMUP + 51].copy()
    for at, value in spoilt:
        close[at] = value
    cut = BARS.between(0, len(close))
    rows = state(Bars("X", Timeframe.H1, cut.open_at, close, close, close, close, cut.volume), None)
    z, v, run = (rows[:, NAMES.index(name)] for name in ("z", "v", "bars_in_label"))
    assert (np.isnan(z) | (np.abs(z) <= LARGEST_Z)).all()
    assert (np.isnan(v) | ((v >= 0.0) & (v <= 1.0))).all()
    assert (np.isnan(run) == (np.isnan(z) | np.isnan(v))).all()


@pytest.mark.parametrize("n", [0, 1, 2, 24, 25, 1_440, WARMUP - 1])
def test_short_histories_have_rows_without_numbers_rather_than_errors(n: int) -> None:
    rows = state(BARS.between(0, n), None)
    assert rows.shape == (n, len(NAMES))
    assert np.isnan(rows[:1_439, NAMES.index("v")]).all()


def test_the_percentile_counts_what_a_loop_counts() -> None:
    power, _ = stretches(BARS.close)
    share = percentile(power, power)
    for at in range(1_500, len(BARS), 61):
        window = power[at - 1_439 : at + 1]
        window = window[~np.isnan(window)]
        if np.isnan(power[at]):
            assert np.isnan(share[at])
        else:
            assert share[at] == sum(one <= power[at] for one in window.tolist()) / len(window)


def test_the_stretch_is_the_written_formula() -> None:
    power, z = stretches(BARS.close)
    for at in range(30, len(BARS), 97):
        returns = np.diff(np.log(np.where(BARS.close[at - 24 : at + 1] > 0, BARS.close[at - 24 : at + 1], np.nan)))
        sigma = np.sqrt(np.mean(returns**2))
        np.testing.assert_allclose(np.sqrt(power[at] / 24), sigma, rtol=1e-9)
        np.testing.assert_allclose(z[at], returns.sum() / (sigma * np.sqrt(24)), atol=1e-6)


@given(st.floats(-LARGEST_Z, LARGEST_Z), st.floats(0.0, 1.0), st.booleans())
def test_probabilities_sum_to_one_and_turn_with_the_direction(z: float, v: float, sessions: bool) -> None:
    p, turned = probabilities(np.array([z, -z]), np.array([v, v]), np.full(2, float(sessions)))
    assert abs(p.sum() - 1.0) < 1e-12
    assert p.min() >= 0.001
    if z != 0.0:
        assert p[[1, 0, 2, 3, 4]].tolist() == turned.tolist()


def test_every_cell_of_both_tables_is_whole_and_lies_under_one_label() -> None:
    for table in (ROUND_THE_CLOCK, SESSIONS):
        assert [sum(line) for line in table] == [1_000] * 24
    z, v = (grid.ravel() for grid in np.meshgrid(np.linspace(0, LARGEST_Z, 400), np.arange(1_441) / 1_440))
    label, cell = codes(z, v), cells(z, v)
    assert set(cell.tolist()) == set(range(24))
    for one in range(24):
        assert len(set(label[cell == one].tolist())) == 1


def test_the_thresholds_belong_to_the_stronger_label() -> None:
    z = np.array([0.0, 0.0, 1.25, -1.25, 1.2499, 0.0, np.nan])
    v = np.array([0.90, 0.30, 0.50, 0.50, 0.301, 0.899, 0.5])
    named = [Label.HIGH_VOLATILITY, Label.CONSOLIDATION, Label.TREND_UP, Label.TREND_DOWN] + [Label.RANGE_BOUND] * 2
    assert codes(z, v).tolist() == [list(Label).index(label) for label in named] + [-1]
