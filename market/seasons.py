"""The day and the week of the simulated market: when it is busy and when it sleeps (UTC)."""

from __future__ import annotations

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Floats, Instants

#: Coins are busiest while New York trades and London still does.
BUSIEST_HOUR = 15
#: 1970-01-01 was a Thursday; the third and fourth day after it are a weekend.
_WEEKEND = (2, 3)


def volume_season(open_at: Instants) -> Floats:
    """Factor on the volume of the hour that opens then, about 1 on average over a week; shape (n,)."""
    return (1.0 + 0.45 * _daily_wave(open_at)) * np.where(_at_weekend(open_at), 0.65, 1.14)


def volatility_season(open_at: Instants) -> Floats:
    """Factor on the standard deviation of that hour's return, about 1 on average over a week; shape (n,)."""
    return (1.0 + 0.25 * _daily_wave(open_at)) * np.where(_at_weekend(open_at), 0.80, 1.08)


def _daily_wave(open_at: Instants) -> Floats:
    hour = open_at % DAY_MS // HOUR_MS
    wave: Floats = np.cos(2.0 * np.pi * (hour - BUSIEST_HOUR) / 24.0)
    return wave


def _at_weekend(open_at: Instants) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.isin(open_at % WEEK_MS // DAY_MS, _WEEKEND)
