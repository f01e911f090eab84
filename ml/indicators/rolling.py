"""Sliding windows whose value does not depend on where the sliding began.

Running sums (TA-Lib, pandas) carry the rounding errors of all that they have seen, and recursions remember for ever;
then the value from a 2,000-bar tail differs from the value from full history. Here each window is folded by itself, by
doubling: blocks of 1, 2, 4, ... bars are joined, so a window of w costs about 2 log2(w) passes, every window goes
through the same additions, and a NaN spoils only the windows that hold it. Tail and full history agree bit for bit.

All functions take and return float64 of shape (n,); the value at i is about the `window` values that end at i, NaN
where there are fewer or where one of them is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ml.bars import Floats

#: An EMA of N looks at 10 N values: exp(-20), two parts in 10^9 of the weight, lies beyond.
EMA_WINDOWS = 10
#: Wilder's mean of N decays by 1 - 1/N, half as fast, and so looks at 20 N values.
WILDER_WINDOWS = 20
#: Two levels nearer than this fraction are equal: rounding must not decide a direction.
EQUAL = 1e-12
#: A spread narrower than this fraction of its level is no movement: mostly rounding errors would be divided by.
STILL = 1e-7

#: newer block, older block already shifted, how many values lie between their ends -> joined block.
_Join: TypeAlias = Callable[[Floats, Floats, int], Floats]


def shift(values: Floats, bars: int) -> Floats:
    """The value `bars` earlier; NaN where there is none."""
    earlier = np.full(len(values), np.nan)
    if bars < len(values):
        earlier[bars:] = values[: len(values) - bars]
    return earlier


def window_sum(values: Floats, window: int) -> Floats:
    """Sum of the window."""
    return _fold(values, window, lambda newer, older, _: newer + older)


def window_mean(values: Floats, window: int) -> Floats:
    """Mean of the window."""
    return window_sum(values, window) / window


def window_max(values: Floats, window: int) -> Floats:
    """Largest value of the window."""
    return _fold(values, window, lambda newer, older, _: np.maximum(newer, older))


def window_min(values: Floats, window: int) -> Floats:
    """Smallest value of the window."""
    return _fold(values, window, lambda newer, older, _: np.minimum(newer, older))


def window_sd(values: Floats, window: int, ddof: int) -> Floats:
    """Standard deviation (divisor `window - ddof`), in two passes: no cancellation where sd is tiny beside the mean."""
    mean = window_mean(values, window)
    squares = sum((np.square(shift(values, lag) - mean) for lag in range(window)), np.zeros(len(values)))
    return np.sqrt(squares / (window - ddof))


def mean_deviation(values: Floats, window: int) -> Floats:
    """Mean distance of the window's values from their mean."""
    mean = window_mean(values, window)
    return sum((np.abs(shift(values, lag) - mean) for lag in range(window)), np.zeros(len(values))) / window


def ema(values: Floats, span: int) -> Floats:
    """Exponential mean with decay 1 - 2 / (span + 1) over the last `10 * span` values, weights summing to one."""
    return _decayed_mean(values, EMA_WINDOWS * span, 1 - 2 / (span + 1))


def wilder(values: Floats, span: int) -> Floats:
    """Wilder's smoothed mean (decay 1 - 1 / span) over the last `20 * span` values, weights summing to one."""
    return _decayed_mean(values, WILDER_WINDOWS * span, 1 - 1 / span)


def ratio(over: Floats, under: Floats, least: Floats | float = 0.0) -> Floats:
    """`over / under`; NaN where `under` is not above `least`, so that rounding errors are never divided by."""
    return over / np.where(under > least, under, np.nan)


def direction(value: Floats, reference: Floats) -> Floats:
    """+1 above the reference, -1 below, 0 within `EQUAL` of it; NaN where either is. Both must be positive."""
    gap = value / reference - 1
    return np.where(np.abs(gap) <= EQUAL, 0.0, np.sign(gap))


def _decayed_mean(values: Floats, window: int, decay: float) -> Floats:
    total = _fold(values, window, lambda newer, older, lag: newer + decay**lag * older)
    return total * ((1 - decay) / -math.expm1(window * math.log(decay)))


def _fold(values: Floats, window: int, join: _Join) -> Floats:
    block, size = values, 1
    folded, covered = values, 0
    while covered < window:
        if window & size:
            folded = join(folded, shift(block, covered), covered) if covered else block
            covered += size
        if covered < window:
            block = join(block, shift(block, size), size)
            size *= 2
    return folded
