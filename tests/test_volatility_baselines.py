"""Forecasts of textbooks, beside which the model is shown: fitted before the years judged, blind to what follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.bars import HOUR_MS, Bars, Floats, Timeframe

pytest.importorskip("arch")

from benchmarks.learn_volatility import Table, table
from benchmarks.volatility_baselines import BASELINES, losses

BEGIN, END = 3_000, 5_000


def garch_bars(seed: int) -> Bars:
    """Hours whose variance follows a GARCH(1,1) that forgets within a day: 1% an hour, alpha .3, beta .6."""
    random = np.random.default_rng(seed)
    variance, changes = 1.0, np.empty(END)
    for i in range(END):
        changes[i] = np.sqrt(variance) * random.standard_normal()
        variance = 0.1 + 0.3 * changes[i] ** 2 + 0.6 * variance
    close = 100.0 * np.exp(0.01 * np.cumsum(changes))
    start = np.concatenate([[100.0], close[:-1]])
    high, low = 1.001 * np.maximum(start, close), 0.999 * np.minimum(start, close)
    open_at = 1_600_000_000_000 // HOUR_MS * HOUR_MS + HOUR_MS * np.arange(END, dtype=np.int64)
    return Bars("COIN", Timeframe.H1, open_at, start, high, low, close, np.ones(END))


BARS = garch_bars(1)


def asked_of(bars: Bars, stop: int) -> Table:
    return table([bars], int(bars.close_at[BEGIN]), int(bars.close_at[stop]), 3)


def changed(bars: Bars, first: int) -> Bars:
    """Moves from bar `first` on are five times as large, and prices go on from there."""

    def wilder(values: Floats) -> Floats:
        result = values.copy()
        result[first:] = bars.close[first - 1] * (values[first:] / bars.close[first - 1]) ** 5
        return result

    return replace(bars, open=wilder(bars.open), high=wilder(bars.high), low=wilder(bars.low), close=wilder(bars.close))


def test_where_variance_follows_a_garch_its_forecast_beats_rolling_windows() -> None:
    asked = asked_of(BARS, END - 60)
    found = {who: float(loss.mean()) for who, loss in losses([BARS], asked, int(BARS.close_at[BEGIN])).items()}
    assert set(found) == set(BASELINES)
    assert found["GARCH(1,1)-t"] < 0.9 * min(found["rolling std 24 h"], found["EWMA .985"])
    assert found["EGARCH(1,1)-t"] < found["rolling std 24 h"]


def test_a_forecast_does_not_change_with_what_comes_after_it() -> None:
    stop = 3_600
    asked, begin = asked_of(BARS, stop), int(BARS.close_at[BEGIN])
    first = losses([BARS], asked, begin)
    later = losses([changed(BARS, stop + 60)], asked, begin)
    for who in BASELINES:
        np.testing.assert_allclose(later[who], first[who], rtol=1e-12)
