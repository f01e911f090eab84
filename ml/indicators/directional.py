"""Wilder's true range and directional movement: how far, and which way, a bar left the one before."""

from __future__ import annotations

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.rolling import EQUAL, WILDER_WINDOWS, ratio, shift, wilder

_SPAN = 14
_BOOK = "Wilder, New Concepts in Technical Trading Systems (1978)"
#: Measured against TA-Lib over full history; the window leaves out 9.7e-10 of the weight.
_POINTS_TOLERANCE = 1e-5


def true_range(bars: Bars) -> Floats:
    """Largest of high - low and the distances of both from the previous close, in price; NaN for the first bar."""
    before = shift(bars.close, 1)
    return np.maximum(bars.high - bars.low, np.maximum(np.abs(bars.high - before), np.abs(bars.low - before)))


def directional_movement(bars: Bars) -> tuple[Floats, Floats]:
    """Upward and downward movement beyond the previous bar, in price: at most one of them is not zero.

    Equal movements cancel; on a tick grid that is common, and rounding errors must not pick the larger of two equals.
    """
    up = bars.high - shift(bars.high, 1)
    down = shift(bars.low, 1) - bars.low
    least = EQUAL * bars.close
    nothing = 0 * (up + down)  # carries the NaN of the first bar
    upward = (up - down > least) & (up > least)
    downward = (down - up > least) & (down > least)
    return np.where(upward, up, nothing), np.where(downward, down, nothing)


def directional_indicators(bars: Bars, span: int) -> tuple[Floats, Floats]:
    """+DI and -DI, points 0..100; NaN where the market has not moved at all within the window."""
    up, down = directional_movement(bars)
    room = wilder(true_range(bars), span)
    return 100 * ratio(wilder(up, span), room), 100 * ratio(wilder(down, span), room)


def adx(bars: Bars, span: int) -> Floats:
    """Strength of the trend whichever its direction, points 0..100. No direction at all (+DI = -DI = 0) counts as 0."""
    up, down = directional_indicators(bars, span)
    index = np.where(up + down == 0, 0.0, 100 * (np.abs(up - down) / (up + down)))
    return np.minimum(wilder(index, span), 100.0)  # a mean of hundreds may round to just above a hundred


def _entry(name: str, source: str, warmup: int, kernel: Kernel) -> Indicator:
    return Indicator(
        f"{name}_{_SPAN}",
        Group.TREND,
        "points 0..100",
        0.0,
        100.0,
        Scale.SCALE_FREE,
        f"{_BOOK}; TA-Lib {source}",
        warmup,
        _POINTS_TOLERANCE,
        kernel,
    )


_WINDOW = WILDER_WINDOWS * _SPAN
DIRECTIONAL: tuple[Indicator, ...] = (
    _entry("adx", "ADX", 2 * _WINDOW - 1, lambda bars: adx(bars, _SPAN)),
    _entry("di_plus", "PLUS_DI", _WINDOW, lambda bars: directional_indicators(bars, _SPAN)[0]),
    _entry("di_minus", "MINUS_DI", _WINDOW, lambda bars: directional_indicators(bars, _SPAN)[1]),
)
