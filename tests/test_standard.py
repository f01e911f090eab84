"""Columns in standard deviations: what is not known is as usual, and nothing is farther away than five of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ml.standard import LARGEST, Standard

NUMBERS = st.floats(-1e6, 1e6) | st.just(float("nan"))
TABLES = st_numpy.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=NUMBERS)


def nothing(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.zeros(values.shape, dtype=bool)


@given(TABLES)
def test_scaled_columns_are_finite_within_bounds_and_stand_alone(values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    standard = Standard.of(values)
    scaled = standard.scaled(values, unknown=nothing(values))
    assert np.isfinite(scaled).all()
    assert (np.abs(scaled) <= LARGEST).all()
    assert (scaled[np.isnan(values)] == 0.0).all()
    alone = standard.scaled(values[:1], unknown=nothing(values[:1]))
    assert alone.tobytes() == scaled[:1].tobytes()


def test_means_and_deviations_leave_out_what_is_missing() -> None:
    values = np.array([[1.0, np.nan, 7.0], [3.0, np.nan, 7.0], [np.nan, np.nan, 7.0]])
    standard = Standard.of(values)
    np.testing.assert_array_equal(standard.mean, [2.0, 0.0, 7.0])
    np.testing.assert_array_equal(standard.deviation, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(
        standard.scaled(values, unknown=nothing(values))[:, 0],
        [-1.0, 1.0, 0.0],
    )


def test_what_is_taken_for_unknown_is_as_usual() -> None:
    values = np.array([[1.0, 1.0], [3.0, 3.0]])
    unknown = np.array([[True, False], [False, False]])
    np.testing.assert_array_equal(Standard.of(values).scaled(values, unknown=unknown), [[0.0, -1.0], [1.0, 1.0]])


def test_numbers_come_back_as_they_were() -> None:
    standard = Standard.of(np.random.default_rng(1).normal(size=(50, 4)))
    again = Standard.of_numbers(json.loads(json.dumps(standard.to_numbers())), 4)
    assert again.mean.tobytes() == standard.mean.tobytes()
    assert again.deviation.tobytes() == standard.deviation.tobytes()


@pytest.mark.parametrize(
    "told",
    [
        {"mean": [0.0], "deviation": [1.0]},
        {"mean": [0.0, 0.0], "deviation": [1.0, 0.0]},
        {"mean": [0.0, float("nan")], "deviation": [1.0, 1.0]},
        {"mean": [0.0, "much"], "deviation": [1.0, 1.0]},
    ],
)
def test_numbers_of_other_columns_or_none_at_all_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needed|positive|convert"):
        Standard.of_numbers(told, 2)
