"""Which numbers are prices."""

from __future__ import annotations

import numpy as np

from ml.bars import Floats

#: Squares and ratios of what lies between stay within the floats.
_LEAST, _MOST = 1e-100, 1e100


def prices(values: Floats) -> Floats:
    """Those that are finite and positive; others are NaN."""
    return np.where(np.isfinite(values) & (values > 0.0), values, np.nan)


def plain_prices(values: Floats) -> Floats:
    """The same, and far from the ends of the float range."""
    return np.where((values > _LEAST) & (values < _MOST), values, np.nan)
