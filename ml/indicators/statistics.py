"""What the columns of a matrix look like, and putting them on a common scale.

Statistics are fitted on the training rows alone and applied to every later row: fitted on the whole, they would tell
the past about the future. A column that did not vary in training carries no information and becomes 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.bars import Floats


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """One column: how many finite values, and of those mean, population standard deviation, extremes, median, iqr.

    All but `n` are NaN where n is 0. `sd` and `iqr` are exactly 0 where all values are equal.
    """

    name: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    median: float
    iqr: float


def statistics(names: Sequence[str], matrix: Floats) -> tuple[FeatureStatistics, ...]:
    """One per column of `matrix` (shape (n, len(names))); what is not finite is left out.

    ValueError where names and columns do not match.
    """
    _check(matrix, len(names))
    return tuple(_describe(name, matrix[:, k]) for k, name in enumerate(names))


def standardise(matrix: Floats, fitted: Sequence[FeatureStatistics]) -> Floats:
    """(value - mean) / sd, shape as `matrix`: for what is roughly symmetric (RSI, stochastic). NaN stays NaN."""
    return _scale(matrix, fitted, lambda one: one.mean, lambda one: one.sd)


def to_unit_range(matrix: Floats, fitted: Sequence[FeatureStatistics]) -> Floats:
    """(value - low) / (high - low): 0..1 on the fitted rows, beyond it on rows that go beyond. NaN stays NaN."""
    return _scale(matrix, fitted, lambda one: one.low, lambda one: one.high - one.low)


def robust(matrix: Floats, fitted: Sequence[FeatureStatistics]) -> Floats:
    """(value - median) / iqr: for what has wild outliers (prices, volumes). NaN stays NaN."""
    return _scale(matrix, fitted, lambda one: one.median, lambda one: one.iqr)


def _describe(name: str, column: Floats) -> FeatureStatistics:
    values = column[np.isfinite(column)]
    if not len(values):
        nan = float("nan")
        return FeatureStatistics(name, 0, nan, nan, nan, nan, nan, nan)
    low, high = float(values.min()), float(values.max())
    quarter, median, three_quarters = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    if low == high:  # a rounded mean would leave an sd of 1e-17, and z-scores made of nothing
        return FeatureStatistics(name, len(values), low, 0.0, low, high, low, 0.0)
    mean, sd = float(values.mean()), float(values.std())
    return FeatureStatistics(name, len(values), mean, sd, low, high, median, three_quarters - quarter)


def _scale(
    matrix: Floats,
    fitted: Sequence[FeatureStatistics],
    centre_of: Callable[[FeatureStatistics], float],
    width_of: Callable[[FeatureStatistics], float],
) -> Floats:
    _check(matrix, len(fitted))
    centre = np.array([centre_of(one) for one in fitted], dtype=np.float64)
    width = np.array([width_of(one) for one in fitted], dtype=np.float64)
    finite = np.where(np.isfinite(matrix), matrix, np.nan)
    scaled = (finite - centre) / np.where(width > 0, width, np.nan)
    return np.where((width == 0) & ~np.isnan(finite), 0.0, scaled)


def _check(matrix: Floats, columns: int) -> None:
    if matrix.ndim != 2 or matrix.shape[1] != columns:
        raise ValueError(f"the matrix has shape {matrix.shape}; {columns} names or statistics need (n, {columns})")
