"""Whether a row of indicators can be what it says it is: the check before inference."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ml.bars import Floats
from ml.indicators.catalogue import INDICATORS
from ml.indicators.indicator import Indicator


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """A value that its indicator can never have, with the closed range it can (None is unbounded)."""

    name: str
    value: float
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        """What is wrong, and what would be accepted."""
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{self.name} is {self.value:g}; it must be a finite number in {low}..{high}"


def validate(
    row: Floats, indicators: Sequence[Indicator] = INDICATORS, required: Collection[str] = ()
) -> tuple[OutOfRange, ...]:
    """What in `row` (shape (k,), one value per indicator) is infinite, outside its range, or NaN though `required`.

    Any other NaN is a missing value, not a wrong one. Whether a value is usual is another question: a predictor's own
    `ranges` answer it. ValueError where the row is not as long as the indicators.
    """
    if row.shape != (len(indicators),):
        raise ValueError(f"a row of {len(indicators)} indicators has shape ({len(indicators)},), not {row.shape}")
    return tuple(
        OutOfRange(one.name, float(value), one.low, one.high)
        for one, value in zip(indicators, row, strict=True)
        if _is_wrong(float(value), one, required)
    )


def _is_wrong(value: float, one: Indicator, required: Collection[str]) -> bool:
    if math.isnan(value):
        return one.name in required
    too_low = one.low is not None and value < one.low
    too_high = one.high is not None and value > one.high
    return math.isinf(value) or too_low or too_high
