"""Trend: moving averages and what hangs on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.rolling import EMA_WINDOWS, direction, ema, shift, window_mean

SPANS = (10, 20, 50, 100, 200)
#: The signal classifier of the design documents reads these as well.
CLASSIFIER_SPANS = (9, 21)
_FAST, _SLOW, _SIGNAL = 12, 26, 9
_ALIGNED = (9, 21, 50)
_APPEL = "Appel, Technical Analysis: Power Tools (2005); TA-Lib MACD 12, 26, 9"

#: What the window leaves out is 2.1e-9 of the weight; the seed may lie as far off as half the price.
_EMA_TOLERANCE = 1e-8


def macd_line(close: Floats) -> Floats:
    """EMA 12 less EMA 26, in price."""
    return ema(close, _FAST) - ema(close, _SLOW)


def macd_signal(close: Floats) -> Floats:
    """EMA 9 of the MACD line, in price."""
    return ema(macd_line(close), _SIGNAL)


def macd_histogram(close: Floats) -> Floats:
    """MACD line less its signal, in price."""
    line = macd_line(close)
    return line - ema(line, _SIGNAL)


def ema_alignment(bars: Bars) -> Floats:
    """+1 where EMA 9 > EMA 21 > EMA 50, -1 where they stand the other way round, 0 else."""
    fast, middle, slow = (ema(bars.close, span) for span in _ALIGNED)
    upper, lower = direction(fast, middle), direction(middle, slow)
    return np.where(upper == lower, upper, 0.0) + 0 * lower  # the second term carries a NaN through


def _mean(kind: str, of: Callable[[Floats, int], Floats], span: int) -> Indicator:
    return Indicator(
        f"{kind}_{span}",
        Group.TREND,
        "price",
        0.0,
        None,
        Scale.PRICE,
        f"TA-Lib {kind.upper()} of closes",
        _warmup(kind, span),
        _EMA_TOLERANCE if kind == "ema" else 0.0,
        lambda bars: of(bars.close, span),
    )


def _against(kind: str, of: Callable[[Floats, int], Floats], span: int) -> Indicator:
    return Indicator(
        f"price_vs_{kind}_{span}",
        Group.TREND,
        "fraction",
        -1.0,
        None,
        Scale.SCALE_FREE,
        f"close / {kind}_{span} - 1",
        _warmup(kind, span),
        _EMA_TOLERANCE if kind == "ema" else 0.0,
        lambda bars: bars.close / of(bars.close, span) - 1,
    )


def _slope(span: int, over: int) -> Indicator:
    def kernel(bars: Bars) -> Floats:
        mean = ema(bars.close, span)
        return mean / shift(mean, over) - 1

    return Indicator(
        f"ema_slope_{span}_{over}",
        Group.TREND,
        "fraction",
        -1.0,
        None,
        Scale.SCALE_FREE,
        f"ema_{span} over itself {over} bars ago, less 1",
        _warmup("ema", span) + over,
        _EMA_TOLERANCE,
        kernel,
    )


def _macd(name: str, of: Callable[[Floats], Floats], warmup: int) -> tuple[Indicator, Indicator]:
    def priced(bars: Bars) -> Floats:
        return of(bars.close)

    def free(bars: Bars) -> Floats:
        return of(bars.close) / bars.close

    def entry(full_name: str, unit: str, scale: Scale, kernel: Kernel) -> Indicator:
        return Indicator(full_name, Group.TREND, unit, None, None, scale, _APPEL, warmup, _EMA_TOLERANCE, kernel)

    return (
        entry(f"macd_{name}_12_26_9", "price", Scale.PRICE, priced),
        entry(f"macd_{name}_fraction_12_26_9", "fraction of close", Scale.SCALE_FREE, free),
    )


def _warmup(kind: str, span: int) -> int:
    return (EMA_WINDOWS * span if kind == "ema" else span) - 1


_LINE_WARMUP = EMA_WINDOWS * _SLOW - 1
_SIGNAL_WARMUP = _LINE_WARMUP + EMA_WINDOWS * _SIGNAL - 1

TREND: tuple[Indicator, ...] = (
    *(_mean("sma", window_mean, span) for span in SPANS),
    *(_mean("ema", ema, span) for span in SPANS),
    *(_against("sma", window_mean, span) for span in SPANS),
    *(_against("ema", ema, span) for span in sorted(SPANS + CLASSIFIER_SPANS)),
    _slope(20, 5),
    _slope(50, 10),
    Indicator(
        "ema_alignment_9_21_50",
        Group.TREND,
        "direction -1, 0, 1",
        -1.0,
        1.0,
        Scale.SCALE_FREE,
        "1 where EMA 9 > EMA 21 > EMA 50, -1 where reversed, 0 else",
        _warmup("ema", _ALIGNED[-1]),
        0.0,
        ema_alignment,
    ),
    *_macd("line", macd_line, _LINE_WARMUP),
    *_macd("signal", macd_signal, _SIGNAL_WARMUP),
    *_macd("histogram", macd_histogram, _SIGNAL_WARMUP),
)
