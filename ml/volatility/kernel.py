"""Feature rows of a stretch of bars: vectorised, causal, and the same bits whatever the stretch begins with.

All sums are fixed-point (`ml.exact`) or added in one fixed order, so a row from the last `warmup` bars equals the row
from full history, bit for bit. Variances are those of Parkinson (1980), "The extreme value method for estimating the
variance of the rate of return", ln(high/low)^2 / (4 ln 2), capped at .05 a bar: wicks are not volatility.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.exact import Sums, picked, rolling_mean, rolling_sum
from ml.lags import clock_time
from ml.price import plain_prices
from ml.volatility.misses import MISS_NAMES, USUAL_MEAN, USUAL_SPREAD, misses
from ml.volatility.own_season import own_season
from ml.volatility.reference import REFERENCE_NAMES, Reference, reference
from ml.volatility.season import Kind, coming, past
from ml.week import SATURDAY, hour_of_week

#: One row. Variances are relative to the symbol's own level, in natural logs: 0 is "as usual this month".
NAMES = (
    "log_level",  # ln of the mean Parkinson variance of a bar over the level window
    "now",  # volatility of the newest bar, of the hour of the week removed
    "short",  # the same over 6 h | 5 d
    "middle",  # the same over 24 h | 22 d
    "slow",  # the same over 168 h | 66 d
    "steadiness",  # (mean root)^2 over the mean variance of the level window: 0 is even, negative is spiky
    "closes",  # mean squared return of closes over the mean Parkinson variance of the level window
    "long_run",  # variance over 2,000 h | 504 d over that of the level window; 0 where fewer bars are known
    "season",  # shipped profile: the coming h hours against the week's mean
    "own_season",  # the same from the symbol's own last twelve weeks
    "fall",  # fallen returns of the short window in units of its usual standard deviation, 0 or below
    "last",  # RV of the last h bars over h times the level
    *REFERENCE_NAMES,  # quantiles of RV_h in the last 90 days over h times the level
    "trades_weekends",  # 1 where at least 3% of the level window's bars are on a Saturday
    "missing",  # bars of clock time missing among the newest 24 | 5 bars
    "flat",  # share of the newest 24 | 5 bars without any movement
    "density",  # bars of the level window over the bars that its clock time could hold
    *MISS_NAMES,  # how far a plain forecast missed in the last weeks; as usual on daily bars
)

PARKINSON = 1.0 / (4.0 * math.log(2.0))
LARGEST_BAR = 0.05
SATURDAY_SHARE = 0.03
#: Below this a mean variance is the dust of a frozen price: .0001% a bar.
SMALLEST_LEVEL = 1e-12
#: A quiet window counts for at least a tenth of the level's root; a silent one for a 10,000th of the level.
FLOOR_OF_ROOT = 0.1
FLOOR_OF_LAST = 1e-4


@dataclass(frozen=True, slots=True)
class Windows:
    """Window lengths of one timeframe, in bars."""

    short: int
    middle: int
    slow: int
    level: int
    long_run: int
    recent: int
    reference: Reference

    @property
    def at_least(self) -> int:
        """Fewest bars that make a row: the level window, and the close before it."""
        return self.level + 1


HOURLY = Windows(6, 24, 168, 720, 2000, 24, Reference(every=11, samples=197, daily=True))
DAILY = Windows(5, 22, 66, 126, 504, 5, Reference(every=1, samples=90, daily=False))
#: The oldest input of an hourly row: the reference begins up to a day back and spans 90 days, 48 h and one close more.
HOURLY_WARMUP = 2_240
DAILY_WARMUP = 512


def kernel(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:
    """Feature rows of 1h or 1d bars at positions `at` (all where None), shape (len(at), len(NAMES)); NaN where an input
    is missing or not positive.

    `variant` is the number of bars of the horizon.
    """
    assert isinstance(variant, int)
    hourly = bars.timeframe is Timeframe.H1
    windows, step_ms = (HOURLY, HOUR_MS) if hourly else (DAILY, DAY_MS)
    moves = moves_of(bars)
    variances, roots, squares = Sums.of(moves.variance), Sums.of(moves.root), Sums.of(moves.squared)
    level = positive(variances.mean(windows.level, at))
    slots = hour_of_week(bars.open_at)
    weekends = trades_weekends(bars.open_at, windows.level)
    last = _window_sum(moves.squared, variant)
    season = _coming(weekends, slots, variant) if hourly else np.zeros(len(bars))
    usual = np.zeros(len(level))
    columns = [
        np.log(level),
        *_ranges(picked(moves.root, at), roots, level, windows, picked(slots, at), picked(weekends, at), hourly, at),
        2.0 * np.log(roots.mean(windows.level, at) / np.sqrt(level)),
        np.log(positive(squares.mean(windows.level, at)) / level),
        known_or_zero(np.log(positive(variances.mean(windows.long_run, at)) / level)),
        picked(season, at),
        own_season(bars.open_at, moves.variance, variant, at) if hourly else usual,
        _fall(moves.change, level, windows.short, at),
        np.log(picked(last, at) / (variant * level) + FLOOR_OF_LAST),
        *reference(bars.open_at, last, variant * level, windows.reference, at),
        np.where(picked(weekends, at), 1.0, 0.0),
        clock_time(bars.open_at, windows.recent, at) / step_ms - windows.recent,
        rolling_mean(moves.still, windows.recent, at),
        windows.level * step_ms / (clock_time(bars.open_at, windows.level - 1, at) + step_ms),
        *(misses(roots, last, season, variant, at) if hourly else _usual_misses(len(level))),
    ]
    return np.column_stack(columns)


def _usual_misses(n: int) -> list[Floats]:
    half = len(MISS_NAMES) // 2
    return [np.full(n, usual) for usual in (USUAL_SPREAD, USUAL_MEAN) for _ in range(half)]


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """What each bar did, shape (n,) each; NaN where a price is missing or not positive."""

    variance: Floats
    root: Floats
    close: Floats
    change: Floats
    squared: Floats
    still: Floats


def moves_of(bars: Bars) -> Moves:
    high, low, close = (plain_prices(one) for one in (bars.high, bars.low, bars.close))
    span = np.log(high / low)
    change = np.full(len(bars), np.nan)
    change[1:] = np.log(close[1:] / close[:-1])
    variance = np.minimum(span * span * PARKINSON, LARGEST_BAR)
    still = np.where((span == 0.0) & (change == 0.0), 1.0, 0.0)
    return Moves(variance, np.sqrt(variance), close, change, change * change, still)


def positive(values: Floats) -> Floats:
    return np.where(values > SMALLEST_LEVEL, values, np.nan)


def known_or_zero(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


def _window_sum(values: Floats, window: int) -> Floats:
    """Sum of the last `window` values, added newest to oldest: no clipping, and the same bits for every start."""
    total = values.copy()
    for lag in range(1, window):
        total[lag:] += values[:-lag]
    total[: window - 1] = np.nan
    return total


def _ranges(
    root: Floats,
    roots: Sums,
    level: Floats,
    windows: Windows,
    slots: Instants,
    weekends: NDArray[np.bool_],
    hourly: bool,
    at: Instants | None,
) -> list[Floats]:
    """ln variance of the newest bar and the short, middle and slow window against the level, season removed."""
    usual = np.sqrt(level)
    result = []
    for window in (1, windows.short, windows.middle, windows.slow):
        mean = roots.mean(window, at) if window > 1 else root
        if hourly and window < windows.slow:
            mean = mean / np.sqrt(_past(weekends, slots, window))
        result.append(2.0 * np.log(mean / usual + FLOOR_OF_ROOT))
    return result


def _past(weekends: NDArray[np.bool_], slots: Instants, window: int) -> Floats:
    return np.where(weekends, past(Kind.ALWAYS, window)[slots], past(Kind.WEEKDAYS, window)[slots])


def _coming(weekends: NDArray[np.bool_], slots: Instants, bars: int) -> Floats:
    return np.where(weekends, np.log(coming(Kind.ALWAYS, bars))[slots], np.log(coming(Kind.WEEKDAYS, bars))[slots])


def _fall(change: Floats, level: Floats, window: int, at: Instants | None) -> Floats:
    """Sum of the negative returns of the window over sqrt(window x level)."""
    return rolling_sum(np.minimum(change, 0.0), window, at) / np.sqrt(window * level)


def trades_weekends(open_at: Instants, window: int, at: Instants | None = None) -> NDArray[np.bool_]:
    """Whether the last `window` bars hold Saturdays; False where fewer are known."""
    saturdays = np.where(hour_of_week(open_at) // 24 == SATURDAY, 1.0, 0.0)
    share = rolling_mean(saturdays, window, at)
    return np.asarray(np.where(np.isnan(share), 0.0, share) >= SATURDAY_SHARE)
