"""What hours did, in columns: each against the level of the symbol's own month, in logs of variances.

Sums are fixed-point (`ml.exact`), so a value has the same bits whatever its stretch begins with. Results have the shape
of the input, (n,), one for each window; NaN where an input is missing or the window is not full.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.bars import Floats
from ml.exact import rolling_mean, rolling_sum
from ml.volatility.kernel import FLOOR_OF_ROOT, HOURLY

_FLOOR_OF_SQUARES = 1e-2
_LARGEST_LOG_VOLUME = 128.0


def ranges(root: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of (mean root of the ranges)^2 against the level: wicks count less than in a mean of variances."""
    usual = np.sqrt(level)
    return [2.0 * np.log(_mean(root, window) / usual + FLOOR_OF_ROOT) for window in windows]


def squares(squared: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of the mean squared return of closes against the level."""
    return [np.log(_mean(squared, window) / level + _FLOOR_OF_SQUARES) for window in windows]


def falls(change: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of the share of falls in the squared returns; -.7 is half."""
    cut = np.clip(change, -1.0, 1.0)
    fallen, squared = np.square(np.minimum(cut, 0.0)), np.square(cut)
    return [np.log((_mean(fallen, w) + 0.02 * level) / (_mean(squared, w) + 0.04 * level)) for w in windows]


def signed_moves(change: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """Return over the window in standard deviations of the level."""
    cut = np.clip(change, -1.0, 1.0)
    return [rolling_sum(cut, window) / np.sqrt(window * level) for window in windows]


def below_peak(close: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of the close over the highest of the window, in standard deviations of the level; 0 at the top."""
    price = np.log(close)
    highest = _rolling_max(price, windows)
    return [(price - top) / np.sqrt(window * level) for window, top in zip(windows, highest, strict=True)]


def above_trough(close: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of the close over the lowest of the window, in standard deviations of the level; 0 at the bottom."""
    price = np.log(close)
    lowest = _rolling_max(-price, windows)
    return [(price + low) / np.sqrt(window * level) for window, low in zip(windows, lowest, strict=True)]


def jumps(squared: Floats, level: Floats, windows: Sequence[int]) -> list[Floats]:
    """ln of the share of the largest squared return in their sum."""
    little = 0.01 * level
    largest = _rolling_max(squared, windows)
    return [
        np.log((one + little) / (rolling_sum(squared, window) + little))
        for window, one in zip(windows, largest, strict=True)
    ]


def volumes(volume: Floats, windows: Sequence[int]) -> list[Floats]:
    """Mean ln volume against that of the level window. Bars without volume are left out; NaN where all are."""
    traded = np.isfinite(volume) & (volume > 0.0)
    logs = np.log(np.where(traded, volume, 1.0)) / _LARGEST_LOG_VOLUME
    known = traded.astype(np.float64)

    def mean(window: int) -> Floats:
        count = rolling_sum(known, window)
        total = rolling_sum(logs, window) * _LARGEST_LOG_VOLUME
        return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)

    usual = mean(HOURLY.level)
    return [mean(window) - usual for window in windows]


def _mean(values: Floats, window: int) -> Floats:
    return rolling_mean(values, window) if window > 1 else values


def _rolling_max(values: Floats, windows: Sequence[int]) -> list[Floats]:
    """Largest of the last `window` values, for windows in ascending order. By doubling: the maximum of two overlapping
    halves is the maximum of both."""
    found, reach, longest = [], 1, values
    for window in windows:
        while 2 * reach <= window:
            longest, reach = _larger(longest, reach), 2 * reach
        found.append(_larger(longest, window - reach))
    return found


def _larger(values: Floats, lag: int) -> Floats:
    """The larger of each value and the one `lag` before it; NaN where there is none."""
    if not lag:
        return values
    result = np.full(len(values), np.nan)
    np.maximum(values[lag:], values[:-lag], out=result[lag:])
    return result
