"""Bars of one market, as plain columns. The oldest word of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, Instant, Timeframe

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "WEEK_MS",
    "Bars",
    "Floats",
    "Instant",
    "Instants",
    "Timeframe",
]

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed bars of one symbol, oldest first.

    `open_at` is int64 milliseconds UTC, strictly increasing, and marks the OPEN of each bar; prices and `volume` (base
    units) are float64, all of one length. Missing bars are simply absent: nothing is filled in.
    """

    symbol: str
    timeframe: Timeframe
    open_at: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.open_at)

    @property
    def close_at(self) -> Instants:
        """When each bar was complete: nobody could know it earlier."""
        return self.open_at + self.timeframe.milliseconds

    def between(self, start: int, stop: int) -> Bars:
        """The bars at positions [start, stop), sharing memory."""
        cut = slice(max(start, 0), max(stop, 0))
        return Bars(
            self.symbol,
            self.timeframe,
            self.open_at[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
        )

    def followed_by(self, other: Bars) -> Bars:
        """The rows of both, one after the other; whose times may overlap is the caller's to know."""
        return Bars(
            self.symbol,
            self.timeframe,
            np.concatenate([self.open_at, other.open_at]),
            np.concatenate([self.open, other.open]),
            np.concatenate([self.high, other.high]),
            np.concatenate([self.low, other.low]),
            np.concatenate([self.close, other.close]),
            np.concatenate([self.volume, other.volume]),
        )

    def scaled(self, factor: float) -> Bars:
        """The same market quoted in another unit of money: prices times `factor`, volume as it was."""
        return Bars(
            self.symbol,
            self.timeframe,
            self.open_at,
            self.open * factor,
            self.high * factor,
            self.low * factor,
            self.close * factor,
            self.volume,
        )
