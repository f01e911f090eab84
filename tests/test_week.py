"""Where an instant stands in the week: Monday first, hour 23 next to hour 0."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import HOUR_MS
from ml.week import HOURS_OF_WEEK, SATURDAY, hour_of_week, slot_of_hour, waves


@given(st.integers(0, 4_000_000_000_000))
def test_the_hour_of_the_week_is_that_of_the_calendar(at: int) -> None:
    told = datetime.fromtimestamp(at // 1_000, UTC)
    slot = 24 * told.weekday() + told.hour
    assert hour_of_week(np.array([at])).tolist() == [slot]
    assert slot_of_hour(at // HOUR_MS) == slot


def test_the_sixth_day_is_saturday() -> None:
    saturday = np.array([int(datetime(2024, 6, 1, tzinfo=UTC).timestamp() * 1_000)])
    assert hour_of_week(saturday).tolist() == [24 * SATURDAY]


def test_waves_have_mean_square_one_and_close_at_the_end_of_the_week() -> None:
    slots = np.arange(HOURS_OF_WEEK, dtype=np.float64)
    found = waves(slots % 24, slots // 24, (1.0, 2.0, 3.0))
    assert found.shape == (HOURS_OF_WEEK, 12)
    np.testing.assert_allclose(np.square(found).mean(axis=0), 1.0)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-12)
    steps = np.abs(np.diff(np.concatenate([found, found[:1]]), axis=0))
    assert (steps[-1] <= steps[:-1].max(axis=0) + 1e-12).all()


def test_a_wave_has_the_same_bits_alone_and_among_many() -> None:
    slots = np.arange(HOURS_OF_WEEK, dtype=np.float64)
    found = waves(slots % 24, slots // 24, (1.0, 2.0))
    for k in range(0, HOURS_OF_WEEK, 5):
        alone = waves(slots[k : k + 1] % 24, slots[k : k + 1] // 24, (1.0, 2.0))
        assert alone.tobytes() == found[k : k + 1].tobytes()
