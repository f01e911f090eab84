"""Momentum: how far the close has come, and where it stands in its recent range."""

from __future__ import annotations

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale
from ml.indicators.price_action import typical_price
from ml.indicators.rolling import (
    STILL,
    WILDER_WINDOWS,
    mean_deviation,
    ratio,
    shift,
    wilder,
    window_max,
    window_mean,
    window_min,
)

_STOCHASTIC, _SMOOTH = 14, 3
_RSI_TOLERANCE = 1e-5
#: One outlier among 20 equal prices reaches 0.95 / (0.015 * 0.095) = 666.7.
_CCI_LIMIT = 667.0


def rsi(close: Floats, span: int) -> Floats:
    """Share of the gains in all movement, points 0..100; NaN where the close has not moved within the window."""
    change = close - shift(close, 1)
    gain, loss = wilder(np.maximum(change, 0.0), span), wilder(np.maximum(-change, 0.0), span)
    return 100 * ratio(gain, gain + loss)


def stochastic_k(bars: Bars) -> Floats:
    """Where the close stands in the range of 14 bars (0 low, 100 high), mean of 3; NaN where there was no range."""
    low, high = window_min(bars.low, _STOCHASTIC), window_max(bars.high, _STOCHASTIC)
    return window_mean(100 * ratio(bars.close - low, high - low), _SMOOTH)


def cci(bars: Bars, window: int) -> Floats:
    """Distance of the typical price from its mean, in 0.015 mean deviations; NaN where it has not moved."""
    price = typical_price(bars)
    mean = window_mean(price, window)
    return ratio(price - mean, 0.015 * mean_deviation(price, window), 0.015 * STILL * mean)


def williams_r(bars: Bars, window: int) -> Floats:
    """How far below the highest high the close stands, points -100..0; NaN where there was no range."""
    low, high = window_min(bars.low, window), window_max(bars.high, window)
    return -100 * ratio(high - bars.close, high - low)


def _rsi(span: int) -> Indicator:
    return Indicator(
        f"rsi_{span}",
        Group.MOMENTUM,
        "points 0..100",
        0.0,
        100.0,
        Scale.SCALE_FREE,
        "Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib RSI",
        WILDER_WINDOWS * span,
        _RSI_TOLERANCE,
        lambda bars: rsi(bars.close, span),
    )


_GROUP, _FREE = Group.MOMENTUM, Scale.SCALE_FREE
_K_WARMUP = _STOCHASTIC + _SMOOTH - 2

MOMENTUM: tuple[Indicator, ...] = (
    _rsi(14),
    _rsi(7),
    Indicator(
        "stoch_k_14_3",
        _GROUP,
        "points 0..100",
        0.0,
        100.0,
        _FREE,
        "Lane (1984); TA-Lib STOCH slow %K",
        _K_WARMUP,
        0.0,
        stochastic_k,
    ),
    Indicator(
        "stoch_d_14_3_3",
        _GROUP,
        "points 0..100",
        0.0,
        100.0,
        _FREE,
        "Lane (1984); TA-Lib STOCH slow %D",
        _K_WARMUP + _SMOOTH - 1,
        0.0,
        lambda bars: window_mean(stochastic_k(bars), _SMOOTH),
    ),
    Indicator(
        "cci_20",
        _GROUP,
        "0.015 mean deviations",
        -_CCI_LIMIT,
        _CCI_LIMIT,
        _FREE,
        "Lambert, Commodities (1980); TA-Lib CCI",
        19,
        0.0,
        lambda bars: cci(bars, 20),
    ),
    Indicator(
        "williams_r_14",
        _GROUP,
        "points -100..0",
        -100.0,
        0.0,
        _FREE,
        "Williams (1973); TA-Lib WILLR",
        13,
        0.0,
        lambda bars: williams_r(bars, 14),
    ),
    Indicator(
        "roc_10",
        _GROUP,
        "fraction",
        -1.0,
        None,
        _FREE,
        "TA-Lib ROCP: close over the close 10 bars ago, less 1",
        10,
        0.0,
        lambda bars: bars.close / shift(bars.close, 10) - 1,
    ),
    Indicator(
        "momentum_10",
        _GROUP,
        "price",
        None,
        None,
        Scale.PRICE,
        "TA-Lib MOM: close less the close 10 bars ago",
        10,
        0.0,
        lambda bars: bars.close - shift(bars.close, 10),
    ),
)
