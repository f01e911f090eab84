"""Orders sent at once, in the answer: by a fresh book where one is fed, and silent where none is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.observed_table import checked_observations
from ml.bars import MINUTE_MS, Bars
from ml.capability import Given, Rows
from ml.liquidity import LIQUIDITY, Horizon, LiquidityAnswer, LiquidityQuestion
from ml.liquidity.answer import say
from ml.liquidity.book import largest_within, walk
from ml.liquidity.features import ROW_NAMES
from ml.liquidity.immediate import IMMEDIATE, LATEST_MS, book_of, immediate_columns
from ml.observed import FIELDS, Kind, Observed
from ml.timeline import StillMarket
from tests.liquidity_market import market
from tests.observed_books import books, levels

BARS = market()
CLOSE = int(BARS.close_at[-1])
FIELDS_OF_BOOK = ("book_at", "spread_bps", "immediate_max_quote", "immediate_cost_bps")


def rows_of(observed: Observed | None, question: LiquidityQuestion, as_of: int = CLOSE, bars: Bars = BARS) -> Rows:
    fed = StillMarket.of(bars, observed=[observed] if observed else [])
    return LIQUIDITY.features.rows([question], np.array([as_of]), fed)


def given_of(
    observed: Observed | None, as_of: int = CLOSE, bars: Bars = BARS, **fields: float
) -> Given[LiquidityAnswer]:
    rows = rows_of(observed, LiquidityQuestion(symbol=bars.symbol, **fields), as_of, bars)  # type: ignore[arg-type]  # fields of the question
    assert rows.cannot[0] is None
    (outcome,) = LIQUIDITY.rules.predict(rows)
    assert isinstance(outcome, Given)
    return outcome


def test_without_a_book_nothing_is_said_of_orders_sent_at_once() -> None:
    silent = given_of(None, order_quote=1_000.0)
    assert [getattr(silent.answer, name) for name in FIELDS_OF_BOOK] == [None] * 4
    assert "at once" not in say(LiquidityQuestion(symbol="TEST", order_quote=1_000.0), silent.answer)
    assert all("book" not in reason for reason in silent.reasons)


def test_a_fresh_book_says_what_an_order_sent_at_once_costs() -> None:
    told = given_of(books("TEST", (CLOSE - 5_000, levels())), order_quote=1_500.0, cost_bps=2.0)
    answer = told.answer
    assert answer.book_at == datetime.fromtimestamp((CLOSE - 5_000) / 1_000, UTC)
    assert answer.spread_bps == pytest.approx(2.0)
    assert answer.immediate_cost_bps == pytest.approx((1_000.0 * 1.0 + 500.0 * 2.0) / 1_500.0, rel=1e-3)
    assert answer.immediate_max_quote == pytest.approx(3_000.0, rel=1e-3)
    assert any(reason.startswith("book of ") for reason in told.reasons)
    said = say(LiquidityQuestion(symbol="TEST", order_quote=1_500.0, cost_bps=2.0), answer)
    assert "sent at once by the book of" in said
    assert "the order asked about costs 1.3 bp" in said


def test_what_is_dearer_counts_buying_or_selling() -> None:
    row = levels()
    row[4 * np.arange(5) + 1] = 1.0  # bids hold a tenth of what asks do
    thin = given_of(books("TEST", (CLOSE, row)), order_quote=300.0, cost_bps=2.0).answer
    whole = given_of(books("TEST", (CLOSE, levels())), order_quote=300.0, cost_bps=2.0).answer
    assert thin.immediate_max_quote == pytest.approx(0.1 * (whole.immediate_max_quote or 0.0), rel=1e-2)
    assert (thin.immediate_cost_bps or 0.0) > (whole.immediate_cost_bps or 0.0)


def test_an_order_beyond_the_levels_shown_has_no_cost_and_the_sentence_says_so() -> None:
    question = LiquidityQuestion(symbol="TEST", order_quote=1e6)
    answer = given_of(books("TEST", (CLOSE, levels())), order_quote=1e6).answer
    assert answer.immediate_cost_bps is None
    assert answer.immediate_max_quote == pytest.approx(5_000.0, rel=1e-2)
    assert "more than its levels hold" in say(question, answer)


def test_a_book_counts_for_ten_minutes_from_its_own_time() -> None:
    late = books("TEST", (CLOSE, levels()), after_ms=20_000)
    assert given_of(late, CLOSE + 19_999).answer.book_at is None
    assert given_of(late, CLOSE + 20_000).answer.book_at is not None
    assert given_of(late, CLOSE + LATEST_MS).answer.book_at is not None
    assert given_of(late, CLOSE + LATEST_MS + 1).answer.book_at is None


def test_the_newest_book_is_walked_and_not_one_that_comes_later() -> None:
    two = books("TEST", (CLOSE - MINUTE_MS, levels(half_bps=1.0)), (CLOSE + MINUTE_MS, levels(half_bps=4.0)))
    assert given_of(two).answer.spread_bps == pytest.approx(2.0)
    assert given_of(two, CLOSE + MINUTE_MS).answer.spread_bps == pytest.approx(8.0)


def test_a_book_changes_nothing_of_the_forecast() -> None:
    with_book, without = given_of(books("TEST", (CLOSE, levels()))), given_of(None)
    assert with_book.answer.model_copy(update=dict.fromkeys(FIELDS_OF_BOOK)) == without.answer
    rows = rows_of(books("TEST", (CLOSE, levels())), LiquidityQuestion(symbol="TEST"))
    (terms,) = LIQUIDITY.rules.explain(rows)
    assert terms[-1].name == "book"
    assert terms[-1].effect is None
    assert not set(LIQUIDITY.rules.ranges) & set(IMMEDIATE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 1e300])
@pytest.mark.parametrize("column", IMMEDIATE)
def test_broken_numbers_of_a_book_never_reach_an_answer(column: str, value: float) -> None:
    question = LiquidityQuestion(symbol="TEST", order_quote=100.0)
    rows = rows_of(books("TEST", (CLOSE, levels())), question)
    values = rows.values.copy()
    values[:, ROW_NAMES.index(column)] = value
    (outcome,) = LIQUIDITY.rules.predict(replace(rows, values=values))
    assert isinstance(outcome, Given)
    numbers = [one for one in outcome.answer.model_dump().values() if isinstance(one, float)]
    assert np.isfinite(numbers).all()


@given(st.floats(1e-4, 1e4), st.floats(0.1, 50.0), st.floats(10.0, 1e5))
def test_in_another_unit_of_money_amounts_are_in_it_and_costs_stay(unit: float, half_bps: float, order: float) -> None:
    asked = LiquidityQuestion(symbol="TEST", horizon=Horizon.H6, cost_bps=20.0, order_quote=order)
    other = asked.model_copy(update={"order_quote": order * unit})
    one, two = levels(half_bps=half_bps), levels(mid=100.0 * unit, half_bps=half_bps)
    first, second = (
        immediate_columns([question], np.array([CLOSE]), StillMarket.of(observed=[books("TEST", (CLOSE, row))]))[0]
        for question, row in ((asked, one), (other, two))
    )
    assert second == pytest.approx(first * np.array([1.0, 1.0, unit, 1.0]), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("venue", ["BTCUSDT_spot", "ETHUSDT_usdm"])
def test_books_of_a_real_market_give_the_cost_of_walking_them(market_data: Path, venue: str) -> None:
    taken = parquet.read_table(market_data / "lob" / f"{venue}_book10_250ms.parquet").slice(0, 400)
    at = np.asarray(taken["timestamp"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()))
    names = [name.replace("price", "px").replace("size", "sz") for name in FIELDS[Kind.BOOK]]
    columns = ["".join(name.rsplit("_", 1)) for name in names]  # bid_px_1 is bid_px1 there
    values = np.column_stack([np.asarray(taken[name], dtype=np.float64) for name in columns])
    table = checked_observations(Kind.BOOK, "TEST", "files", at, values)
    assert not table.refused
    observed = Observed(Kind.BOOK, "TEST", table.at, table.at, table.values)
    question = LiquidityQuestion(symbol="TEST", cost_bps=1.0, order_quote=5_000.0)
    asked = table.at[::40] + 100
    found = immediate_columns([question] * len(asked), asked, StillMarket.of(observed=[observed]))
    for (when, spread, largest, cost), as_of in zip(found.tolist(), asked.tolist(), strict=True):
        place = int(np.flatnonzero(table.at <= as_of)[-1])
        book = book_of(table.values[place])
        assert when == table.at[place]
        assert 0.0 < spread < 1.0
        assert largest == min(largest_within(book, 1.0, buy=buy) for buy in (True, False)) > 0.0
        walks = [walk(book, 5_000.0, buy=buy) for buy in (True, False)]
        if all(one.complete for one in walks):
            assert cost == max(one.cost_bps for one in walks) >= 0.49 * spread
        else:
            assert np.isnan(cost)
