"""What lay some bars back: the same for one position as for all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import HOUR_MS
from ml.lags import clock_time, lagged, rolling_maxima

VALUES = st.lists(st.floats(-1e12, 1e12) | st.just(float("nan")), min_size=1, max_size=60)


@given(VALUES, st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True))
def test_rolling_maxima_are_those_of_the_windows(values: list[float], windows: list[int]) -> None:
    windows.sort()
    for window, found in zip(windows, rolling_maxima(np.array(values), windows), strict=True):
        for i, one in enumerate(found.tolist()):
            inside = values[max(i + 1 - window, 0) : i + 1]
            known = len(inside) == window and not np.isnan(inside).any()
            assert one == max(inside) if known else np.isnan(one)


@given(VALUES, st.integers(0, 40), st.data())
def test_positions_have_the_bits_that_they_have_among_all(values: list[float], lag: int, data: st.DataObject) -> None:
    at = np.array(sorted(data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))))
    series = np.array(values)
    assert lagged(series, lag, at).tobytes() == lagged(series, lag)[at].tobytes()
    windows = (lag + 1, lag + 7)
    for some, every in zip(rolling_maxima(series, windows, at), rolling_maxima(series, windows), strict=True):
        assert some.tobytes() == every[at].tobytes()


def test_a_value_some_bars_back_is_unknown_where_there_is_none() -> None:
    np.testing.assert_array_equal(lagged(np.arange(4.0), 2), [np.nan, np.nan, 0.0, 1.0])
    np.testing.assert_array_equal(lagged(np.arange(2.0), 3), [np.nan, np.nan])


def test_the_time_since_a_bar_counts_the_hours_that_are_missing() -> None:
    open_at = 1_600_041_600_000 + np.array([0, 1, 2, 5, 6], dtype=np.int64) * HOUR_MS
    hours = clock_time(open_at, 2) / HOUR_MS
    np.testing.assert_array_equal(hours, [np.nan, np.nan, 2.0, 4.0, 4.0])
    np.testing.assert_array_equal(clock_time(open_at, 2, np.array([1, 3])) / HOUR_MS, [np.nan, 4.0])
