"""Releases of the economic calendar among the hours to come, and among those just past.

US inflation, US payrolls and decisions of the Federal Reserve: what is traded grows with them, and everybody knows when
they come.
"""

from __future__ import annotations

import numpy as np

from ml.bars import HOUR_MS, Floats, Instants
from ml.capability import Rows
from ml.economic_calendar import EconomicCalendar, said
from ml.liquidity.question import LiquidityQuestion
from ml.release import Release

#: Hours ahead, from and to, in which one may be due.
_AHEAD = ((0, 6), (6, 12), (12, 24))
_PAST = (6, 24)
#: Of each kind whether one is due then (0 or 1); whether any was out in the last 6 and 24 hours.
COUNTS = (
    *(f"due_{release}_{until}" for release in Release for _, until in _AHEAD),
    *(f"released_{hours}" for hours in _PAST),
)
#: Hours until the next of each kind, whenever that is; NaN where the calendar does not know.
HOURS_TO = tuple(f"hours_to_{release}" for release in Release)
RELEASES = (*COUNTS, *HOURS_TO)


def release_columns(calendar: EconomicCalendar, as_of: Instants, through: Instants) -> Floats:
    """`RELEASES` of rows whose newest bar closed at `through` (int64 ms), shape (n, len(RELEASES)). What the calendar
    does not know is neither due nor past."""
    until = [calendar.hours_until(release, as_of, through) for release in Release]
    since = np.stack([calendar.hours_since(release, as_of, through) for release in Release])
    due = [(hours >= first) & (hours < last) for hours in until for first, last in _AHEAD]
    past = [(since <= hours).any(axis=0) for hours in _PAST]
    return np.column_stack([*due, *past, *until]).astype(np.float64)


def due_of(rows: Rows) -> list[tuple[str, ...]]:
    """What is known to be due within the horizon of each row, soonest first, with its time in UTC; () for rows from
    before it was read."""
    told: list[tuple[str, ...]] = [()] * len(rows)
    if HOURS_TO[0] not in rows.names:
        return told
    until = rows.columns(HOURS_TO)
    hours = np.array([question.horizon.bars for question in rows.questions if isinstance(question, LiquidityQuestion)])
    soon = (until >= 0.0) & (until < hours[:, None])
    for i in np.flatnonzero(soon.any(axis=1)).tolist():
        near = sorted((until[i, k], release) for k, release in enumerate(Release) if soon[i, k])
        told[i] = tuple(said(release, int(rows.data_through[i]) + round(to * HOUR_MS)) for to, release in near)
    return told
