"""When the United States publish what moves every market: inflation, payrolls, decisions of the Federal Reserve.

Days are those of the published schedules (Bureau of Labor Statistics; Board of Governors of the Federal Reserve), which
are out months before; where a shutdown of the government moved a release (2013, 2025, 2026), the day it was moved to,
announced a week before at least. No decision that came without notice: nobody knew of those at `as_of`. Later days are
the operator's to add, with the instant from which they were known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, MINUTE_MS, Floats, Instant, Instants
from ml.economic_days import DECISIONS, INFLATION, PAYROLLS
from ml.release import Release

#: In words, for people.
SPOKEN: Mapping[Release, str] = {
    Release.INFLATION: "US inflation (CPI)",
    Release.PAYROLLS: "US payrolls",
    Release.FED: "Fed decision",
}
_DAYS = {Release.INFLATION: INFLATION, Release.PAYROLLS: PAYROLLS, Release.FED: DECISIONS}
_HALF_PAST_EIGHT, _TWO = 8 * HOUR_MS + 30 * MINUTE_MS, 14 * HOUR_MS
#: Time of the day in New York.
_TIME_OF_DAY_MS = {Release.INFLATION: _HALF_PAST_EIGHT, Release.PAYROLLS: _HALF_PAST_EIGHT, Release.FED: _TWO}
_EPOCH = date(1970, 1, 1)
_SUNDAY = 6


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A release that will be out at `at`, known of from `known_from` on (ms UTC both)."""

    release: Release
    at: Instant
    known_from: Instant


@dataclass(frozen=True, slots=True)
class EconomicCalendar:
    """What is scheduled: the shipped days, and `more` that an operator has told."""

    more: tuple[Scheduled, ...] = ()

    def hours_until(self, release: Release, as_of: Instants, after: Instants) -> Floats:
        """Hours from each instant `after` (int64 ms, shape (n,)) to the first release at or after it, of those known at
        `as_of`; NaN where none was, and before the calendar begins (2013)."""
        shipped = _SHIPPED[release]
        at = np.searchsorted(shipped, after, side="left")
        following = np.where(at < len(shipped), shipped[np.minimum(at, len(shipped) - 1)], _NEVER)
        for one in self.more:
            if one.release is release:
                sooner = (one.known_from <= as_of) & (one.at >= after) & (one.at < following)
                following = np.where(sooner, one.at, following)
        return np.where((following == _NEVER) | (after < BEGINS), np.nan, (following - after) / HOUR_MS)

    def hours_since(self, release: Release, as_of: Instants, before: Instants) -> Floats:
        """Hours from the last release before each instant `before` (int64 ms, shape (n,)) until then, of those known at
        `as_of`; NaN where there was none."""
        shipped = _SHIPPED[release]
        at = np.searchsorted(shipped, before, side="left") - 1
        last = np.where(at >= 0, shipped[np.maximum(at, 0)], -1)
        for one in self.more:
            if one.release is release:
                later = (one.known_from <= as_of) & (one.at < before) & (one.at > last)
                last = np.where(later, one.at, last)
        return np.where(last < 0, np.nan, (before - last) / HOUR_MS)

    def known_until(self) -> Instant:
        """The first instant (ms UTC) at which, by what is known now, a kind of release is out for the last time."""
        told = {release: int(_SHIPPED[release][-1]) for release in Release}
        for one in self.more:
            told[one.release] = max(told[one.release], one.at)
        return min(told.values())


def said(release: Release, at: Instant) -> str:
    """`Fed decision 2026-12-09 19:00Z`."""
    return f"{SPOKEN[release]} {datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%d %H:%MZ}"


def _instant(day: date, time_of_day_ms: int) -> int:
    behind = 4 if _sunday_from(date(day.year, 3, 8)) <= day < _sunday_from(date(day.year, 11, 1)) else 5
    return (day - _EPOCH).days * DAY_MS + time_of_day_ms + behind * HOUR_MS


def _sunday_from(day: date) -> date:
    """Summer time is from the second Sunday of March to the first of November: Energy Policy Act of 2005."""
    return day + timedelta(days=(_SUNDAY - day.weekday()) % 7)


def _instants(days: Sequence[str], time_of_day_ms: int) -> Instants:
    found = np.array([_instant(date.fromisoformat(day), time_of_day_ms) for day in days], dtype=np.int64)
    found.setflags(write=False)
    return found


_SHIPPED = {release: _instants(days.split(), _TIME_OF_DAY_MS[release]) for release, days in _DAYS.items()}
#: Before this (ms UTC) nothing is known of releases.
BEGINS = (date(2013, 1, 1) - _EPOCH).days * DAY_MS
_NEVER = np.iinfo(np.int64).max
