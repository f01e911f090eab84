"""Statistics of columns, and the scalers that use them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import Floats
from ml.indicators.statistics import FeatureStatistics, robust, standardise, statistics, to_unit_range

maybe = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf))
columns = st.lists(st.tuples(maybe, maybe), max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(len(rows), 2)
)


@given(matrix=columns)
def test_statistics_agree_with_pandas_on_the_finite_values(matrix: Floats) -> None:
    for k, one in enumerate(statistics(("a", "b"), matrix)):
        values = pd.Series(matrix[:, k]).replace([np.inf, -np.inf], np.nan).dropna()
        assert (one.name, one.n) == ("ab"[k], len(values))
        if not one.n:
            assert math.isnan(one.mean)
            assert math.isnan(one.iqr)
            continue
        expected = (
            values.mean(),
            values.std(ddof=0),
            values.min(),
            values.max(),
            values.median(),
            values.quantile(0.75) - values.quantile(0.25),
        )
        np.testing.assert_allclose(
            (one.mean, one.sd, one.low, one.high, one.median, one.iqr), expected, rtol=1e-9, atol=1e-6
        )


def test_scaled_training_rows_have_mean_zero_and_sd_one_or_lie_between_zero_and_one() -> None:
    matrix = np.random.default_rng(1).lognormal(2, 1, (500, 3))
    fitted = statistics(("a", "b", "c"), matrix)
    again = statistics(("a", "b", "c"), standardise(matrix, fitted))
    np.testing.assert_allclose([(one.mean, one.sd) for one in again], [(0, 1)] * 3, atol=1e-12)
    unit = statistics(("a", "b", "c"), to_unit_range(matrix, fitted))
    assert [(one.low, one.high) for one in unit] == [(0.0, 1.0)] * 3
    middle = statistics(("a", "b", "c"), robust(matrix, fitted))
    np.testing.assert_allclose([(one.median, one.iqr) for one in middle], [(0, 1)] * 3, atol=1e-12)


def test_later_rows_are_scaled_by_what_was_fitted_and_may_go_beyond() -> None:
    fitted = (FeatureStatistics("a", 3, mean=2.0, sd=2.0, low=0.0, high=4.0, median=1.0, iqr=0.5),)
    later = np.array([[6.0], [np.nan], [np.inf]])
    np.testing.assert_array_equal(standardise(later, fitted), [[2.0], [np.nan], [np.nan]])
    np.testing.assert_array_equal(to_unit_range(later, fitted), [[1.5], [np.nan], [np.nan]])
    np.testing.assert_array_equal(robust(later, fitted), [[10.0], [np.nan], [np.nan]])


def test_a_column_that_never_varied_becomes_zero_and_one_never_seen_stays_missing() -> None:
    train = np.array([[0.1, np.nan], [0.1, np.nan], [0.1, np.nan]])
    fitted = statistics(("still", "unseen"), train)
    assert (fitted[0].sd, fitted[0].iqr, fitted[1].n) == (0.0, 0.0, 0)
    for scale in (standardise, to_unit_range, robust):
        np.testing.assert_array_equal(
            scale(np.array([[0.1, 1.0], [7.0, 1.0], [np.nan, 1.0]]), fitted),
            [[0.0, np.nan], [0.0, np.nan], [np.nan, np.nan]],
        )


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        statistics(("a",), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        robust(np.zeros((2, 2)), statistics(("a",), np.zeros((2, 1))))
