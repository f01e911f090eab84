"""Which bars an indicator may look at. A broken bar counts as absent, as a missing one does: nothing is filled in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats

#: Prices and volumes outside are broken. Far beyond any market, and far enough from the ends of float64 that squares
#: and sums of 2,000 of them stay finite and normal.
LOWEST_PRICE, HIGHEST_PRICE = 1e-12, 1e15
HIGHEST_VOLUME = 1e18
#: Adjusted prices leave [low, high] by a rounding error; more than this fraction is a broken bar.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The sound bars of a series, and where they were in it (bool, shape of the original)."""

    bars: Bars
    mask: NDArray[np.bool_]

    def tail(self, window: int) -> Sound:
        """The last `window` sound bars and whatever broken ones lie between or after them."""
        surplus = len(self.bars) - window
        if surplus <= 0:
            return self
        first = int(np.flatnonzero(self.mask)[surplus])
        return Sound(self.bars.between(surplus, len(self.bars)), self.mask[first:])


def sound(bars: Bars, *, with_volume: bool) -> Sound:
    """The bars with finite positive prices, low <= open, close <= high, and (if asked) a finite volume >= 0.

    An open or close outside [low, high] by a rounding error widens them; by more, the bar is broken.
    """
    with np.errstate(all="ignore"):  # NaN and infinity are what is looked for
        high = np.maximum(bars.high, np.maximum(bars.open, bars.close))
        low = np.minimum(bars.low, np.minimum(bars.open, bars.close))
        mask = (high <= bars.high * (1 + ROUNDING)) & (low >= bars.low * (1 - ROUNDING)) & (bars.low <= bars.high)
        mask &= _within(low, LOWEST_PRICE, HIGHEST_PRICE) & _within(high, LOWEST_PRICE, HIGHEST_PRICE)
        if with_volume:
            mask &= _within(bars.volume, 0.0, HIGHEST_VOLUME)
    return Sound(
        Bars(
            bars.symbol,
            bars.timeframe,
            bars.open_at[mask],
            bars.open[mask],
            high[mask],
            low[mask],
            bars.close[mask],
            bars.volume[mask],
        ),
        mask,
    )


def _within(values: Floats, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)
