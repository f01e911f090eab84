"""What an artefact says of itself: where it was measured, what it reads, and refusals of what is not whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml.bars import Floats
from ml.capability import Question, Rows
from ml.learning import Artefact, BadArtefact, finite, numbers_of
from ml.measured import measured, ranges_of


def rows(values: Floats) -> Rows:
    n = len(values)
    times = np.zeros(n, dtype=np.int64)
    return Rows(("a", "b", "c"), values, (Question(symbol="AAA"),) * n, times, times, (None,) * n)


def test_ranges_reach_as_far_as_the_lessons_and_never_beyond_the_rules() -> None:
    told = measured(
        rows(np.array([[1.0, -9.0, np.nan], [2.0, 9.0, np.inf]])),
        {"a": (-5.0, 5.0), "b": (-4.0, 4.0), "c": (0.0, 1.0)},
        0.5,
    )
    assert told == {"a": [0.5, 2.5], "b": [-4.0, 4.0], "c": [0.0, 1.0]}
    assert ranges_of(told, {"a", "b", "c", "d"}) == {"a": (0.5, 2.5), "b": (-4.0, 4.0), "c": (0.0, 1.0)}


def test_ranges_of_features_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadArtefact, match="not there"):
        ranges_of({"z": [0.0, 1.0]}, {"a"})


def test_columns_are_picked_by_name_in_the_order_asked() -> None:
    table = rows(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(table.columns(("c", "a")), [[2.0, 0.0], [5.0, 3.0]])
    with pytest.raises(KeyError, match="z"):
        table.columns(("a", "z"))


def test_numbers_are_read_of_the_learner_and_the_columns_that_are_expected() -> None:
    mine = Artefact("toy/one@1", {}, {"columns": ["a", "b"], "scale": 2})
    with numbers_of(mine, "toy/one@1", ("a", "b")) as told:
        assert told["scale"] == 2
    with (
        pytest.raises(BadArtefact, match="of toy/one@1, where toy/two@1 was expected"),
        numbers_of(mine, "toy/two@1", ()),
    ):
        pass
    with pytest.raises(BadArtefact, match="other columns"), numbers_of(mine, "toy/one@1", ("b", "a")):
        pass


@pytest.mark.parametrize(
    "read", [lambda told: told["weights"], lambda told: told["scale"].items(), lambda told: [*told["scale"]]]
)
def test_what_is_missing_or_of_another_kind_makes_an_artefact_bad(read: Any) -> None:
    mine = Artefact("toy/one@1", {}, {"columns": ["a"], "scale": 2})
    with pytest.raises(BadArtefact, match="missing or not whole"), numbers_of(mine, "toy/one@1", ("a",)) as told:
        read(told)


def test_other_mistakes_inside_are_not_taken_for_a_bad_artefact() -> None:
    mine = Artefact("toy/one@1", {}, {"columns": ["a"]})
    with pytest.raises(ZeroDivisionError), numbers_of(mine, "toy/one@1", ("a",)):
        raise ZeroDivisionError


@pytest.mark.parametrize("told", [[1.0], [[1.0, 2.0]], [1.0, float("nan")], "much"])
def test_numbers_that_are_not_finite_or_of_another_shape_are_refused(told: object) -> None:
    with pytest.raises(ValueError, match=r"needed|convert"):
        finite(told, (2,))
    assert finite([1, 2], (2,)).tolist() == [1.0, 2.0]
