"""Judging leaks nothing, counts weeks, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score  # type: ignore[import-untyped]  # it has no types

from ml.bars import DAY_MS, HOUR_MS, WEEK_MS
from ml.evaluation.intervals import FEWEST_BLOCKS, mean_of_blocks, ratio_of_losses, resampled
from ml.evaluation.scores import coverage, ece, macro_f1
from ml.evaluation.splits import walk_forward
from ml.evaluation.weeks import Blocks, added, begins_at, block_of, paired

MONDAY = 1_704_067_200_000  # 2024-01-01


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 300),
    embargo_h=st.integers(0, 96),
    window_days=st.one_of(st.none(), st.integers(1, 60)),
)
def test_no_training_label_closes_after_the_fold_begins_less_its_embargo(
    seed: int, n: int, embargo_h: int, window_days: int | None
) -> None:
    random = np.random.default_rng(seed)
    as_of = random.integers(0, 100 * 24, n) * HOUR_MS
    closed = as_of + random.integers(0, 72, n) * HOUR_MS
    begins = [30 * DAY_MS, 45 * DAY_MS, 80 * DAY_MS]
    embargo, window = embargo_h * HOUR_MS, None if window_days is None else window_days * DAY_MS
    folds = walk_forward(as_of, closed, begins, 100 * DAY_MS, embargo_ms=embargo, window_ms=window)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == np.flatnonzero(as_of >= begins[0]).tolist()  # each later row once
    for fold in folds:
        assert (closed[fold.train] <= fold.begins - embargo).all()
        assert ((as_of[fold.test] >= fold.begins) & (as_of[fold.test] < fold.ends)).all()
        assert window is None or (as_of[fold.train] >= fold.begins - window).all()
        assert not set(fold.train.tolist()) & set(fold.test.tolist())
        left = np.setdiff1d(np.flatnonzero((closed <= fold.begins - embargo) & (as_of < fold.begins)), fold.train)
        assert window is not None or len(left) == 0  # and none is thrown away that could be used


def test_splits_that_would_leak_or_overlap_are_refused() -> None:
    one = np.array([5 * DAY_MS])
    with pytest.raises(ValueError, match="one after the other"):
        walk_forward(one, one, [2, 2], 3, embargo_ms=0)
    with pytest.raises(ValueError, match="embargo"):
        walk_forward(one, one, [2], 3, embargo_ms=-1)
    with pytest.raises(ValueError, match="closes no earlier"):
        walk_forward(one, one - 1, [2], 3, embargo_ms=0)


def test_weeks_begin_on_monday_at_midnight_utc() -> None:
    assert block_of(np.array([MONDAY]))[0] == block_of(np.array([MONDAY - 1]))[0] + 1
    assert begins_at(int(block_of(np.array([MONDAY + 3 * DAY_MS]))[0])) == MONDAY


def test_all_symbols_of_a_week_make_one_block_and_rows_that_only_one_answered_count_for_neither() -> None:
    at = MONDAY + np.array([0, HOUR_MS, 6 * DAY_MS, WEEK_MS, WEEK_MS + 1])
    blocks = paired(at, np.array([1.0, 2, 3, np.nan, 5]), np.array([2.0, np.nan, 4, 7, 6]))
    assert blocks.rows.tolist() == [2, 1]
    assert blocks.mine.tolist() == [4.0, 5.0]
    assert blocks.other.tolist() == [6.0, 6.0]
    assert blocks.differences.tolist() == [1.0, 1.0]


def test_a_week_that_has_not_settled_is_left_out() -> None:
    at, loss = MONDAY + np.arange(3) * WEEK_MS, np.ones(3)
    assert len(paired(at, loss, loss, settled_through=MONDAY + 3 * WEEK_MS - 1)) == 2
    assert len(paired(at, loss, loss, settled_through=MONDAY + 3 * WEEK_MS)) == 3


def test_every_draw_of_the_bootstrap_draws_as_many_weeks_as_there_are() -> None:
    times = resampled(12, 50, np.random.default_rng(0))
    assert times.shape == (50, 12)
    assert (times.sum(axis=1) == 12).all()


def test_the_interval_of_a_ratio_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    """60 weeks of 20 answers that share a shock: an interval over answers would cover far less."""
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        shock = random.lognormal(0.0, 0.5, 60)
        other = 20.0 * shock * random.lognormal(0.0, 0.2, 60)
        mine = 0.9 * 20.0 * shock * random.lognormal(0.0, 0.2, 60)
        ratio = ratio_of_losses(Blocks(np.arange(60), np.full(60, 20), mine, other), random, draws=300)
        assert ratio is not None
        assert ratio.interval is not None
        covered += ratio.interval.low <= 0.9 <= ratio.interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_too_few_weeks_have_no_interval_and_no_rows_have_no_ratio() -> None:
    few = FEWEST_BLOCKS - 1
    ones = np.ones(few)
    ratio = ratio_of_losses(Blocks(np.arange(few), np.ones(few, dtype=np.int64), ones, ones), np.random.default_rng(0))
    assert ratio is not None
    assert ratio.point == 1.0
    assert ratio.interval is None
    none = np.array([])
    assert ratio_of_losses(paired(none.astype(np.int64), none, none), np.random.default_rng(0)) is None
    with pytest.raises(ValueError, match="no rows"):
        mean_of_blocks(none, none, np.random.default_rng(0))


def test_the_mean_of_weeks_weighs_every_answer_alike() -> None:
    point, interval = mean_of_blocks(np.arange(10.0), np.full(10, 2.0), np.random.default_rng(0))
    assert point == pytest.approx(45.0 / 20.0)
    assert interval is not None
    assert interval.low < point < interval.high


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200))
def test_calibration_error_is_a_share_and_nothing_for_a_seer(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    confidence, right = random.random(n), random.random(n) < 0.5
    assert 0.0 <= ece(confidence, right) <= 1.0
    assert ece(right.astype(np.float64), right) == 0.0
    assert ece(1.0 - right.astype(np.float64), right) == 1.0


def test_honest_confidence_is_nearly_calibrated_and_boasting_is_not() -> None:
    random = np.random.default_rng(3)
    confidence = random.uniform(0.3, 0.9, 50_000)
    right = random.random(50_000) < confidence
    assert ece(confidence, right) < 0.01
    assert ece(np.minimum(confidence + 0.1, 1.0), right) == pytest.approx(0.1, abs=0.01)


def test_coverage_counts_known_truths_within_the_closed_band() -> None:
    truth = np.array([1.0, 2.0, 3.0, np.nan])
    assert coverage(np.ones(4), np.full(4, 2.0), truth) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no truth"):
        coverage(np.ones(1), np.ones(1), np.array([np.nan]))


@settings(deadline=None, max_examples=25)
@given(pairs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60))
def test_macro_f1_is_what_scikit_learn_computes(pairs: list[tuple[str, str]]) -> None:
    said, truth = [one for one, _ in pairs], [one for _, one in pairs]
    expected = f1_score(truth, said, labels=list("abc"), average="macro", zero_division=0.0)
    assert macro_f1(said, truth, "abc") == pytest.approx(expected)


def test_macro_f1_refuses_lists_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="1 labels were said"):
        macro_f1(["a"], [], ["a"])


def test_blocks_of_two_sets_of_rows_add_up_week_by_week() -> None:
    one = Blocks(np.array([3, 5]), np.array([2, 4]), np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    other = Blocks(np.array([4, 5]), np.array([1, 1]), np.array([0.5, 0.25]), np.array([1.0, 1.0]))
    total = added([one, other])
    assert total.number.tolist() == [3, 4, 5]
    assert total.rows.tolist() == [2, 1, 5]
    assert total.mine.tolist() == [1.0, 0.5, 2.25]
    assert total.other.tolist() == [2.0, 1.0, 3.0]
    with pytest.raises(ValueError, match="blocks of one length"):
        added([one, Blocks(other.number, other.rows, other.mine, other.other, 2 * WEEK_MS)])
    with pytest.raises(ValueError, match="at least one set"):
        added([])
