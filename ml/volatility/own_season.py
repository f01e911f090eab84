"""What the same hours did in past weeks, from the symbol's own bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Floats, Instants
from ml.exact import rolling_mean, rolling_sum

WEEKS = 12
HOURS_OF_WEEK = 168
#: One bar counts for at most eight times its week: one crash is not a season.
LARGEST_RATIO = 8.0


def own_season(open_at: Instants, variance: Floats, bars: int) -> Floats:
    """ln of the mean relative variance of the `bars` bars that followed the same hour in the last 12 weeks, shape (n,).

    Relative to the mean of the week that ended with each bar; shrunk to 1 by one pseudo-week. With `bars` <= 48 the
    newest hours used are at least 72 h old. It follows bars, not hours: where a market closes, a Friday evening looks
    at past Sunday evenings. 0 where no week can be looked at.
    """
    week = rolling_mean(variance, HOURS_OF_WEEK)
    ratio = np.minimum(variance / np.where(week > 0.0, week, np.nan), LARGEST_RATIO)
    sums = rolling_sum(ratio / LARGEST_RATIO, bars) * (LARGEST_RATIO / bars)
    same = _same_hour(open_at)
    total, seen = np.ones(len(open_at)), np.ones(len(open_at))
    ends = np.minimum(same + bars, len(open_at) - 1)
    means = sums[ends]
    known = (same >= 0) & ~np.isnan(means)
    means[~known] = 0.0
    for row in range(WEEKS):  # one addition after another: the same order for one row as for many
        total += means[row]
        seen += known[row]
    return np.log(total / seen)


def _same_hour(open_at: Instants) -> NDArray[np.int64]:
    """Position of the bar that opened 1 .. 12 weeks before each bar, or -1, shape (12, n)."""
    if not len(open_at):
        return np.zeros((WEEKS, 0), dtype=np.int64)
    hour = open_at // HOUR_MS - open_at[0] // HOUR_MS
    at = np.full(int(hour[-1]) + 1, -1, dtype=np.int64)
    at[hour] = np.arange(len(open_at))
    wanted = hour[None, :] - HOURS_OF_WEEK * np.arange(1, WEEKS + 1)[:, None]
    return np.where(wanted >= 0, at[np.maximum(wanted, 0)], -1)
