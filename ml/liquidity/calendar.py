"""Which days are holidays, and what a trader should know of the hours to come. The only importer of `holidays`.

Days that follow from rules made long before them, by year and country: US federal holidays and the closing days of the
euro payment system. No clock, and no day that was declared on short notice: nobody knew those at `as_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from holidays.countries.united_states import US
from holidays.financial.european_central_bank import ECB

from ml.bars import DAY_MS, Floats, Instants
from ml.liquidity.season import profile
from ml.week import SATURDAY, slot_of_hour

_EPOCH = date(1970, 1, 1)
_HOURS_OF_DAY = 24
#: An hour below this share of the week's mean is thin.
THIN_HOUR = 0.85
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def holiday_of(day: int) -> str | None:
    """The name of the holiday on a day counted from 1970-01-01, or None."""
    at = _EPOCH + timedelta(days=day)
    return _year(at.year).get(day)


def are_holidays(days: Instants) -> Floats:
    """1 where a day (counted from 1970-01-01) is a holiday, else 0, shape (n,)."""
    distinct, of_day = np.unique(days, return_inverse=True)
    found = np.array([float(holiday_of(int(day)) is not None) for day in distinct], dtype=np.float64)
    return found[of_day] if len(distinct) else np.zeros(0)


def share_of_holidays(close_at: Instants, hours: int) -> Floats:
    """Which share of the `hours` after each instant (int64 ms, whole hours) falls on a holiday, 0 to 1, shape (n,)."""
    if not len(close_at):
        return np.zeros(0)
    today = close_at // DAY_MS
    left = (DAY_MS - close_at % DAY_MS) / (DAY_MS / _HOURS_OF_DAY)  # hours of the day that it begins in
    first = np.minimum(left, hours)
    return (first * are_holidays(today) + (hours - first) * are_holidays(today + 1)) / hours


@lru_cache(maxsize=4_096)  # every symbol is asked about the same hours
def warnings(first_hour: int, hours: int) -> tuple[str, ...]:
    """What is usually quiet in the `hours` that begin with `first_hour` (counted from 1970), in short sentences."""
    factors = profile()
    thin = [hour for hour in range(first_hour, first_hour + hours) if factors[slot_of_hour(hour)] < THIN_HOUR]
    found = [_thin_text(run) for run in _runs(thin)]
    weekend = [hour for hour in range(first_hour, first_hour + hours) if slot_of_hour(hour) // 24 >= SATURDAY]
    if weekend:
        found.append(f"weekend from {_moment(weekend[0])}: usually {_weekend_share():.2f} x weekday volume")
    for day in range(first_hour // _HOURS_OF_DAY, (first_hour + hours - 1) // _HOURS_OF_DAY + 1):
        name = holiday_of(day)
        if name is not None:
            found.append(f"holiday on {_EPOCH + timedelta(days=day)}: {name}")
    return tuple(found)


@lru_cache(maxsize=256)
def _year(year: int) -> dict[int, str]:
    """Holidays of a year: day since 1970 to its name."""
    found: dict[int, str] = {}
    for calendar in (US(years=year), ECB(years=year)):  # type: ignore[no-untyped-call]  # theirs
        for day, name in calendar.items():
            if day.year == year:
                found.setdefault((day - _EPOCH).days, str(name))
    return found


def _runs(hours: Sequence[int]) -> list[list[int]]:
    """Consecutive hours together."""
    runs: list[list[int]] = []
    for hour in hours:
        if runs and hour == runs[-1][-1] + 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs


def _thin_text(run: Sequence[int]) -> str:
    usual = float(np.mean([profile()[slot_of_hour(hour)] for hour in run]))
    return f"thin hours {_moment(run[0])} to {_moment(run[-1] + 1)}: usually {usual:.2f} x the week's mean hour"


def _moment(hour: int) -> str:
    slot = slot_of_hour(hour)
    return f"{_DAYS[slot // 24]} {slot % 24:02d}:00Z"


def _weekend_share() -> float:
    by_day = profile().reshape(7, 24).mean(axis=1)
    return float(by_day[SATURDAY:].mean() / by_day[:SATURDAY].mean())
