"""Where an instant stands in the day and the week of UTC."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ml.bars import HOUR_MS, Floats, Instants

HOURS_OF_WEEK = 168
#: Day of the week, counted from Monday.
SATURDAY = 5
#: 1970-01-01 was a Thursday: with this shift, slot 0 is Monday 00:00 UTC.
_MONDAY_SHIFT = 3 * 24
_ROOT_TWO = math.sqrt(2.0)


def hour_of_week(open_at: Instants) -> Instants:
    """Slot 0 (Monday 00:00 UTC) .. 167 of each bar, by its open (int64 ms)."""
    return (open_at // HOUR_MS + _MONDAY_SHIFT) % HOURS_OF_WEEK


def slot_of_hour(hour: int) -> int:
    """The slot of an hour counted from 1970."""
    return (hour + _MONDAY_SHIFT) % HOURS_OF_WEEK


def waves(hour: Floats, weekday: Floats, times: Sequence[float]) -> Floats:
    """Sine and cosine of `times` turns in a day, then in a week, each of mean square 1; shape (n, 4 len(times)).

    `hour` is 0 .. 23 and `weekday` 0 (Monday) .. 6, (n,) each.
    """
    turns = hour / 24.0, (weekday + hour / 24.0) / 7.0
    result = np.empty((len(hour), 4 * len(times)))
    for k, (turn, often) in enumerate((turn, often) for turn in turns for often in times):
        result[:, 2 * k] = np.sin(2.0 * np.pi * often * turn) * _ROOT_TWO
        result[:, 2 * k + 1] = np.cos(2.0 * np.pi * often * turn) * _ROOT_TWO
    return result
