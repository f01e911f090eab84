"""Hourly bars whose volume is known: season x level, with a little noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Bars, Floats, Timeframe
from ml.liquidity.season import profile
from ml.week import hour_of_week

MONDAY = 1_600_041_600_000


def market(n: int = 1_500, *, noise: float = 0.1, symbol: str = "TEST", seed: int = 1, begin: int = MONDAY) -> Bars:
    """A market of price 100 that trades 1,000 units in a mean hour, by the shipped season."""
    random = np.random.default_rng(seed)
    open_at = begin + np.arange(n, dtype=np.int64) * HOUR_MS
    close = 100.0 * np.exp(np.cumsum(0.004 * random.standard_normal(n)))
    high, low = close * 1.002, close * 0.998
    traded = 100_000.0 * profile()[hour_of_week(open_at)] * np.exp(noise * random.standard_normal(n))
    return Bars(symbol, Timeframe.H1, open_at, close, high, low, close, traded / close)


def with_volume(bars: Bars, volume: Floats) -> Bars:
    return replace(bars, volume=volume)


def without(bars: Bars, drop: NDArray[np.bool_]) -> Bars:
    """The bars but for those that are dropped."""
    keep = ~drop
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.open_at[keep],
        bars.open[keep],
        bars.high[keep],
        bars.low[keep],
        bars.close[keep],
        bars.volume[keep],
    )
