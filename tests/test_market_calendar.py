"""What a market was expected to trade, learnt from its bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.calendar import Gap, around_the_clock, expected_missing, gaps, missing_before
from market.staleness import DEFAULT_STALENESS, Staleness
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Bars, Instants, Timeframe

#: A Monday, 00:00 UTC.
MONDAY = 1_704_067_200_000


def bars(open_at: Instants, timeframe: Timeframe = Timeframe.H1) -> Bars:
    one = np.ones(len(open_at))
    return Bars("X", timeframe, open_at, one, one, one, one, one)


def round_the_clock(days: float, timeframe: Timeframe = Timeframe.H1) -> Instants:
    return np.arange(MONDAY, MONDAY + int(days * DAY_MS), timeframe.milliseconds)


def currencies(weeks: int) -> Instants:
    """Hours from Sunday 22:00 to Friday 22:00, as currencies trade."""
    hours = round_the_clock(7 * weeks)
    of_week = (hours - MONDAY) % WEEK_MS // HOUR_MS
    return hours[(of_week < 4 * 24 + 22) | (of_week >= 6 * 24 + 22)]


def test_coins_trade_around_the_clock_and_currencies_do_not() -> None:
    coins, pairs = bars(round_the_clock(30)), bars(currencies(4))
    assert around_the_clock(coins, int(coins.open_at[-1]))
    assert not around_the_clock(pairs, int(pairs.open_at[-1]))


def test_currencies_are_not_stale_on_a_saturday_and_are_on_monday() -> None:
    all_weeks = currencies(4)
    friday = MONDAY + 2 * WEEK_MS + 4 * DAY_MS + 21 * HOUR_MS  # the last hour of the third week
    known = bars(all_weeks[all_weeks <= friday])
    saturday, monday = friday + 18 * HOUR_MS, MONDAY + 3 * WEEK_MS
    assert expected_missing(known, friday, saturday) == 0
    assert expected_missing(known, friday, monday) == 2
    assert expected_missing(known, friday, monday + 10 * HOUR_MS) == 12


def test_coins_are_stale_hour_by_hour() -> None:
    known = bars(round_the_clock(20))
    through = int(known.open_at[-1])
    closes = through + HOUR_MS
    assert [expected_missing(known, through, closes + minutes * 60_000) for minutes in (0, 59, 60, 61, 600)] == [
        0,
        0,
        1,
        1,
        10,
    ]


def test_a_daily_index_is_not_stale_on_sunday_and_a_holiday_counts_as_one_bar() -> None:
    days = round_the_clock(28, Timeframe.D1)
    weekdays = days[(days - MONDAY) % WEEK_MS // DAY_MS < 5]
    known = bars(weekdays, Timeframe.D1)
    friday = int(weekdays[-1])
    assert expected_missing(known, friday, friday + 3 * DAY_MS) == 0
    assert expected_missing(known, friday, friday + 4 * DAY_MS) == 1
    assert expected_missing(known, friday, friday + 365 * DAY_MS) == pytest.approx(365 * 5 / 7, abs=3)


def test_bars_after_the_newest_known_one_are_not_read() -> None:
    every = bars(currencies(6))
    through = int(every.open_at[200])
    cut = every.between(0, 201)
    for hours in (1, 30, 100, 1_000):
        as_of = through + hours * HOUR_MS
        assert expected_missing(every, through, as_of) == expected_missing(cut, through, as_of)


def test_a_slot_that_no_bar_has_lived_to_see_is_expected() -> None:
    friday = MONDAY + 4 * DAY_MS
    known = bars(round_the_clock(4))
    assert expected_missing(known, int(known.open_at[-1]), friday + 2 * DAY_MS) == 48


def test_a_weekend_is_a_gap_of_which_nothing_was_expected() -> None:
    found = gaps(bars(currencies(4)))
    assert [(gap.n_missing, gap.n_expected) for gap in found][-2:] == [(48, 0), (48, 0)]


def test_a_gap_says_where_it_begins_and_ends() -> None:
    opens = round_the_clock(30)
    assert gaps(bars(np.delete(opens, [500, 501, 502, 600]))) == (
        Gap(int(opens[500]), int(opens[503]), 3, 3),
        Gap(int(opens[600]), int(opens[601]), 1, 1),
    )


def test_a_bar_that_is_moved_by_summer_time_is_no_gap() -> None:
    opens = np.array([0, 4, 8, 11, 15, 19, 24, 28]) * HOUR_MS + MONDAY
    assert gaps(bars(opens, Timeframe.H4)) == ()


def test_no_bars_and_one_bar_have_no_gaps() -> None:
    assert gaps(bars(round_the_clock(0))) == ()
    assert gaps(bars(round_the_clock(1 / 24))) == ()
    assert expected_missing(bars(round_the_clock(0)), MONDAY, MONDAY + 3 * HOUR_MS) == 2


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2_000), min_size=2, max_size=400))
def test_gaps_agree_with_counting_slot_by_slot(slots: set[int]) -> None:
    opens = MONDAY + np.array(sorted(slots), dtype=np.int64) * HOUR_MS
    there = set(opens.tolist())
    expected = 0
    for i in range(1, len(opens)):
        before = int(opens[i - 1])
        for slot in range(before + HOUR_MS, int(opens[i]), HOUR_MS):
            weeks = -(-(slot - before) // WEEK_MS)  # back to the last weeks that were there
            last, last_but_one = slot - weeks * WEEK_MS, slot - (weeks + 1) * WEEK_MS
            expected += last in there or last_but_one in there or last < int(opens[0])
    found = gaps(bars(opens))
    assert sum(gap.n_missing for gap in found) == (opens[-1] - opens[0]) // HOUR_MS + 1 - len(opens)
    assert sum(gap.n_expected for gap in found) == expected


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 1_500), min_size=3, max_size=300), st.integers(1, 299))
def test_what_is_missing_before_a_bar_is_what_was_expected_until_it_came(slots: set[int], at: int) -> None:
    series = bars(MONDAY + np.array(sorted(slots), dtype=np.int64) * HOUR_MS)
    at = min(at, len(series) - 1)
    missing, expected = missing_before(series)
    before, here = int(series.open_at[at - 1]), int(series.open_at[at])
    assert expected[at] == expected_missing(series, before, here)
    assert missing[at] == (here - before) // HOUR_MS - 1


def test_every_timeframe_has_limits_and_wrong_ones_are_refused() -> None:
    assert set(DEFAULT_STALENESS) == set(Timeframe)
    assert DEFAULT_STALENESS[Timeframe.H1] == Staleness(2, 24)
    with pytest.raises(ValueError, match="at most too_old_after_bars, not 3 and 2"):
        Staleness(3, 2)
