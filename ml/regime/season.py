"""How lively the coming hours are on other days: the clock of a market, read from its own last 60 days."""

from __future__ import annotations

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Bars, Floats, Instants
from ml.exact import picked
from ml.indicators.rolling import window_sum
from ml.regime.formula import HALF

_DAYS, _WEEKS = 59, 8
"""Days and weeks looked at: all that fits into the bars of a row."""
_LONGEST_GAP = 2_048
"""A longer absence, in bars, is counted as this many: it is longer than any look back."""
_AT_ONCE = 1_024


def season(bars: Bars, size: Floats, by_day: float, by_week: float, at: Instants | None = None) -> Floats:
    """Log of how much livelier the coming 12 hours are than what came before, from other days and weeks, for the bars
    at positions `at` (all where None); (len(at),).

    `size` are the bars' absolute returns, 0 where there is none. `by_day` weighs ln(mean size in the coming 12 hours /
    in the last 12), both as they were 1 .. 59 days ago; `by_week` ln(mean size in the coming 12 hours / over the week),
    as they were 1 .. 8 weeks ago. Hours without bars do not count: after a Friday's close there is nothing to compare,
    and the season is 0. So it is where bars are not hours.
    """
    place = _on_the_clock(bars)
    wanted = picked(place, at)
    if bars.timeframe.milliseconds != HOUR_MS:
        return np.zeros(len(wanted))
    length = int(place[-1]) + 1 if len(place) else 0
    sizes, there = np.zeros(length), np.zeros(length)
    sizes[place], there[place] = size, 1.0
    day, week = DAY_MS // HOUR_MS, WEEK_MS // HOUR_MS
    half, half_there = window_sum(sizes, HALF), window_sum(there, HALF)
    coming = _mean_of(half, half_there, wanted, day, _DAYS, HALF)
    just_past = _mean_of(half, half_there, wanted, day, _DAYS, 0)
    coming_of_week = _mean_of(half, half_there, wanted, week, _WEEKS, HALF)
    whole_week = _mean_of(window_sum(sizes, week), window_sum(there, week), wanted, week, _WEEKS, 0)
    return by_day * _log_ratio(coming, just_past) + by_week * _log_ratio(coming_of_week, whole_week)


def _on_the_clock(bars: Bars) -> Instants:
    """Hours since the first bar, at each bar; long absences shortened. Where another series begins it is as after a
    long absence."""
    steps = np.diff(bars.open_at, prepend=bars.open_at[:1]) // HOUR_MS
    steps[steps < 0] = _LONGEST_GAP
    return np.cumsum(np.minimum(steps, _LONGEST_GAP)).astype(np.int64)


def _mean_of(sums: Floats, counts: Floats, at: Instants, period: int, times: int, ahead: int) -> Floats:
    """Mean per bar of a window as it stood `ahead` hours after those at `at` in each of the last `times` periods."""
    found = np.empty(len(at))
    for start in range(0, len(at), _AT_ONCE):
        part = at[start : start + _AT_ONCE]
        before = part[:, None] - (period * np.arange(1, times + 1) - ahead)
        known, before = before >= 0, np.maximum(before, 0)
        total = np.where(known, sums[before], np.nan).cumsum(axis=1)[:, -1]  # one after another: the same order for
        count = np.where(known, counts[before], np.nan).cumsum(axis=1)[:, -1]  # one row as for many
        found[start : start + len(part)] = total / np.where(count > 0.0, count, np.nan)
    return found


def _log_ratio(over: Floats, under: Floats) -> Floats:
    """ln(over / under); 0 where nothing can be compared, NaN where too little is known."""
    known = ~(np.isnan(over) | np.isnan(under))
    both = known & (over > 0.0) & (under > 0.0)
    return np.where(both, np.log(np.where(both, over, 1.0) / np.where(both, under, 1.0)), 0.0)
