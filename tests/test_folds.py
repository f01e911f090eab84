"""Which lessons a member of an ensemble sees: by blocks of time, and never by single lessons."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS
from ml.folds import BLOCK_MS, MEMBERS, Fold, drawn, kept

INSTANTS = st.lists(st.integers(0, 60 * BLOCK_MS // HOUR_MS), min_size=1, max_size=200)


@given(INSTANTS)
def test_each_lesson_is_left_out_by_one_member_and_shown_to_none_that_is_near(hours: list[int]) -> None:
    as_of = np.array(hours, dtype=np.int64) * HOUR_MS
    members = [Fold.of(member, as_of, 3 * DAY_MS) for member in range(MEMBERS)]
    assert (np.sum([one.out for one in members], axis=0) == 1).all()
    for one in members:
        assert not (one.out & one.shown).any()
        assert one.out[one.judged].all()
        apart = np.abs(as_of[one.shown][:, None] - as_of[one.out][None, :])
        assert (apart > 3 * DAY_MS).all()


def test_what_is_far_from_a_block_that_is_left_out_is_shown() -> None:
    middles = np.arange(12, dtype=np.int64) * BLOCK_MS + BLOCK_MS // 2
    seen = Fold.of(1, middles, 3 * DAY_MS)
    assert seen.out.tolist() == [False, True, False] * 4
    assert seen.shown.tolist() == [True, False, True] * 4


@given(INSTANTS, st.integers(0, 9))
def test_lessons_of_one_instant_draw_one_number(hours: list[int], seed: int) -> None:
    as_of = np.array(hours, dtype=np.int64)
    found = drawn(as_of, np.random.default_rng(seed))
    assert found.shape == as_of.shape
    assert len({(at, one) for at, one in zip(hours, found.tolist(), strict=True)}) == len(set(hours))
    assert ((found >= 0.0) & (found < 1.0)).all()


def test_all_lessons_are_kept_unless_they_are_too_many() -> None:
    as_of = np.repeat(np.arange(5_000, dtype=np.int64), 4)
    assert kept(as_of, 20_000, 1).all()
    few = kept(as_of, 5_000, 1)
    assert 4_500 < few.sum() < 5_500
    assert (few.reshape(-1, 4) == few.reshape(-1, 4)[:, :1]).all()
    assert few.tolist() == kept(as_of, 5_000, 1).tolist() != kept(as_of, 5_000, 2).tolist()
    assert kept(as_of[:0], 10, 1).shape == (0,)
