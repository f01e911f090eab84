"""What is usual at each bar: quantiles and counts of the bars before it, and the hour of the day.

All of it is the same, bit for bit, from a tail as from full history: windows are anchored on the clock, quantiles are
values of the window itself, sums are sums of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.windows import Windows
from ml.bars import HOUR_MS, Bars, Floats, Instants

_GRID = float(2**40)
_SHRINK = 3.0
_HOURS = 24
#: What never was in a window counts as this many times: between gaps (.15 on coins to 2021, .2 on currencies to 2015)
#: and bars that stand still (.02, .05).
NEVER = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Where windows end. `starts` are the positions at which a block of bars begins in which a bar with a full warm-up
    lies, and `owner` (n,) the number of its block for each bar that is looked at, -1 where it has none."""

    starts: NDArray[np.int64]
    owner: NDArray[np.int64]
    level: int

    @staticmethod
    def of(bars: Bars, windows: Windows) -> Anchors:
        at = np.arange(len(bars))
        block = bars.open_at // (windows.step * bars.timeframe.milliseconds)
        begins = np.ones(len(bars), dtype=np.bool_)
        begins[1:] = block[1:] != block[:-1]
        start = np.maximum.accumulate(np.where(begins, at, 0)) if len(at) else at
        full = at - _began(bars.open_at) >= windows.warmup - 1
        starts = np.unique(start[full])
        return Anchors(starts, np.where(full, np.searchsorted(starts, start), -1), windows.level)

    def of_rows(self, rows: NDArray[np.int64]) -> Anchors:
        """The same, when only the bars at `rows` are looked at."""
        return Anchors(self.starts, self.owner[rows], self.level)

    def quantiles(self, values: Floats, shares: Sequence[float]) -> list[Floats]:
        """Quantiles of each bar's level window, shape (n,) each, nearest rank among the known; NaN where under half of
        the window is known."""
        if not len(self.starts):
            return [np.full(len(self.owner), np.nan) for _ in shares]
        window = np.sort(self._windows(values), axis=1)  # NaN go last
        known = self.level - np.isnan(window).sum(axis=1)
        rows = np.arange(len(window))
        found = []
        for share in shares:
            rank = np.maximum(np.rint(share * (known - 1)).astype(np.int64), 0)
            found.append(self.spread(np.where(2 * known >= self.level, window[rows, rank], np.nan)))
        return found

    def largest(self, values: Floats) -> Floats:
        """The largest value of each bar's level window, shape (n,)."""
        if not len(self.starts):
            return np.full(len(self.owner), np.nan)
        return self.spread(self._windows(values).max(axis=1))

    def share(self, happened: NDArray[np.bool_]) -> Floats:
        """(times in the level window + .15) / (window + 1), shape (n,): what was not there once in the window is 1 bar
        in 2,200."""
        total = _before(happened.astype(np.int64))
        count = total[self.starts] - total[self.starts - self.level]
        return self.spread(np.asarray((count + NEVER) / (self.level + 1.0), dtype=np.float64))

    def spread(self, of_blocks: Floats) -> Floats:
        """One value per block to one per bar; NaN where a bar has no block."""
        padded = np.full(len(of_blocks) + 1, np.nan)
        padded[:-1] = of_blocks
        return np.asarray(padded[self.owner], dtype=np.float64)

    def _windows(self, values: Floats) -> Floats:
        return np.asarray(values[self.starts[:, None] + np.arange(-self.level, 0)])


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """The hour of the day, over the `window` bars before each. `order` puts bars of one hour together; in that order
    those of the window are at `first` .. `own`."""

    window: int
    order: Instants
    first: Instants
    own: Instants

    @staticmethod
    def of(bars: Bars, window: int) -> Season:
        n = len(bars)
        at = np.arange(n)
        hour = bars.open_at // HOUR_MS % _HOURS
        order = np.argsort(hour, kind="stable")
        key = hour[order] * (2 * n + window + 1) + order
        own = np.empty(n, dtype=np.int64)
        own[order] = at
        first = np.searchsorted(key, hour * (2 * n + window + 1) + np.maximum(at - window, 0))
        return Season(window, order, first, own)

    def removed(self, values: Floats) -> Floats:
        """`values` (n,), within +-1,000, less how much the same hour of the day exceeded the others of late."""
        if not self.window:
            return values
        at = np.arange(len(values))
        known = ~np.isnan(values)
        ticks = np.rint(np.where(known, values, 0.0) * _GRID).astype(np.int64)
        same, n_same = (_before(one[self.order]) for one in (ticks, known.astype(np.int64)))
        every, n_every = (_before(one) for one in (ticks, known.astype(np.int64)))
        since = np.maximum(at - self.window, 0)
        count = n_same[self.own] - n_same[self.first]
        of_hour = (same[self.own] - same[self.first]) / _GRID / np.maximum(count, 1)
        of_all = (every[at] - every[since]) / _GRID / np.maximum(n_every[at] - n_every[since], 1)
        return np.asarray(values - count / (count + _SHRINK) * np.where(count > 0, of_hour - of_all, 0.0))


def _began(open_at: Instants) -> Instants:
    """Where the stretch of each bar began: bars may be the tails of several symbols laid end to end, and there time
    steps back."""
    at = np.arange(len(open_at))
    back = np.zeros(len(open_at), dtype=np.bool_)
    back[1:] = open_at[1:] <= open_at[:-1]
    return np.maximum.accumulate(np.where(back, at, 0)) if len(at) else at


def recent_mean(values: Floats, window: int) -> Floats:
    """Mean of the known among the `window` values (n,) before each, within +-1,000; NaN where there is none."""
    known = ~np.isnan(values)
    ticks = _before(np.rint(np.where(known, values, 0.0) * _GRID).astype(np.int64))
    count = _before(known.astype(np.int64))
    at = np.arange(len(values))
    since = np.maximum(at - window, 0)
    n = count[at] - count[since]
    return np.asarray(np.where(n > 0, (ticks[at] - ticks[since]) / _GRID / np.maximum(n, 1), np.nan))


def _before(values: Instants) -> Instants:
    """Sum of all values before each position, and of all: shape (n + 1,)."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values)])
