"""Releases of the economic calendar: among the bars to come, among those just past, and in words.

Hours in which US inflation, US payrolls or a decision of the Federal Reserve is published move several times as much as
others, and everybody knows when they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Floats, Instant, Instants, Timeframe
from ml.economic_calendar import EconomicCalendar, said
from ml.release import Release
from ml.volatility.kernel import NAMES
from ml.volatility.season import Kind, is_open
from ml.week import HOURS_OF_WEEK, SATURDAY, hour_of_week

#: Of each kind whether one is due in the coming h bars (0 or 1); whether any was out in the last 6 and 24 hours.
DUE = tuple(f"due_{release}" for release in Release)
RELEASED = ("released_6", "released_24")
#: Hours until the next of each kind, whenever that is; NaN where the calendar does not know.
HOURS_TO = tuple(f"hours_to_{release}" for release in Release)
RELEASE_NAMES = (*DUE, *RELEASED, *HOURS_TO)
#: What the rules read, and what every row begins with.
ROW_OF_RULES = (*NAMES, *RELEASE_NAMES)
_PAST_HOURS = (6, 24)
#: No market that was measured rests for longer, in hours.
_LONGEST_REST = 72.0


def release_columns(calendar: EconomicCalendar, as_of: Instants, through: Instants, spans: Floats) -> Floats:
    """`RELEASE_NAMES` of rows whose newest bar closed at `through` (int64 ms), shape (n, 8). `spans`: hours until the
    coming bars have closed."""
    to = np.column_stack([calendar.hours_until(release, as_of, through) for release in Release])
    since = np.column_stack([calendar.hours_since(release, as_of, through) for release in Release])
    # A release that is unknown is NaN, which is neither due nor past.
    past = [(since <= hours).any(axis=1) for hours in _PAST_HOURS]
    return np.column_stack([to < spans[:, None], *past, to]).astype(np.float64)


def spans(timeframe: Timeframe, bars: Instants, weekends: NDArray[np.bool_], through: Instants) -> Floats:
    """Hours of the clock until `bars` (int64, shape (n,)) more have closed, shape (n,), by whether the market trades at
    weekends."""
    slots = hour_of_week(through - HOUR_MS)
    a_bar = timeframe.milliseconds // HOUR_MS
    closed = np.zeros(len(bars), dtype=np.int64)
    for ahead in np.unique(bars).tolist():
        here = bars == ahead
        closed[here] = _slots(a_bar, ahead)[slots[here] // a_bar]
    return a_bar * np.where(weekends, bars, closed).astype(np.float64)


def upcoming(
    timeframe: Timeframe, bars: int, kind: Kind, through: Instant, to: Sequence[float]
) -> tuple[str, ...] | None:
    """What is known to be due in the coming bars, soonest first, with its time in UTC; None where nothing is and a
    schedule has ended. `to`: `HOURS_TO` of the row."""
    near = timeframe.milliseconds / HOUR_MS * bars + _LONGEST_REST
    soon = sorted((hours, release) for hours, release in zip(to, Release, strict=True) if 0.0 <= hours < near)
    if soon:  # seldom: what follows costs more than all the rest of an answer
        at, always = np.array([through], dtype=np.int64), np.array([kind is Kind.ALWAYS])
        span = float(spans(timeframe, np.array([bars]), always, at)[0])
        soon = [(hours, release) for hours, release in soon if hours < span]
    if not soon and not all(map(math.isfinite, to)):
        return None
    return tuple(said(release, through + round(hours * HOUR_MS)) for hours, release in soon)


@cache
def _slots(a_bar: int, ahead: int) -> Instants:
    """Steps of `a_bar` hours (1 or 24) until `ahead` bars have closed of a market that rests at weekends, by the place
    of the newest bar in the week, shape (168 / a_bar,)."""
    places = HOURS_OF_WEEK // a_bar
    opened = [is_open(Kind.WEEKDAYS, place) if a_bar == 1 else place < SATURDAY for place in range(places)]
    found = []
    for place in range(places):
        seen = steps = 0
        while seen < ahead:
            steps += 1
            seen += opened[(place + steps) % places]
        found.append(steps)
    result = np.array(found, dtype=np.int64)
    result.setflags(write=False)
    return result
