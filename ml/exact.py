"""Rolling sums that do not depend on where the summing began.

The same question must have the same answer for ever, whether its features come from the last 2,000 bars (live) or from
six years of them (replay). Floating-point running sums differ in their last bits between the two. Sums of integers do
not: values are rounded once to a fixed-point grid, summed as int64 (whose overflow wraps and cancels in differences),
and converted back. So `tail == full` and `batch == single` hold bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats

#: Grid of the fixed-point numbers. A window of 2,047 values within [-1, 1] fits int64 exactly.
FRACTION_BITS = 52
LARGEST_WINDOW = 2_047
_UNIT = float(2**FRACTION_BITS)


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum of the last `window` values, at each position; NaN where fewer are there or one of them is NaN.

    `values` has shape (n,), each within [-1, 1] (clipped to it: scale first) or NaN. Result has shape (n,). Rounding
    error of a sum is below `window * 2**-53`. Raises ValueError where `window` is not in 1 .. 2,047.
    """
    if not 1 <= window <= LARGEST_WINDOW:
        raise ValueError(f"window must be in 1..{LARGEST_WINDOW}, not {window}")
    missing = np.isnan(values)
    holes = bool(missing.any())
    scaled = np.where(missing, 0.0, values) if holes else values
    scaled = np.minimum(np.maximum(scaled, -1.0), 1.0)
    scaled *= _UNIT
    ticks = np.rint(scaled, out=scaled).astype(np.int64)
    result = _differences(ticks, window).astype(np.float64)
    result /= _UNIT
    result[: window - 1] = np.nan
    if holes:
        result[_differences(missing.astype(np.int64), window) > 0] = np.nan
    return result


def rolling_mean(values: Floats, window: int) -> Floats:
    """Mean of the last `window` values: `rolling_sum` over `window`."""
    return rolling_sum(values, window) / window


def _differences(ticks: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    total = np.cumsum(ticks)  # wraps around; differences of wrapped sums are right while the window's own sum fits
    result = total.copy()
    result[window:] -= total[:-window]
    return result
