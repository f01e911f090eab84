"""Sums and maxima of the last bars, worked out in the same order for every bar: the same bits whatever a stretch begins
with.

By doubling: sums of 1, 2, 4, ... bars, and of those that make up a window. Only additions, so there is nothing to
cancel and no scale to keep to: an hour may have traded .001 of its currency, or 1e12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ml.bars import Floats


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum of the last `window` (at least 1) values, shape (n,); NaN where fewer are there or one of them is NaN."""
    return _weighted(values, (window,), 1.0)[0]


def rolling_mean(values: Floats, window: int) -> Floats:
    """Mean of the last `window` values."""
    return rolling_sum(values, window) / window


def rolling_means(values: Floats, windows: Sequence[int]) -> list[Floats]:
    """The same for several windows at once."""
    sums = _weighted(values, windows, 1.0)
    return [total / window for total, window in zip(sums, windows, strict=True)]


def smoothed(values: Floats, alpha: float, window: int) -> Floats:
    """Exponentially weighted mean of the last `window` values, weights alpha (1 - alpha)^lag, rescaled to sum to 1."""
    keep = 1.0 - alpha
    return _weighted(values, (window,), keep)[0] * (alpha / (1.0 - keep**window))


def rolling_maxima(values: Floats, windows: Sequence[int]) -> list[Floats]:
    """Largest of the last values, for `windows` in ascending order; NaN as in `rolling_sum`. The maximum of two
    overlapping stretches is the maximum of both."""
    found, longest, reach = [], values, 1
    for window in windows:
        while 2 * reach <= window:
            longest, reach = np.maximum(longest, lagged(longest, reach)), 2 * reach
        found.append(np.maximum(longest, lagged(longest, window - reach)))
    return found


def lagged(values: Floats, lag: int) -> Floats:
    """Each value `lag` bars before, NaN where there is none, shape (n,)."""
    if not lag:
        return values
    result = np.empty(len(values))
    result[:lag] = np.nan
    result[lag:] = values[:-lag]
    return result


def _weighted(values: Floats, windows: Sequence[int], keep: float) -> list[Floats]:
    """Per window the sum of keep^lag x value over its last bars."""
    totals: list[Floats | None] = [None] * len(windows)
    done = [0] * len(windows)
    for reach, block in _doubled(values, max(windows), keep):
        for k, window in enumerate(windows):
            if window & reach:
                part = _faded(block, done[k], keep)
                so_far = totals[k]
                totals[k] = part if so_far is None else so_far + part
                done[k] += reach
    return [total for total in totals if total is not None]


def _doubled(values: Floats, largest: int, keep: float) -> Iterator[tuple[int, Floats]]:
    """1, 2, 4, ... and the weighted sums of as many values, as long as a window of `largest` has use for them."""
    block, reach = values, 1
    yield reach, block
    while 2 * reach <= largest:
        block, reach = block + _faded(block, reach, keep), 2 * reach
        yield reach, block


def _faded(values: Floats, lag: int, keep: float) -> Floats:
    """keep^lag x the value `lag` bars before."""
    result = lagged(values, lag)
    return result if keep == 1.0 or not lag else result * keep**lag
