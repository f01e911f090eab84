"""What hours did, in columns: each against the level of the symbol's own month, in logs of variances.

Sums are fixed-point (`ml.exact`), so a value has the same bits whatever its stretch begins with. Inputs are of all
bars, (n,), but for `level`: like the results it is of the bars at positions `at` (all where None). One result for each
window; NaN where an input is missing or the window is not full.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.bars import Floats, Instants
from ml.exact import Sums, picked
from ml.lags import rolling_maxima
from ml.volatility.kernel import FLOOR_OF_ROOT, HOURLY

_FLOOR_OF_SQUARES = 1e-2
_LARGEST_LOG_VOLUME = 128.0


def ranges(root: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of (mean root of the ranges)^2 against the level: wicks count less than in a mean of variances."""
    usual = np.sqrt(level)
    return [2.0 * np.log(one / usual + FLOOR_OF_ROOT) for one in _means(root, windows, at)]


def squares(squared: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of the mean squared return of closes against the level."""
    return [np.log(one / level + _FLOOR_OF_SQUARES) for one in _means(squared, windows, at)]


def falls(change: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of the share of falls in the squared returns; -.7 is half."""
    cut = np.clip(change, -1.0, 1.0)
    fallen, squared = np.square(np.minimum(cut, 0.0)), np.square(cut)
    return [
        np.log((one + 0.02 * level) / (all_ + 0.04 * level))
        for one, all_ in zip(_means(fallen, windows, at), _means(squared, windows, at), strict=True)
    ]


def signed_moves(change: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """Return over the window in standard deviations of the level."""
    moved = Sums.of(np.clip(change, -1.0, 1.0))
    return [moved.sum(window, at) / np.sqrt(window * level) for window in windows]


def below_peak(close: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of the close over the highest of the window, in standard deviations of the level; 0 at the top."""
    price = np.log(close)
    here, highest = picked(price, at), rolling_maxima(price, windows, at)
    return [(here - top) / np.sqrt(window * level) for window, top in zip(windows, highest, strict=True)]


def above_trough(close: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of the close over the lowest of the window, in standard deviations of the level; 0 at the bottom."""
    price = np.log(close)
    here, lowest = picked(price, at), rolling_maxima(-price, windows, at)
    return [(here + low) / np.sqrt(window * level) for window, low in zip(windows, lowest, strict=True)]


def jumps(squared: Floats, level: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """ln of the share of the largest squared return in their sum."""
    little, sums = 0.01 * level, Sums.of(squared)
    largest = rolling_maxima(squared, windows, at)
    return [
        np.log((one + little) / (sums.sum(window, at) + little)) for window, one in zip(windows, largest, strict=True)
    ]


def volumes(volume: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """Mean ln volume against that of the level window. Bars without volume are left out; NaN where all are."""
    traded = np.isfinite(volume) & (volume > 0.0)
    logs = Sums.of(np.log(np.where(traded, volume, 1.0)) / _LARGEST_LOG_VOLUME)
    known = Sums.of(traded.astype(np.float64))

    def mean(window: int) -> Floats:
        count, total = known.sum(window, at), logs.sum(window, at) * _LARGEST_LOG_VOLUME
        return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)

    usual = mean(HOURLY.level)
    return [mean(window) - usual for window in windows]


def _means(values: Floats, windows: Sequence[int], at: Instants | None) -> list[Floats]:
    sums = Sums.of(values)
    return [sums.mean(window, at) if window > 1 else picked(values, at) for window in windows]
