"""What lay some bars back: values, the largest of them, and the time since. Nothing is summed, so nothing is rounded.

Positions `at` (all where None) say for which bars; results have shape (len(at),).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.bars import Floats, Instants


def lagged(values: Floats, lag: int, at: Instants | None = None) -> Floats:
    """The value `lag` bars before each bar; NaN where there is none."""
    if at is not None:
        return np.where(at >= lag, values[np.maximum(at - lag, 0)], np.nan) if lag else values[at]
    if not lag:
        return values
    result = np.empty(len(values))
    result[:lag] = np.nan
    result[lag:] = values[:-lag]
    return result


def rolling_maxima(values: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """Largest of the last values, for `windows` in ascending order; NaN where fewer are there or one of them is NaN.

    By doubling: the maximum of two overlapping stretches is the maximum of both.
    """
    found, longest, reach = [], values, 1
    for window in windows:
        while 2 * reach <= window:
            longest, reach = np.maximum(longest, lagged(longest, reach)), 2 * reach
        found.append(np.maximum(lagged(longest, 0, at), lagged(longest, window - reach, at)))
    return found


def clock_time(open_at: Instants, bars_back: int, at: Instants | None = None) -> Floats:
    """Milliseconds from the bar `bars_back` before to each bar; NaN where there is none."""
    times = open_at.astype(np.float64)  # exact: an instant takes 41 bits
    return lagged(times, 0, at) - lagged(times, bars_back, at)
