"""Releases of the economic calendar among the hours to come, and among those just past.

US inflation, US payrolls and decisions of the Federal Reserve: what is traded grows with them, and everybody knows when
they come.
"""

from __future__ import annotations

import numpy as np

from ml.bars import Floats, Instants
from ml.economic_calendar import EconomicCalendar
from ml.release import Release

#: Hours ahead, from and to, in which one may be due.
_AHEAD = ((0, 6), (6, 12), (12, 24))
_PAST = (6, 24)
#: Of each kind whether one is due then (0 or 1); whether any was out in the last 6 and 24 hours.
RELEASES = (
    *(f"due_{release}_{until}" for release in Release for _, until in _AHEAD),
    *(f"released_{hours}" for hours in _PAST),
)


def release_columns(calendar: EconomicCalendar, as_of: Instants, through: Instants) -> Floats:
    """`RELEASES` of rows whose newest bar closed at `through` (int64 ms), shape (n, len(RELEASES)). What the calendar
    does not know is neither due nor past."""
    until = [calendar.hours_until(release, as_of, through) for release in Release]
    since = np.stack([calendar.hours_since(release, as_of, through) for release in Release])
    due = [(hours >= first) & (hours < last) for hours in until for first, last in _AHEAD]
    past = [(since <= hours).any(axis=0) for hours in _PAST]
    return np.column_stack([*due, *past]).astype(np.float64)
