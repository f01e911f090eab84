"""What the same hours did in past weeks, from the symbol's own bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Floats, Instants
from ml.exact import Sums, rolling_mean
from ml.week import HOURS_OF_WEEK

WEEKS = 12
#: One bar counts for at most eight times its week: one crash is not a season.
LARGEST_RATIO = 8.0
#: Farther than any look back, in hours.
_FAR = HOURS_OF_WEEK * (WEEKS + 1)


def own_season(open_at: Instants, variance: Floats, bars: int, at: Instants | None = None) -> Floats:
    """ln of the mean relative variance of the `bars` bars that followed the same hour in the last 12 weeks, for the
    bars at positions `at` (all where None), shape (len(at),).

    Relative to the mean of the week that ended with each bar; shrunk to 1 by one pseudo-week. With `bars` <= 48 the
    newest hours used are at least 72 h old. It follows bars, not hours: where a market closes, a Friday evening looks
    at past Sunday evenings. 0 where no week can be looked at.
    """
    week = rolling_mean(variance, HOURS_OF_WEEK)
    ratio = np.minimum(variance / np.where(week > 0.0, week, np.nan), LARGEST_RATIO)
    same = _same_hour(open_at, np.arange(len(open_at)) if at is None else at)
    ends = np.minimum(same + bars, len(open_at) - 1)
    means = Sums.of(ratio / LARGEST_RATIO).sum(bars, ends.ravel()).reshape(ends.shape) * (LARGEST_RATIO / bars)
    known = (same >= 0) & ~np.isnan(means)
    means[~known] = 0.0
    total, seen = np.ones(same.shape[1]), np.ones(same.shape[1])
    for row in range(WEEKS):  # one addition after another: the same order for one row as for many
        total += means[row]
        seen += known[row]
    return np.log(total / seen)


def _same_hour(open_at: Instants, at: Instants) -> NDArray[np.int64]:
    """Position of the bar that opened 1 .. 12 weeks before each bar of `at`, or -1, shape (12, len(at))."""
    if not len(at):
        return np.zeros((WEEKS, 0), dtype=np.int64)
    steps = np.diff(open_at, prepend=open_at[:1]) // HOUR_MS
    steps[steps < 0] = _FAR  # another series begins: none of its hours is an hour of the one before
    hour = np.cumsum(steps)
    place = np.full(int(hour[-1]) + 1, -1, dtype=np.int64)
    place[hour] = np.arange(len(open_at))
    wanted = hour[at][None, :] - HOURS_OF_WEEK * np.arange(1, WEEKS + 1)[:, None]
    return np.where(wanted >= 0, place[np.maximum(wanted, 0)], -1)
