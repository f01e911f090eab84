"""How rare a number is among its own last ones: no table, and so for what nobody has measured.

Of `n` numbers before it, `k` are as large: the chance of that is at most (k + 1) / (n + 1), whatever their
distribution, where their order says nothing. Beyond the largest the chance falls with how far beyond: exactly so for a
Pareto tail of index 1, and less often for every lighter one; those of markets are lighter.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ml.anomaly.windows import LEVEL
from ml.bars import Floats, Instants

#: Out of a level is taken what was usual over so many bars before.
OF_LATE = 24
#: Rows that are compared with their windows at once.
_AT_ONCE = 4_096


def rank_depth(values: Floats, at: Instants, least: float) -> Floats:
    """-log10 of the chance of `values[at]` (none below 0) among the `LEVEL` values before each; `at` (m,) are positions
    from LEVEL on. NaN where the value or half of the window is not known. The largest of a window counts for `least`
    at least, so that a series that stood still makes no miracle of its first step."""
    found = np.full(len(at), np.nan)
    windows = sliding_window_view(values, LEVEL)
    for start in range(0, len(at), _AT_ONCE):
        here = at[start : start + _AT_ONCE]
        found[start : start + _AT_ONCE] = _among(values[here], windows[here - LEVEL], least)
    return found


def of_late(values: Floats) -> Floats:
    """The median of the known among the OF_LATE values before each (n,), the lower of two; NaN where fewer than half
    are known, and before there are so many."""
    found = np.full(len(values), np.nan)
    if len(values) > OF_LATE:
        window = np.sort(sliding_window_view(values, OF_LATE)[:-1], axis=1)  # NaN go last
        known = OF_LATE - np.isnan(window).sum(axis=1)
        middle = window[np.arange(len(window)), np.maximum(known - 1, 0) // 2]
        found[OF_LATE:] = np.where(2 * known >= OF_LATE, middle, np.nan)
    return found


def _among(values: Floats, window: Floats, least: float) -> Floats:
    known = LEVEL - np.isnan(window).sum(axis=1)
    as_large = (window >= values[:, None]).sum(axis=1)
    largest = np.maximum(np.fmax.reduce(window, axis=1), least)
    beyond = np.where(as_large == 0, np.log10(np.maximum(values / largest, 1.0)), 0.0)
    depth = np.log10((known + 1.0) / (as_large + 1.0)) + beyond
    return np.asarray(np.where((2 * known >= LEVEL) & ~np.isnan(values), depth, np.nan))
