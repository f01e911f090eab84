"""What is usual at each bar: quantiles and counts of the bars before it, and the hour of the day.

All of it is the same, bit for bit, from a tail as from full history: windows are anchored on the clock, quantiles are
values of the window itself, sums are sums of integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.windows import Windows
from ml.bars import HOUR_MS, Bars, Floats, Instants

_GRID = float(2**40)
_SHRINK = 3.0
_HOURS = 24
#: Blocks whose windows are sorted at once.
_AT_ONCE = 512
#: What never was in a window counts as this many times: between gaps (.15 on coins to 2021, .2 on currencies to 2015)
#: and bars that stand still (.02, .05).
NEVER = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Where windows end. `starts` are the positions at which a block of bars begins in which a bar with a full warm-up
    that is looked at lies, and `owner` (n,) the number of its block for each of these, -1 where it has none."""

    starts: NDArray[np.int64]
    owner: NDArray[np.int64]
    level: int

    @staticmethod
    def of(bars: Bars, windows: Windows, rows: NDArray[np.int64] | None = None) -> Anchors:
        """For the bars at `rows`, for all where None."""
        at = np.arange(len(bars))
        rows = at if rows is None else rows
        block = bars.open_at // (windows.step * bars.timeframe.milliseconds)
        begins = np.ones(len(bars), dtype=np.bool_)
        begins[1:] = block[1:] != block[:-1]
        start = np.maximum.accumulate(np.where(begins, at, 0)) if len(at) else at
        full = (at - _began(bars.open_at))[rows] >= windows.warmup - 1
        starts = np.unique(start[rows][full])
        return Anchors(starts, np.where(full, np.searchsorted(starts, start[rows]), -1), windows.level)

    def of_rows(self, rows: NDArray[np.int64]) -> Anchors:
        """The same for some of the bars that are looked at."""
        return Anchors(self.starts, self.owner[rows], self.level)

    def quantiles(self, *asked: tuple[Floats, Sequence[float]]) -> Iterator[Floats]:
        """Of each series (n,) that is asked about, quantiles of each bar's level window, shape (n,) each, one after
        another: nearest rank among the known; NaN where under half of the window is known."""
        of_series = np.array([number for number, (_, shares) in enumerate(asked) for _ in shares])
        every = np.array([share for _, shares in asked for share in shares])[:, None]
        found = np.full((len(every), len(self.starts)), np.nan)
        for start in range(0, len(self.starts), _AT_ONCE):
            at = self.starts[start : start + _AT_ONCE, None] + np.arange(-self.level, 0)
            window = np.stack([values[at] for values, _ in asked])
            window.sort(axis=2)  # NaN go last
            known = (self.level - np.isnan(window).sum(axis=2))[of_series]
            rank = np.maximum(np.rint(every * (known - 1)).astype(np.int64), 0)
            values = window[of_series[:, None], np.arange(window.shape[1]), rank]
            found[:, start : start + _AT_ONCE] = np.where(2 * known >= self.level, values, np.nan)
        yield from self.spread(found)

    def largest(self, values: Floats) -> Floats:
        """The largest value of each bar's level window, shape (n,)."""
        window = values[self.starts[:, None] + np.arange(-self.level, 0)]
        return self.spread(np.asarray(window.max(axis=1, initial=-np.inf)))

    def shares(self, *happened: NDArray[np.bool_]) -> Iterator[Floats]:
        """Of each, (times in the level window + .15) / (window + 1), shape (n,), one after another: what was not there
        once in the window is 1 bar in 2,200."""
        totals = [_before(one.astype(np.int64)) for one in happened]
        count = np.stack([total[self.starts] - total[self.starts - self.level] for total in totals])
        yield from self.spread(np.asarray((count + NEVER) / (self.level + 1.0)))

    def spread(self, of_blocks: Floats) -> Floats:
        """One value per block, shape (..., blocks), to one per bar; NaN where a bar has no block."""
        padded = np.full((*of_blocks.shape[:-1], of_blocks.shape[-1] + 1), np.nan)
        padded[..., :-1] = of_blocks
        return padded.take(self.owner, axis=-1)


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
        if not window:
            return Season(window, at, at, at)
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
        known = ~np.isnan(values)
        both = np.stack([np.rint(np.where(known, values, 0.0) * _GRID).astype(np.int64), known])  # and how many
        every, same = _before(both), _before(both.take(self.order, axis=-1))
        of_hour, count = same.take(self.own, axis=-1) - same.take(self.first, axis=-1)
        of_all, n_all = _over(every, self.window)
        exceeded = of_hour / _GRID / np.maximum(count, 1) - of_all / _GRID / np.maximum(n_all, 1)
        return np.asarray(values - count / (count + _SHRINK) * np.where(count > 0, exceeded, 0.0))


def _began(open_at: Instants) -> Instants:
    """Where the stretch of each bar began: bars may be the tails of several symbols laid end to end, and there time
    steps back."""
    at = np.arange(len(open_at))
    back = np.zeros(len(open_at), dtype=np.bool_)
    back[1:] = open_at[1:] <= open_at[:-1]
    return np.maximum.accumulate(np.where(back, at, 0)) if len(at) else at


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """What was known of series before each of their values, summed up once for windows of any length: sums, and of how
    many, shape (2, ..., n + 1)."""

    total: Instants

    @staticmethod
    def of(values: Floats) -> Recent:
        """Of values (..., n) within +-1,000, or NaN."""
        known = ~np.isnan(values)
        ticks = np.rint(np.where(known, values, 0.0) * _GRID).astype(np.int64)
        return Recent(_before(np.stack([ticks, known])))

    def mean(self, window: int) -> Floats:
        """Mean of the known among the `window` values before each, shape (..., n); NaN where there is none."""
        return _mean(_over(self.total, window))

    def means(self, windows: Instants, at: Instants) -> Floats:
        """The same of those at positions `at` and of several `windows` (k,), shape (..., k, len(at))."""
        since = np.maximum(at - windows[:, None], 0)
        return _mean(self.total.take(at, axis=-1)[..., None, :] - self.total.take(since, axis=-1))


def _over(total: Instants, window: int) -> Instants:
    """Sums over the `window` values before each position, from sums of all before, shape (..., n + 1) to (..., n)."""
    found = total[..., :-1].copy()
    found[..., window:] -= total[..., : max(total.shape[-1] - 1 - window, 0)]
    return found


def _mean(total: Instants) -> Floats:
    """Of sums in ticks, and of how many."""
    ticks, n = total
    return np.asarray(np.where(n > 0, ticks / _GRID / np.maximum(n, 1), np.nan))


def _before(values: Instants) -> Instants:
    """Sum of all values before each position, and of all: shape (..., n) to (..., n + 1)."""
    found = np.zeros((*values.shape[:-1], values.shape[-1] + 1), dtype=np.int64)
    np.cumsum(values, axis=-1, out=found[..., 1:])
    return found
