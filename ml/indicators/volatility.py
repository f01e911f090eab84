"""Volatility: how far the market moves in a bar. Never annualised: per bar of its timeframe."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.directional import true_range
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.price_action import log_return
from ml.indicators.rolling import WILDER_WINDOWS, ratio, wilder, window_mean, window_sd

_ATR = 14
_WILDER = "Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib"
_PRICE_TOLERANCE = 1e-8
_UNIT = "log fraction per bar"


def atr(bars: Bars, span: int) -> Floats:
    """Average true range, in price."""
    return wilder(true_range(bars), span)


def historical_volatility(bars: Bars, window: int) -> Floats:
    """Standard deviation of the log returns around their mean."""
    return window_sd(log_return(bars, 1), window, ddof=1)


def realised_volatility(bars: Bars, window: int) -> Floats:
    """Root of the mean squared log return: the mean return is taken as zero."""
    return np.sqrt(window_mean(np.square(log_return(bars, 1)), window))


def parkinson(bars: Bars, window: int) -> Floats:
    """Volatility from the ranges of the bars: five times as efficient as closes, blind to gaps between bars."""
    return np.sqrt(window_mean(np.square(np.log(bars.high / bars.low)), window) / (4 * math.log(2)))


def garman_klass(bars: Bars, window: int) -> Floats:
    """Volatility from range and body of the bars, without drift, blind to gaps between bars."""
    span, body = np.log(bars.high / bars.low), np.log(bars.close / bars.open)
    return np.sqrt(window_mean(0.5 * np.square(span) - (2 * math.log(2) - 1) * np.square(body), window))


def _windowed(name: str, of: Callable[[Bars, int], Floats], window: int, warmup: int, source: str) -> Indicator:
    return Indicator(
        f"{name}_{window}",
        Group.VOLATILITY,
        _UNIT,
        0.0,
        None,
        Scale.SCALE_FREE,
        source,
        warmup,
        0.0,
        lambda bars: of(bars, window),
    )


def _atr(name: str, unit: str, scale: Scale, source: str, kernel: Kernel) -> Indicator:
    warmup = WILDER_WINDOWS * _ATR
    return Indicator(name, Group.VOLATILITY, unit, 0.0, None, scale, source, warmup, _PRICE_TOLERANCE, kernel)


_REALISED = "Andersen et al., Econometrica 71 (2003) 579"
VOLATILITY: tuple[Indicator, ...] = (
    _atr("atr_14", "price", Scale.PRICE, f"{_WILDER} ATR", lambda bars: atr(bars, _ATR)),
    _atr(
        "atr_fraction_14",
        "fraction",
        Scale.SCALE_FREE,
        f"{_WILDER} ATR, over the close",
        lambda bars: atr(bars, _ATR) / bars.close,
    ),
    _windowed("historical_volatility", historical_volatility, 20, 20, "sample deviation of log returns"),
    *(_windowed("realised_volatility", realised_volatility, n, n, _REALISED) for n in (24, 168, 720)),
    _windowed("parkinson_volatility", parkinson, 24, 23, "Parkinson, J. Business 53 (1980) 61"),
    _windowed("garman_klass_volatility", garman_klass, 24, 23, "Garman & Klass, J. Business 53 (1980) 67"),
    Indicator(
        "volatility_ratio_24_720",
        Group.VOLATILITY,
        "ratio",
        0.0,
        None,
        Scale.SCALE_FREE,
        "realised_volatility_24 / realised_volatility_720",
        720,
        0.0,
        lambda bars: ratio(realised_volatility(bars, 24), realised_volatility(bars, 720)),
    ),
)
