"""Order statistics of a sliding window: exact, and the same wherever the sliding began."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from ml.bars import Floats, Instants


def rolling_ranks(
    values: Floats, window: int, at_least: int, shares: Sequence[float], at: Instants | None = None
) -> Floats:
    """For each share q the value of rank floor(q n), counted from 0, among the n valid of the last `window` values, at
    positions `at` (ascending; all where None).

    `values` has shape (n,); the result (len(at), len(shares)). NaN values are left out; NaN where fewer than `at_least`
    are valid or the window is not full. Ranks are values of the window itself, never interpolated, so they are exact.
    """
    wanted = np.arange(len(values)) if at is None else at
    result = np.full((len(wanted), len(shares)), np.nan)
    full = np.flatnonzero(wanted >= window - 1)
    for part in np.split(full, np.flatnonzero(np.diff(wanted[full]) > _FAR) + 1):
        if len(part):
            result[part] = _slid(values, window, at_least, shares, wanted[part])
    return result


#: Where the next position is farther than this, a new window is sorted rather than the last one slid there.
_FAR = 64


def _slid(values: Floats, window: int, at_least: int, shares: Sequence[float], at: Instants) -> list[list[float]]:
    """The rows at positions that are near each other: one window is sorted, and slid."""
    first, last = int(at[0]), int(at[-1])
    held = np.sort(values[first - window + 1 : first])
    sorted_values: list[float] = held[~np.isnan(held)].tolist()
    entering = values[first : last + 1].tolist()
    leaving = [float("nan"), *values[first - window + 1 : last - window + 1].tolist()]
    wanted = set(at.tolist())
    rows: list[list[float]] = []
    nothing = [float("nan")] * len(shares)
    for position, comes, goes in zip(range(first, last + 1), entering, leaving, strict=True):
        if goes == goes:
            del sorted_values[bisect_left(sorted_values, goes)]
        if comes == comes:
            insort(sorted_values, comes)
        if position in wanted:
            n = len(sorted_values)
            rows.append([sorted_values[min(int(q * n), n - 1)] for q in shares] if n >= at_least else nothing)
    return rows
