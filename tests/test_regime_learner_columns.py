"""The model's columns: exact from a tail, blind to the future, free of units, mirrored with the market, and right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import HOUR_MS, Bars, Floats, Timeframe
from ml.regime import RegimeQuestion
from ml.regime.columns import FEATURES_FOR_MODELS, LAGS, MODEL_NAMES, NAMES, columns
from ml.regime.formula import HALF, HIGH_VOLATILITY, NO_LABEL, STRETCH
from ml.regime.inputs import mirrored
from ml.regime.order import rolling_ranks
from ml.regime.season import season
from ml.regime.state import NAMES as STATE_NAMES
from ml.regime.state import WARMUP, state
from ml.regime.truth import raw_labels
from ml.timeline import StillMarket

QUESTION = RegimeQuestion(symbol="ETHUSDT")


def market(n: int, seed: int = 5) -> Bars:
    """Fat tails, storms and calms, hours missing, prices repeated, prices and ranges spoilt."""
    rng = np.random.default_rng(seed)
    returns = 0.006 * rng.standard_t(4, n) * np.exp(0.9 * np.sin(np.arange(n) / 130.0))
    returns[rng.random(n) < 0.05] = 0.0
    close = 20_000.0 * np.exp(np.cumsum(returns))
    high = close * np.exp(0.003 * np.abs(rng.standard_normal(n)))
    low = close * np.exp(-0.003 * np.abs(rng.standard_normal(n)))
    close[n // 3], close[n // 2], high[n // 4], low[n // 5] = np.nan, 0.0, np.inf, 0.0
    at = HOUR_MS * (np.arange(n) + np.cumsum(rng.random(n) < 0.002))
    return Bars("ETHUSDT", Timeframe.H1, at, close, high, low, close, np.zeros(n))


BARS = market(WARMUP + 900)
FULL = columns(BARS, None)
FIRST = len(STATE_NAMES) + 1
WIDTH = len(MODEL_NAMES)


def bits(values: Floats) -> bytes:
    return np.ascontiguousarray(values).tobytes()


@settings(max_examples=40, deadline=None)
@given(st.integers(WARMUP - 1, len(BARS) - 1), st.integers(0, 40))
def test_a_row_from_its_tail_equals_the_row_from_full_history_bit_for_bit(at: int, more: int) -> None:
    tail = columns(BARS.between(at - WARMUP + 1 - more, at + 1), None)
    assert bits(tail[-1]) == bits(FULL[at])


@settings(max_examples=20, deadline=None)
@given(st.integers(WARMUP, len(BARS)))
def test_bars_to_come_change_no_row(known: int) -> None:
    assert bits(columns(BARS.between(0, known), None)) == bits(FULL[:known])


def test_a_batch_of_questions_gets_the_rows_that_each_would_get_alone() -> None:
    at = BARS.close_at[np.r_[WARMUP : len(BARS) : 97]]
    still = StillMarket.of(BARS)
    batch = FEATURES_FOR_MODELS.rows([QUESTION] * len(at), at, still)
    for i, as_of in enumerate(at):
        assert bits(FEATURES_FOR_MODELS.rows([QUESTION], np.asarray([as_of]), still).values[0]) == bits(batch.values[i])


def test_a_market_with_weekends_has_the_same_rows_from_a_tail() -> None:
    """Hours of the week are looked up by the clock, and the clock must not begin where the bars do."""
    n = 2 * WARMUP
    week, hour = np.divmod(np.arange(n), 120)
    weekly = replace(market(n), open_at=HOUR_MS * (week * 168 + hour))
    full = columns(weekly, None)
    for at in range(WARMUP - 1, n, 53):
        assert bits(columns(weekly.between(at - WARMUP + 1, at + 1), None)[-1]) == bits(full[at])


def test_the_coming_hours_are_lively_where_they_were_so_on_other_days() -> None:
    n = WARMUP + 100
    hour = np.arange(n) % 24
    size = np.where(hour < HALF, 0.001, 0.004)
    at = HOUR_MS * np.arange(n)
    flat = np.full(n, 1.0)
    bars = Bars("CLOCK", Timeframe.H1, at, flat, flat, flat, flat, flat)
    coming = season(bars, size, 1.0, 0.0)
    last = np.flatnonzero(hour == HALF - 1)[-1]
    assert coming[last] == pytest.approx(np.log(4.0))
    assert coming[last - HALF] == pytest.approx(-np.log(4.0))
    days = Bars("DAYS", Timeframe.D1, 24 * at, flat, flat, flat, flat, flat)
    assert (season(days, size, 1.0, 1.0) == 0.0).all()


def test_the_columns_of_version_0_come_first_and_unchanged() -> None:
    assert NAMES[: len(STATE_NAMES)] == STATE_NAMES
    assert len(set(NAMES)) == len(NAMES) == FULL.shape[1]
    assert bits(FULL[:, : len(STATE_NAMES)]) == bits(state(BARS, None))


def test_a_lagged_column_is_the_column_of_the_earlier_row() -> None:
    now = FULL[:, FIRST : FIRST + WIDTH]
    for lag in range(1, LAGS + 1):
        past = FULL[:, FIRST + lag * WIDTH : FIRST + (lag + 1) * WIDTH]
        assert bits(past[lag:]) == bits(now[:-lag])
        assert NAMES[FIRST + lag * WIDTH] == f"{MODEL_NAMES[0]}@{lag}"


def test_every_column_is_known_once_history_suffices_and_prices_are_valid() -> None:
    calm = replace(BARS, close=np.where(BARS.close > 0, BARS.close, 20_000.0))
    assert np.isfinite(columns(calm, None)[WARMUP - 1 :]).all()


def test_prices_in_another_unit_of_money_give_the_same_columns() -> None:
    np.testing.assert_allclose(columns(BARS.scaled(10.0), None), FULL, atol=2e-6, rtol=0)


def test_a_market_upside_down_has_the_mirrored_columns() -> None:
    with np.errstate(divide="ignore"):
        upside_down = replace(BARS, open=1 / BARS.open, high=1 / BARS.low, low=1 / BARS.high, close=1 / BARS.close)
    expected, _ = mirrored(FULL[:, FIRST : FIRST + WIDTH], np.zeros(len(BARS), dtype=np.int64))
    found = columns(upside_down, None)[:, FIRST : FIRST + WIDTH]
    np.testing.assert_allclose(found, expected, atol=5e-6, rtol=0)


def test_a_mirror_image_of_the_mirror_image_is_the_row_itself() -> None:
    values, labels = FULL[WARMUP:, FIRST : FIRST + WIDTH], np.arange(len(FULL) - WARMUP) % 5
    twice, again = mirrored(*mirrored(values, labels))
    assert bits(twice) == bits(values)
    assert (again == labels).all()


def test_where_the_known_half_passes_the_threshold_hindsight_calls_it_high_volatility_whatever_comes() -> None:
    passed = FULL[:, NAMES.index("need_high")] == np.round(np.log(1e-4), 6)
    raw = raw_labels(BARS, 0)
    known = np.flatnonzero(passed[: len(raw)] & (raw != NO_LABEL))
    assert len(known) > 20
    assert (raw[known] == HIGH_VOLATILITY).all()


def test_where_nothing_more_moves_the_margin_of_a_calm_market_decides() -> None:
    still = replace(BARS, close=np.concatenate([BARS.close[: -HALF - 1], np.full(HALF + 1, BARS.close[-HALF - 2])]))
    at = len(BARS) - 1 - HALF
    row = columns(still.between(0, at + 1), None)[-1]
    assert (row[NAMES.index("need_calm")] > np.log(1e-4) + 1) == (raw_labels(still, at)[0] not in (HIGH_VOLATILITY, 2))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(0.0, 0.3))
def test_ranks_of_a_window_are_those_of_sorting_it(seed: int, window: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(rng.standard_normal(120), 1)  # ties
    values[rng.random(120) < missing] = np.nan
    shares = (0.0, 0.3, 0.9, 1.0)
    found = rolling_ranks(values, window, window // 2, shares)
    for i in range(len(values)):
        held = np.sort(values[max(i - window + 1, 0) : i + 1])
        held = held[~np.isnan(held)]
        if i < window - 1 or len(held) < max(window // 2, 1):
            assert np.isnan(found[i]).all()
        else:
            assert found[i].tolist() == [held[min(int(q * len(held)), len(held) - 1)] for q in shares]


def test_the_stretch_of_the_truth_is_twice_what_is_known() -> None:
    assert STRETCH == 2 * HALF
