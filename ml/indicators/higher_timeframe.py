"""The trend one or more timeframes up, made of these very bars.

A higher bar is an interval of 1, 4 or 24 hours aligned to UTC midnight. It is closed once a bar that closes at or after
its end is known; only closed ones count, so a value does not change while its higher bar is being made. An interval
without bars is absent, one with gaps closes at the last bar it has.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale
from ml.indicators.rolling import direction, window_mean

_FAST, _SLOW = 10, 20
#: What is served is made of 2,000 bars; where 20 higher bars need more, the trend is undefined everywhere.
_MOST_BARS = 2_000


def htf_trend(bars: Bars, higher_ms: int) -> Floats:
    """1 where close > SMA 10 > SMA 20 of closed higher bars, -1 where reversed, 0 else.

    NaN where these bars are longer than the higher ones, or so short that 20 higher bars do not fit into 2,000.
    """
    n, base_ms = len(bars), bars.timeframe.milliseconds
    if base_ms > higher_ms or _SLOW * higher_ms > _MOST_BARS * base_ms:
        return np.full(n, np.nan)
    interval = bars.open_at // higher_ms
    last = np.flatnonzero(np.append(interval[1:] != interval[:-1], True))
    closes = bars.close[last]
    fast, slow = window_mean(closes, _FAST), window_mean(closes, _SLOW)
    upper, lower = direction(closes, fast), direction(fast, slow)
    trend = np.where(upper == lower, upper, 0.0) + 0 * lower
    ends = (interval[last] + 1) * higher_ms
    closed = np.searchsorted(ends, bars.close_at, side="right")
    return np.append(trend, np.nan)[closed - 1]  # none closed: position -1, the NaN


def _entry(label: str, higher_ms: int) -> Indicator:
    return Indicator(
        f"htf_trend_{label}",
        Group.HIGHER_TIMEFRAME,
        "direction -1, 0, 1",
        -1.0,
        1.0,
        Scale.SCALE_FREE,
        f"1 where close > SMA 10 > SMA 20 of closed {label} bars (UTC), -1 where reversed",
        _SLOW * higher_ms // HOUR_MS,
        0.0,
        partial(htf_trend, higher_ms=higher_ms),
    )


HIGHER_TIMEFRAME: tuple[Indicator, ...] = (
    _entry("1h", HOUR_MS),
    _entry("4h", 4 * HOUR_MS),
    _entry("1d", DAY_MS),
)
