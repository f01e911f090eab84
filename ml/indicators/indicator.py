"""What an indicator is: one causal column of numbers over bars, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.soundness import Sound, sound

#: Sound bars in, one value per bar out, shape (n,). May divide by zero: the caller turns what is not finite into NaN.
Kernel: TypeAlias = Callable[[Bars], Floats]


class Group(StrEnum):
    """What an indicator speaks about."""

    PRICE_ACTION = "price_action"
    TREND = "trend"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    VOLUME = "volume"
    CANDLE = "candle"
    STRUCTURE = "structure"
    HIGHER_TIMEFRAME = "higher_timeframe"
    CALENDAR = "calendar"


class Scale(StrEnum):
    """What multiplying all prices, or all volumes, by a constant does: nothing, or the value follows."""

    SCALE_FREE = "scale_free"
    PRICE = "price"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One causal column: value i depends on the `warmup` sound bars before bar i and on bar i, on nothing else.

    So the value from a tail of `warmup + 1` sound bars equals the value from full history, bit for bit. `low` and
    `high` bound every value (closed; None is unbounded). `warmup` is how many sound bars must precede a bar before its
    value is defined (higher timeframes: counted in hourly bars). `tolerance` is how far a value may lie from the
    textbook recursion over unbounded history, in the indicator's unit, for `Scale.PRICE` as a fraction of the close;
    0.0 where the textbook's own definition is a window. `source` names the book, the paper or the TA-Lib function.
    """

    name: str
    group: Group
    unit: str
    low: float | None
    high: float | None
    scale: Scale
    source: str
    warmup: int
    tolerance: float
    kernel: Kernel

    @property
    def needs_volume(self) -> bool:
        """Whether a bar without a sound volume is left out."""
        return self.group is Group.VOLUME

    def compute(self, bars: Bars) -> Floats:
        """Values, shape (len(bars),), finite or NaN where undefined. Any bars at all: broken ones count as absent."""
        return self.compute_sound(sound(bars, with_volume=self.needs_volume))

    def compute_sound(self, kept: Sound) -> Floats:
        """As `compute`, for bars that were sifted already; the result has one value per original bar."""
        values = np.full(len(kept.mask), np.nan)
        if len(kept.bars):
            with np.errstate(all="ignore"):  # 0/0 is how a kernel says "undefined"
                computed = self.kernel(kept.bars)
            values[kept.mask] = np.where(np.isfinite(computed), computed, np.nan)
        return values
