"""Lessons on their way to the training process, and the lease that keeps trainers apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.background import Background
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.learning import Lessons
from registry.faults import LeaseLost
from registry.leases import Leases
from registry.store import migrate, open_store
from workers.lessons import BadLessons, from_bytes, to_bytes

KEEP_MS = 1_000


def lessons(truths: list[float] | list[str], *, seed: int = 0) -> Lessons:
    n, random = len(truths), np.random.default_rng(seed)
    values = random.normal(size=(n, 3))
    values[random.random(values.shape) < 0.3] = np.nan
    as_of = np.sort(random.integers(0, 10**12, size=n))
    questions = tuple(Question(symbol=("AAA", "BBB")[i % 2]) for i in range(n))
    return Lessons(Rows(("a", "b", "ü"), values, questions, as_of, as_of - 1, (None,) * n), truths)


NUMBERS = st.lists(st.floats(allow_nan=False), max_size=40)
LABELS = st.lists(st.sampled_from(["trend_up", "range_bound"]), max_size=40)


@settings(max_examples=50, deadline=None)
@given(st.one_of(NUMBERS, LABELS))
def test_lessons_come_back_as_they_were_and_equal_ones_are_equal_byte_for_byte(truths: list[float] | list[str]) -> None:
    given_, content = lessons(truths), to_bytes(lessons(truths))
    assert content == to_bytes(lessons(truths))
    back = from_bytes(content, Question)
    assert list(back.truths) == list(truths)
    assert (back.rows.names, back.rows.questions, back.rows.cannot) == (
        given_.rows.names,
        given_.rows.questions,
        given_.rows.cannot,
    )
    assert back.rows.values.tobytes() == given_.rows.values.tobytes()
    assert back.rows.as_of.tolist() == given_.rows.as_of.tolist()
    assert back.rows.data_through.tolist() == given_.rows.data_through.tolist()


def test_what_was_seen_beside_comes_back_as_it_was_with_the_values_of_the_rows_or_without() -> None:
    parts = [("1h", np.array([5, 7]), np.array([0.5, 2.5])), ("1d", np.array([6]), np.array([1.5]))]
    given_ = replace(lessons([1.0, 2.0]), background=Background.of(parts))
    for content in (to_bytes(given_), to_bytes(given_, values=False)):
        kept = np.load(io.BytesIO(content))
        assert kept["seen_kinds"].tolist() == ["1d", "1h"]
    back = from_bytes(to_bytes(given_), Question).background
    assert back is not None
    assert given_.background is not None
    assert (back.kinds, back.known_at.tolist(), back.values.tolist()) == (("1d", "1h"), [5, 6, 7], [0.5, 1.5, 2.5])
    assert back.codes.tobytes() == given_.background.codes.tobytes()
    assert from_bytes(to_bytes(lessons([1.0])), Question).background is None


class Explosive:
    """What must never be made from a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("it was made",)


def test_a_row_that_nobody_can_answer_is_no_lesson() -> None:
    rows = lessons([1.0]).rows
    cannot = (CannotAnswer(Why.FAILED, "x"),)
    broken = Rows(rows.names, rows.values, rows.questions, rows.as_of, rows.data_through, cannot)
    with pytest.raises(ValueError, match="nobody can answer"):
        to_bytes(Lessons(broken, [1.0]))


def test_bytes_that_are_no_lessons_are_refused_and_objects_in_them_never_made() -> None:
    whole = to_bytes(lessons([1.0, 2.0]))
    objects, alone = io.BytesIO(), io.BytesIO()
    np.savez(objects, names=np.array([Explosive()], dtype=object))
    np.save(alone, np.zeros(3))
    for damaged in (b"", b"x" * 100, whole[:-10], whole[: len(whole) // 2], objects.getvalue(), alone.getvalue()):
        with pytest.raises(BadLessons):
            from_bytes(damaged, Question)


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Leases]:
    store = open_store(tmp_path / "state.sqlite")
    migrate(store)
    yield Leases(store, "local", KEEP_MS)
    store.close()


def test_a_lease_is_one_holder_s_until_it_expires(leases: Leases) -> None:
    first = leases.claim("training", "a", 0)
    assert first is not None
    assert leases.claim("training", "b", KEEP_MS - 1) is None
    assert leases.holder("training", KEEP_MS - 1) == first
    assert leases.holder("training", KEEP_MS) is None
    second = leases.claim("training", "b", KEEP_MS)
    assert second is not None
    assert second.term == first.term + 1
    assert leases.claim("drawing", "a", 0) is not None, "another lease"


def test_signs_of_life_keep_a_lease_and_silence_loses_it_for_good(leases: Leases) -> None:
    lease = leases.claim("training", "a", 0)
    assert lease is not None
    for at in (900, 1_800, 2_700):
        leases.beat(lease, at)
        assert leases.claim("training", "b", at + 99) is None
    with pytest.raises(LeaseLost, match="the lease on training of a has expired"):
        leases.beat(lease, 3_700)
    other = leases.claim("training", "b", 3_700)
    assert other is not None
    with pytest.raises(LeaseLost):
        leases.beat(lease, 3_701)
    leases.release(lease, 3_701)
    assert leases.holder("training", 3_702) == other, "an old holder gives nothing back"


def test_a_lease_that_was_given_back_is_free_at_once(leases: Leases) -> None:
    lease = leases.claim("training", "a", 0)
    assert lease is not None
    leases.release(lease, 10)
    assert leases.holder("training", 10) is None
    assert leases.claim("training", "a", 10) is not None
