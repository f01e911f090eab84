"""Feature rows of a stretch of hourly bars: vectorised, causal, and the same bits whatever the stretch begins with.

Quote volume of a bar is volume x close. Everything but the level is relative to the symbol's own month, in natural
logs.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.bars import HOUR_MS, Bars, Floats, Instants
from ml.exact import picked
from ml.lags import clock_time, lagged
from ml.liquidity.calendar import share_of_holidays
from ml.liquidity.season import profile
from ml.liquidity.windows import rolling_mean, rolling_sum, smoothed
from ml.price import plain_prices, prices
from ml.week import SATURDAY, hour_of_week

LEVEL = 720
THIN_BARS = 6
THIN_SHARE = 0.10
SMOOTHING, SMOOTHING_WINDOW = 0.1, 168
#: Squared returns fade by half in 46 hours.
VARIANCE_SMOOTHING, VARIANCE_WINDOW = 0.015, 512
RECENT = 24
#: Fewest bars that make a row, and all that it depends on: 720 windows of 6 bars, and the close before them.
AT_LEAST = LEVEL + THIN_BARS
_HOURS_OF_DAY = 24
_SMALLEST, _LARGEST = 1e-30, 1e30
#: A still market has this variance a bar: (.0001%)^2.
_STILL = 1e-12
_SORTED_AT_ONCE = 256

#: One row.
NAMES = (
    "first_hour",  # the hour that comes, counted from 1970: where in the week and the year this is
    "log_level",  # ln mean quote volume of an hour, over 720 h
    "smoothed",  # ln exponentially smoothed volume, hour of the week removed, against the level
    "thin_below",  # ln 10% quantile of the last 720 volumes of 6 h, against 6 h at the level
    "log_variance",  # ln variance of the log return of a day, from smoothed squared returns
    "holiday_24",  # share of the coming 24 h that falls on a holiday
    "weekend",  # share of the level window on Saturdays: 1/7 in a market that never closes
    "missing",  # hours missing among the newest 24 bars
    "silent",  # share of the newest 24 bars without volume
)


def kernel(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:  # noqa: ARG001 - one row for all questions
    """Feature rows at positions `at` (all where None), shape (len(at), len(NAMES)); NaN where an input is missing or
    out of all bounds."""
    traded = quote_volume(bars)
    with np.errstate(all="ignore"):  # what is broken becomes NaN, and a NaN stays one
        level = level_of(traded, at)
        slots = hour_of_week(bars.open_at)
        steady = smoothed(traded / profile()[slots], SMOOTHING, SMOOTHING_WINDOW, at)
        closes = picked(bars.close_at, at)
        found = [
            (closes // HOUR_MS).astype(np.float64),
            np.log(level),
            np.log(steady / level),
            np.log(thin_below(traded, at) / (THIN_BARS * level)),
            np.log(_HOURS_OF_DAY * variance_of(bars, at)),
            share_of_holidays(closes, _HOURS_OF_DAY),
            rolling_mean(np.where(slots // 24 == SATURDAY, 1.0, 0.0), LEVEL, at),
            clock_time(bars.open_at, RECENT, at) / HOUR_MS - RECENT,
            rolling_mean(np.where(traded > 0.0, 0.0, 1.0), RECENT, at),
        ]
    result = np.column_stack(found)
    result[np.isinf(result)] = np.nan
    return result


def quote_volume(bars: Bars) -> Floats:
    """volume x close of each bar, in quote currency; NaN where either is not there or cannot be. Shape (n,)."""
    volume = np.where((bars.volume >= 0.0) & np.isfinite(bars.volume), bars.volume, np.nan)
    with np.errstate(over="ignore"):
        traded = volume * prices(bars.close)
    return np.where(traded < _LARGEST, traded, np.nan)


def level_of(traded: Floats, at: Instants | None = None) -> Floats:
    """Mean over 720 bars; NaN where next to nothing was traded."""
    mean = rolling_mean(traded, LEVEL, at)
    return np.where(mean > _SMALLEST, mean, np.nan)


def variance_of(bars: Bars, at: Instants | None = None) -> Floats:
    """Smoothed squared log return of closes, of one bar; a still market counts as (.0001%)^2."""
    price = plain_prices(bars.close)
    squared = np.square(np.log(price / lagged(price, 1)))
    return np.maximum(smoothed(np.minimum(squared, 1.0), VARIANCE_SMOOTHING, VARIANCE_WINDOW, at), _STILL)


def thin_below(traded: Floats, at: Instants | None = None) -> Floats:
    """10% quantile of the last 720 volumes of 6 bars, linear between ranks; NaN where one is unknown. Shape (n,)."""
    six = rolling_sum(traded, THIN_BARS)
    here = np.arange(len(six)) if at is None else at
    result = np.full(len(here), np.nan)
    full = np.flatnonzero(here >= LEVEL - 1)
    if not len(full):
        return result
    windows = np.lib.stride_tricks.sliding_window_view(six, LEVEL)
    rank = THIN_SHARE * (LEVEL - 1)
    below, share = int(rank), rank - int(rank)
    for start in range(0, len(full), _SORTED_AT_ONCE):
        rows = full[start : start + _SORTED_AT_ONCE]
        part = np.partition(windows[here[rows] - (LEVEL - 1)], (below, below + 1, LEVEL - 1), axis=1)
        value = part[:, below] + share * (part[:, below + 1] - part[:, below])
        result[rows] = np.where(np.isnan(part[:, -1]), np.nan, value)  # NaN are sorted to the end
    return result
