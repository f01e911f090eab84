"""Rolling sums that do not depend on where the summing began.

The same question must have the same answer for ever, whether its features come from the last 2,000 bars (live) or from
six years of them (replay). Floating-point running sums differ in their last bits between the two. Sums of integers do
not: values are rounded once to a fixed-point grid, summed as int64 (whose overflow wraps and cancels in differences),
and converted back. So `tail == full` and `batch == single` hold bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats, Instants

#: Grid of the fixed-point numbers. A window of 2,047 values within [-1, 1] fits int64 exactly.
FRACTION_BITS = 52
LARGEST_WINDOW = 2_047
N = TypeVar("N", bound=np.generic)
_UNIT = float(2**FRACTION_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of the last values of one series, of any window: its values are rounded and added up once."""

    total: NDArray[np.int64]
    """Ticks of all values up to each position; it wraps around, differences are right while a window's own sum fits."""
    missing: NDArray[np.int64] | None
    """How many values up to each position are NaN; None where none is."""

    @staticmethod
    def of(values: Floats) -> Sums:
        """Of values of shape (n,), each within [-1, 1] (clipped to it: scale first) or NaN."""
        missing = np.isnan(values)
        holes = bool(missing.any())
        scaled = np.where(missing, 0.0, values) if holes else values
        scaled = np.minimum(np.maximum(scaled, -1.0), 1.0)
        scaled *= _UNIT
        ticks = np.rint(scaled, out=scaled).astype(np.int64)
        return Sums(np.cumsum(ticks), np.cumsum(missing) if holes else None)

    def sum(self, window: int, at: Instants | None = None) -> Floats:
        """Sum of the `window` values that end at each position of `at`, at all where None; NaN where fewer are there or
        one of them is NaN. Rounding error below `window * 2**-53`. ValueError where `window` is not in 1 .. 2,047."""
        if not 1 <= window <= LARGEST_WINDOW:
            raise ValueError(f"window must be in 1..{LARGEST_WINDOW}, not {window}")
        if at is None:
            result = _differences(self.total, window).astype(np.float64)
            result /= _UNIT
            result[: window - 1] = np.nan
            if self.missing is not None:
                result[_differences(self.missing, window) > 0] = np.nan
            return result
        result = _differences_at(self.total, window, at).astype(np.float64)
        result /= _UNIT
        result[at < window - 1] = np.nan
        if self.missing is not None:
            result[_differences_at(self.missing, window, at) > 0] = np.nan
        return result

    def mean(self, window: int, at: Instants | None = None) -> Floats:
        """`sum` over `window`."""
        return self.sum(window, at) / window


def rolling_sum(values: Floats, window: int, at: Instants | None = None) -> Floats:
    """Sum of the last `window` values of one series, at positions `at`: see `Sums`."""
    return Sums.of(values).sum(window, at)


def rolling_mean(values: Floats, window: int, at: Instants | None = None) -> Floats:
    """Mean of the last `window` values: `rolling_sum` over `window`."""
    return rolling_sum(values, window, at) / window


def picked(values: NDArray[N], at: Instants | None) -> NDArray[N]:
    """The values at positions `at`; all of them where None."""
    return values if at is None else values[at]


def _differences(total: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    result = total.copy()
    result[window:] -= total[:-window]
    return result


def _differences_at(total: NDArray[np.int64], window: int, at: Instants) -> NDArray[np.int64]:
    before = at - window
    result: NDArray[np.int64] = total[at] - np.where(before >= 0, total[np.maximum(before, 0)], 0)
    return result
