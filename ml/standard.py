"""Columns in standard deviations: what each usually is, how far it usually strays, and what is not known as usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats
from ml.learning import finite

#: Values beyond this many standard deviations are taken for it.
LARGEST = 5.0
#: A column that strays by less stands still: it is left in its own unit.
_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Means and standard deviations of k columns, shape (k,) each."""

    mean: Floats
    deviation: Floats

    @staticmethod
    def of(values: Floats) -> Standard:
        """From columns (n, k), NaN where missing; a column never known is 0, 1."""
        known = ~np.isnan(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
        return Standard(mean, np.where(spread > _SMALLEST, spread, 1.0))

    @staticmethod
    def of_numbers(told: Mapping[str, Any], k: int) -> Standard:
        """Back from `to_numbers`. KeyError, TypeError or ValueError where these are not the numbers of k columns."""
        found = Standard(finite(told["mean"], (k,)), finite(told["deviation"], (k,)))
        if not (found.deviation > 0.0).all():
            raise ValueError("a standard deviation is not positive")
        return found

    def to_numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    def scaled(self, values: Floats, *, unknown: NDArray[np.bool_]) -> Floats:
        """Columns (n, k) in standard deviations from their means, within `LARGEST` either way; 0 where NaN, and where
        `unknown` (n, k) says so. Elementwise: a row has the same bits alone and among many."""
        scaled = (values - self.mean) / self.deviation
        return np.clip(np.where(np.isnan(scaled) | unknown, 0.0, scaled), -LARGEST, LARGEST)
