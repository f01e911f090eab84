"""Order statistics of a sliding window: exact, and the same wherever the sliding began."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from ml.bars import Floats


def rolling_ranks(values: Floats, window: int, at_least: int, shares: Sequence[float]) -> Floats:
    """For each share q the value of rank floor(q n), counted from 0, among the n valid of the last `window` values.

    `values` has shape (n,); the result (n, len(shares)). NaN values are left out; NaN where fewer than `at_least` are
    valid or the window is not full. Ranks are values of the window itself, never interpolated, so they are exact.
    """
    result = np.full((len(values), len(shares)), np.nan)
    if len(values) < window:
        return result
    numbers = values.tolist()
    held = np.sort(values[: window - 1])
    sorted_values: list[float] = held[~np.isnan(held)].tolist()
    rows: list[list[float]] = []
    nothing = [float("nan")] * len(shares)
    for entering, leaving in zip(numbers[window - 1 :], [float("nan"), *numbers[: len(numbers) - window]], strict=True):
        if leaving == leaving:
            del sorted_values[bisect_left(sorted_values, leaving)]
        if entering == entering:
            insort(sorted_values, entering)
        n = len(sorted_values)
        rows.append([sorted_values[min(int(q * n), n - 1)] for q in shares] if n >= at_least else nothing)
    result[window - 1 :] = rows
    return result
