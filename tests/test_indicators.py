"""The laws of the indicator library: causal, tail equals whole, scale-free where said, in range, never a fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Timeframe
from ml.indicators.catalogue import INDICATORS, SCALE_FREE, indicator
from ml.indicators.indicator import Group, Scale
from ml.indicators.matrix import WINDOW_BARS, latest, matrix
from ml.indicators.page import page
from ml.indicators.ranges import OutOfRange, validate

ROOT = Path(__file__).parents[1]
NAMES = [one.name for one in INDICATORS]


def walk(n: int, seed: int, timeframe: Timeframe = Timeframe.H1) -> Bars:
    """A random walk with what markets do to indicators: flat stretches, hours without trades, wicks, missing bars."""
    random = np.random.default_rng(seed)
    move = random.normal(0, 0.006, n) * np.repeat(random.choice([0.0, 1.0, 4.0], n // 40 + 1), 40)[:n]
    close = np.round(100 * np.exp(np.cumsum(move)), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    wick = np.where(move == 0, 0.0, random.pareto(3, (2, n)) * 0.002)
    high = np.maximum(opened, close) * (1 + wick[0])
    low = np.minimum(opened, close) / (1 + wick[1])
    volume = np.where(random.random(n) < 0.1, 0.0, random.lognormal(3, 1, n)) * (move != 0)
    place = np.sort(random.choice(np.arange(n + n // 50), n, replace=False))
    opens = 1_600_000_000_000 // DAY_MS * DAY_MS + place * timeframe.milliseconds
    return Bars("WALK", timeframe, opens, opened, high, low, close, volume)


def replaced(bars: Bars, positions: list[int], column: str, value: float) -> Bars:
    columns = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    columns[column][positions] = value
    return Bars(bars.symbol, bars.timeframe, bars.open_at, **columns)


def without(bars: Bars, positions: list[int]) -> Bars:
    keep = np.delete(np.arange(len(bars)), positions)
    columns = (column[keep] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    return Bars(bars.symbol, bars.timeframe, bars.open_at[keep], *columns)


def same(one: Floats, other: Floats) -> list[str]:
    """Names of the columns in which two rows or matrices differ by a single bit."""
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    return [NAMES[k] for k in np.flatnonzero(~np.atleast_2d(equal).all(axis=0))]


anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -1.0, 1.0, 1e-13, 1e-12, 1e15, 1e18, 100.0, 100.01]),
)


@st.composite
def wild_bars(draw: st.DrawFn) -> Bars:
    """Bars as no exchange would send them: any floats at all, in any order."""
    n = draw(st.integers(0, 30))
    columns = [np.array(draw(st.lists(anything, min_size=n, max_size=n)), dtype=np.float64) for _ in range(5)]
    return Bars("WILD", Timeframe.H1, np.arange(n, dtype=np.int64) * HOUR_MS, *columns)


@st.composite
def sound_bars(draw: st.DrawFn) -> Bars:
    """Bars with low <= open, close <= high anywhere between the smallest and the largest price that is taken."""
    n = draw(st.integers(0, 80))
    exponents = st.lists(st.floats(-12, 15) | st.floats(2, 2.001) | st.just(2.0), min_size=n, max_size=n)
    prices = np.sort(np.clip(10.0 ** np.array([draw(exponents) for _ in range(4)]).reshape(4, n), 1e-12, 1e15), axis=0)
    swap = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    volume = np.array(draw(st.lists(st.floats(0, 1e18), min_size=n, max_size=n)), dtype=np.float64)
    opened, close = np.where(swap, prices[1], prices[2]), np.where(swap, prices[2], prices[1])
    return Bars(
        "EDGE", Timeframe.H1, np.arange(n, dtype=np.int64) * HOUR_MS, opened, prices[3], prices[0], close, volume
    )


@pytest.mark.parametrize("one", INDICATORS, ids=NAMES)
def test_an_indicator_says_what_it_is(one: object) -> None:
    entry = indicator(getattr(one, "name"))  # noqa: B009 - its parameter may be no indicator
    assert entry.name == entry.name.lower().strip()
    assert entry.unit
    assert len(entry.source) > 5
    assert 0 <= entry.warmup < WINDOW_BARS
    assert 0 <= entry.tolerance <= 1e-5
    assert entry.low is None or entry.high is None or entry.low < entry.high
    assert isinstance(entry.group, Group)
    assert isinstance(entry.scale, Scale)
    bounded_by_unit = entry.unit.startswith(("points", "direction", "verdict", "unit circle"))
    assert not bounded_by_unit or (entry.low is not None and entry.high is not None)


def test_the_catalogue_has_every_group_at_least_seventy_indicators_and_no_name_twice() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 70
    assert {one.group for one in INDICATORS} == set(Group)


def test_an_unknown_indicator_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="rsi_15"):
        indicator("rsi_15")


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1])
def test_the_served_row_equals_the_training_row_bit_for_bit(timeframe: Timeframe) -> None:
    bars = walk(4_500, 5, timeframe)
    training = matrix(bars)
    for at in (0, 1, 30, 700, 1_999, 2_000, 2_001, 3_333, 4_499):
        assert same(latest(bars.between(0, at + 1)), training[at]) == []
        assert same(latest(bars.between(at + 1 - WINDOW_BARS, at + 1)), training[at]) == []


def test_a_value_depends_on_its_warmup_bars_alone() -> None:
    bars = walk(3_000, 6)
    for one in INDICATORS:
        whole = one.compute(bars)
        for at in (2_100, 2_533, 2_999):
            tail = one.compute(bars.between(at - one.warmup, at + 1))[-1]
            assert np.array_equal(tail, whole[at], equal_nan=True), one.name


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 1_299))
def test_the_future_changes_nothing(seed: int, cut: int) -> None:
    bars = walk(1_300, seed)
    assert same(matrix(bars)[:cut], matrix(bars.between(0, cut))) == []


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_prices_times_ten_change_no_scale_free_value(seed: int) -> None:
    bars = walk(1_500, seed)
    for one in SCALE_FREE:
        if one.group is Group.CANDLE:
            continue  # has a test of its own below
        np.testing.assert_allclose(
            one.compute(bars.scaled(10.0)), one.compute(bars), rtol=1e-7, atol=1e-7, err_msg=one.name
        )


def test_prices_times_ten_change_candle_verdicts_at_ties_only() -> None:
    bars = walk(2_000, 3)
    candles = [one for one in INDICATORS if one.group is Group.CANDLE]
    plain, tenfold = matrix(bars, candles), matrix(bars.scaled(10.0), candles)
    assert np.nanmean(plain != tenfold, where=~np.isnan(plain)) < 0.002
    assert np.array_equal(plain, matrix(bars.scaled(8.0), candles), equal_nan=True)  # no rounding, no ties broken


def test_indicators_in_price_follow_the_price_and_indicators_in_volume_the_volume() -> None:
    bars = walk(2_100, 9)
    double_volume = Bars(
        bars.symbol, bars.timeframe, bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume * 2
    )
    for one in INDICATORS:
        plain = one.compute(bars)
        by_price = 8.0 if one.scale is Scale.PRICE else 1.0
        by_volume = 2.0 if one.scale is Scale.VOLUME else 1.0
        if one.group is not Group.CANDLE:
            np.testing.assert_allclose(one.compute(bars.scaled(8.0)), plain * by_price, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one.compute(double_volume), plain * by_volume, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(bars=wild_bars())
def test_no_bars_however_broken_raise_or_leave_an_infinity(bars: Bars) -> None:
    values = matrix(bars)
    assert values.shape == (len(bars), len(INDICATORS))
    assert not np.isinf(values).any()
    assert [fault for row in values for fault in validate(row)] == []
    assert latest(bars).shape == (len(INDICATORS),)


@settings(max_examples=60, deadline=None)
@given(bars=sound_bars())
def test_values_stay_in_their_ranges_at_the_edges_of_what_is_taken(bars: Bars) -> None:
    assert [fault for row in matrix(bars) for fault in validate(row)] == []


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_values_stay_in_their_ranges_over_long_walks(seed: int) -> None:
    values = matrix(walk(2_200, seed))
    assert validate(np.nanmin(values, axis=0)) == ()
    assert validate(np.nanmax(values, axis=0)) == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [("close", np.nan), ("open", np.inf), ("high", 1.0), ("low", -5.0), ("low", 1e9), ("close", 0.0), ("high", np.nan)],
)
def test_a_broken_bar_counts_as_absent(column: str, value: float) -> None:
    bars, broken = walk(2_300, 12), [0, 700, 2_000, 2_001]
    hurt = replaced(bars, broken, column, value)
    values = matrix(hurt)
    assert same(latest(hurt), values[-1]) == []
    assert np.isnan(values[broken]).all()
    assert same(np.delete(values, broken, axis=0), matrix(without(bars, broken))) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_broken_volume_breaks_its_bar_for_the_volume_group_alone(value: float) -> None:
    bars, broken = walk(2_300, 13), [5, 700, 2_000, 2_299]
    hurt = replaced(bars, broken, "volume", value)
    values, plain, absent = matrix(hurt), matrix(bars), matrix(without(bars, broken))
    for k, one in enumerate(INDICATORS):
        if one.group is Group.VOLUME:
            assert np.isnan(values[broken, k]).all()
            assert np.array_equal(np.delete(values[:, k], broken), absent[:, k], equal_nan=True)
        else:
            assert np.array_equal(values[:, k], plain[:, k], equal_nan=True)
    assert same(latest(hurt), values[-1]) == []


def test_an_adjusted_close_above_its_high_by_a_rounding_error_is_taken() -> None:
    bars = walk(50, 1)
    nudged = replaced(bars, [49], "close", float(bars.high[49]) * (1 + 1e-12))
    assert indicator("close_location").compute(nudged)[49] in (1.0,)
    assert np.isnan(indicator("close_location").compute(replaced(bars, [49], "close", bars.high[49] * 1.001))[49])


def test_a_market_that_stands_still_has_no_rsi_rather_than_an_extreme_one() -> None:
    n = 1_000
    flat = np.full(n, 100.1)
    bars = Bars("FLAT", Timeframe.H1, np.arange(n) * HOUR_MS, flat, flat, flat, flat, np.zeros(n))
    row = dict(zip(NAMES, latest(bars), strict=True))
    for undefined in ("rsi_14", "adx_14", "stoch_k_14_3", "cci_20", "williams_r_14", "bb_position_20_2", "mfi_14"):
        assert np.isnan(row[undefined]), undefined
    for undefined in ("volume_ratio_20", "volume_z_20", "vwap_24", "volatility_ratio_24_720", "close_location"):
        assert np.isnan(row[undefined]), undefined
    for nothing in ("atr_14", "range_fraction", "realised_volatility_24", "consecutive_closes_20", "htf_trend_1d"):
        assert row[nothing] == 0.0, nothing
    assert row["ema_alignment_9_21_50"] == 0.0
    assert row["price_vs_ema_50"] == pytest.approx(0.0, abs=1e-12)


def test_no_bars_make_a_row_of_nan() -> None:
    nothing = walk(5, 1).between(0, 0)
    assert matrix(nothing).shape == (0, len(INDICATORS))
    assert np.isnan(latest(nothing)).all()


def test_a_pivot_is_not_used_before_five_more_bars_have_confirmed_it() -> None:
    n = 300
    close = np.full(n, 100.0)
    high = np.full(n, 100.5)
    high[250] = 110.0
    bars = Bars("PEAK", Timeframe.H1, np.arange(n) * HOUR_MS, close, high, close - 0.5, close, np.ones(n))
    distance = indicator("resistance_distance_5_200").compute(bars)
    assert np.isnan(distance[:255]).all()
    np.testing.assert_allclose(distance[255:], 0.1)


def test_a_higher_bar_counts_only_once_it_has_closed() -> None:
    n = 24 * 30
    close = np.full(n, 100.0)
    close[:-24] = np.linspace(90, 100, n - 24)
    close[-24:] = 50.0  # the last day crashes
    bars = Bars("DAYS", Timeframe.H1, np.arange(n) * HOUR_MS, close, close, close, close, np.ones(n))
    trend = indicator("htf_trend_1d").compute(bars)
    assert trend[-25:-1].tolist() == [1.0] * 24
    assert trend[-1] == -1.0


def test_a_higher_timeframe_below_the_bars_own_is_undefined() -> None:
    daily = walk(400, 2, Timeframe.D1)
    assert np.isnan(indicator("htf_trend_4h").compute(daily)).all()
    assert np.isfinite(indicator("htf_trend_1d").compute(daily)[20:]).all()


def test_a_row_is_validated_against_the_declared_ranges() -> None:
    chosen = [indicator("rsi_14"), indicator("atr_14"), indicator("adx_14")]
    assert validate(np.array([50.0, 3.0, np.nan]), chosen) == ()
    faults = validate(np.array([101.0, -1.0, np.nan]), chosen, required={"adx_14"})
    assert faults[:2] == (OutOfRange("rsi_14", 101.0, 0.0, 100.0), OutOfRange("atr_14", -1.0, 0.0, None))
    assert faults[2].name == "adx_14"
    assert faults[0].text == "rsi_14 is 101; it must be a finite number in 0..100"
    assert validate(np.array([50.0, np.inf, 1.0]), chosen)[0].name == "atr_14"
    with pytest.raises(ValueError, match="3 indicators"):
        validate(np.zeros(2), chosen)


def test_the_page_says_what_the_catalogue_says() -> None:
    assert (ROOT / "docs/indicators.md").read_text(encoding="utf-8") == page()


def test_nothing_but_a_candle_pattern_loads_talib() -> None:
    program = "import sys, ml.indicators.matrix, ml.indicators.ranges, ml.indicators.statistics\n"
    program += "sys.exit(any(name in sys.modules for name in ('talib', 'pandas', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
    importers = [path.name for path in (ROOT / "ml").rglob("*.py") if "import talib" in path.read_text("utf-8")]
    assert importers == ["candles.py"]
