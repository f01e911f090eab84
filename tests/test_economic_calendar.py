"""When what everybody waits for is published, and who knew of it when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS, Floats
from ml.economic_calendar import EconomicCalendar, Scheduled, said
from ml.economic_days import DECISIONS, INFLATION, PAYROLLS
from ml.release import Release

SHIPPED = EconomicCalendar()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def until(calendar: EconomicCalendar, release: Release, as_of: str, after: str | None = None) -> float:
    at = np.array([ms(as_of)]), np.array([ms(after or as_of)])
    return float(calendar.hours_until(release, *at)[0])


def since(calendar: EconomicCalendar, release: Release, as_of: str, before: str | None = None) -> float:
    at = np.array([ms(as_of)]), np.array([ms(before or as_of)])
    return float(calendar.hours_since(release, *at)[0])


@pytest.mark.parametrize(
    ("release", "before", "hours"),
    [
        (Release.INFLATION, "2022-06-10T12:00", 0.5),  # half past eight in New York, in summer
        (Release.INFLATION, "2024-02-13T13:00", 0.5),  # and in winter
        (Release.PAYROLLS, "2015-11-06T13:30", 0.0),  # the week after the clocks went back
        (Release.FED, "2022-06-15T17:00", 1.0),
        (Release.FED, "2020-12-16T18:00", 1.0),
        (Release.FED, "2027-12-08T00:00", 19.0),
        (Release.FED, "2013-01-01T05:00", 29 * 24 + 14.0),
    ],
)
def test_releases_come_at_their_hour_of_new_york(release: Release, before: str, hours: float) -> None:
    assert until(SHIPPED, release, before) == hours


@pytest.mark.parametrize(
    ("days", "fewest", "on"),
    [(INFLATION, 11, range(5)), (PAYROLLS, 11, range(1, 5)), (DECISIONS, 7, (2, 3))],
)
def test_each_year_is_whole_and_on_working_days(days: str, fewest: int, on: range | tuple[int, ...]) -> None:
    found = [datetime.fromisoformat(day) for day in days.split()]
    assert found == sorted(set(found))
    years = [day.year for day in found]
    assert years[0] == 2013
    assert years[-1] >= 2026
    assert all(fewest <= years.count(year) <= 12 for year in set(years))
    assert {day.weekday() for day in found} <= set(on)
    apart = [later - earlier for earlier, later in pairwise(found)]
    assert min(apart) > timedelta(days=12)
    assert max(apart) < timedelta(days=100)


def test_a_decision_without_notice_is_not_in_it() -> None:
    assert until(SHIPPED, Release.FED, "2020-03-01T00:00") > 50 * 24


def test_where_the_calendar_ends_or_has_not_begun_nothing_is_known() -> None:
    assert np.isnan(until(SHIPPED, Release.FED, "2027-12-08T19:00:01"))
    assert np.isnan(until(SHIPPED, Release.FED, "2012-12-31T00:00"))
    assert np.isnan(since(SHIPPED, Release.FED, "2013-01-01T00:00"))


@pytest.mark.parametrize("release", list(Release))
def test_what_an_operator_adds_is_known_from_when_it_was_told_and_not_before(release: Release) -> None:
    told = EconomicCalendar((Scheduled(release, ms("2028-01-12T13:30"), ms("2027-12-20T00:00")),))
    assert until(told, release, "2028-01-12T00:00") == 13.5
    assert until(told, release, "2027-12-20T00:00", "2028-01-12T00:00") == 13.5
    assert np.isnan(until(told, release, "2027-12-19T23:59", "2028-01-12T00:00"))
    assert since(told, release, "2028-01-12T15:30") == 2.0
    assert since(told, release, "2027-12-19T00:00", "2028-01-12T15:30") > 30 * 24


def test_it_ends_with_the_kind_that_ends_first() -> None:
    last = ms("2026-12-04T13:30")
    assert SHIPPED.known_until() >= last
    told = EconomicCalendar(tuple(Scheduled(one, ms("2030-01-16T19:00"), last) for one in Release))
    assert told.known_until() == ms("2030-01-16T19:00")


def test_an_instant_is_said_with_its_time() -> None:
    assert said(Release.FED, ms("2026-12-09T19:00")) == "Fed decision 2026-12-09 19:00Z"


@given(st.lists(st.integers(ms("2013-02-01"), ms("2026-11-01")), min_size=1, max_size=30))
def test_after_so_many_hours_it_is_there_and_no_hour_sooner(after: list[int]) -> None:
    at = np.array(after)
    for release in Release:
        hours = SHIPPED.hours_until(release, at, at)
        assert (hours >= 0.0).all()
        assert (hours < 75 * 24).all() or release is Release.FED
        there = at + np.rint(hours * HOUR_MS).astype(np.int64)
        assert (SHIPPED.hours_until(release, at, there) == 0.0).all()
        past: Floats = SHIPPED.hours_since(release, there + 1, there + 1)
        assert (past < 1.0 / HOUR_MS + 1e-12).all()
        assert (SHIPPED.hours_until(release, at, there + 1) * HOUR_MS > DAY_MS).all()
