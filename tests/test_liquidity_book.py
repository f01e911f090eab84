"""The walked book: what an order that is sent at once costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.liquidity.book import BadBook, Book, largest_within, walk

BOOK = Book(np.array([[99.0, 1.0], [98.0, 2.0]]), np.array([[101.0, 1.0], [102.0, 2.0], [104.0, 10.0]]))


def test_an_order_takes_the_best_level_first_and_pays_the_average() -> None:
    done = walk(BOOK, 101.0 + 102.0, buy=True)
    assert done.complete
    assert done.average_price == pytest.approx(203.0 / 2.0)
    assert done.worst_price == 102.0
    assert done.cost_bps == pytest.approx(150.0)
    assert walk(BOOK, 99.0, buy=False).cost_bps == pytest.approx(100.0)


def test_an_order_beyond_the_levels_shown_is_filled_in_part_and_says_so() -> None:
    done = walk(BOOK, 1e6, buy=False)
    assert not done.complete
    assert done.filled_quote == pytest.approx(99.0 + 196.0)


def test_half_the_spread_leaves_nothing_for_a_smaller_cost() -> None:
    assert largest_within(BOOK, 99.0, buy=True) == 0.0
    assert largest_within(BOOK, 100.0, buy=True) == pytest.approx(101.0)
    assert largest_within(BOOK, 1e4, buy=False) == pytest.approx(99.0 + 196.0)


@pytest.mark.parametrize("order", [0.0, -1.0, float("nan"), float("inf")])
def test_an_order_must_be_a_positive_amount(order: float) -> None:
    with pytest.raises(ValueError, match="positive amount"):
        walk(BOOK, order, buy=True)


@pytest.mark.parametrize(
    ("bids", "asks", "says"),
    [
        ([[101.0, 1.0]], [[101.0, 1.0]], "crossed"),
        ([[98.0, 1.0], [99.0, 1.0]], [[101.0, 1.0]], "not in order"),
        ([[99.0, 0.0]], [[101.0, 1.0]], "not a positive number"),
        ([[99.0, 1.0]], [[101.0, np.nan]], "not a positive number"),
    ],
)
def test_what_is_no_book_is_refused(bids: list[list[float]], asks: list[list[float]], says: str) -> None:
    with pytest.raises(BadBook, match=says):
        Book(np.array(bids), np.array(asks))


def test_a_book_without_levels_is_refused() -> None:
    with pytest.raises(BadBook, match="one level at least"):
        Book(np.zeros((0, 2)), np.array([[101.0, 1.0]]))


@st.composite
def books(draw: st.DrawFn) -> Book:
    sides = []
    for way in (-1.0, 1.0):
        steps = draw(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=8))
        sizes = draw(st.lists(st.floats(0.01, 50.0), min_size=len(steps), max_size=len(steps)))
        sides.append(np.column_stack([100.0 + way * np.cumsum(steps), sizes]))
    return Book(*sides)


@given(books(), st.floats(1.0, 1_000.0), st.booleans())
def test_the_largest_order_within_a_cost_costs_no_more_and_a_larger_one_does(
    book: Book, cost_bps: float, buy: bool
) -> None:
    largest = largest_within(book, cost_bps, buy=buy)
    if largest > 1e-6:
        assert walk(book, largest, buy=buy).cost_bps <= cost_bps + 1e-6
    more = walk(book, max(largest * 1.01, 1e-6), buy=buy)
    if more.complete:
        assert more.cost_bps >= cost_bps - 1e-6


@given(books(), st.floats(0.01, 1e4), st.floats(1.01, 10.0), st.booleans())
def test_a_larger_order_never_costs_less(book: Book, order: float, times: float, buy: bool) -> None:
    assert walk(book, order * times, buy=buy).cost_bps >= walk(book, order, buy=buy).cost_bps - 1e-9


def test_books_of_a_real_market_are_walked(market_data: Path) -> None:
    taken = parquet.read_table(market_data / "lob" / "BTCUSDT_spot_book10_250ms.parquet").slice(0, 200).to_pylist()
    for row in taken[::20]:
        sides = [
            np.array([[row[f"{side}_px{level}"], row[f"{side}_sz{level}"]] for level in range(1, 11)])
            for side in ("bid", "ask")
        ]
        book = Book(*sides)
        for buy in (True, False):
            small, large = (walk(book, order, buy=buy) for order in (1_000.0, 50_000.0))
            assert 0.0 < small.cost_bps <= large.cost_bps + 1e-9 < 5.0
            assert largest_within(book, large.cost_bps, buy=buy) >= 0.99 * large.filled_quote
