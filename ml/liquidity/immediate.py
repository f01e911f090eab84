"""What an order that is sent at once would meet: the newest book, walked for what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ml.bars import MINUTE_MS, Floats, Instants
from ml.capability import Question, Rows, Term
from ml.liquidity.book import Book, largest_within, walk
from ml.liquidity.question import LiquidityQuestion
from ml.observed import BOOK_LEVELS, Kind
from ml.timeline import Market

#: A book that held longer than this before `as_of` says nothing of an order sent now.
LATEST_MS = 10 * MINUTE_MS
OBSERVES: Mapping[Kind, int] = {Kind.BOOK: LATEST_MS}
#: Columns of a row, all NaN without a fresh book. What is dearer counts, buying or selling.
IMMEDIATE = (
    "book_at",  # when the book was taken, ms UTC
    "book_spread_bps",  # best ask less best bid, over the mid
    "book_max_quote",  # the largest order that costs `cost_bps`
    "book_cost_bps",  # what `order_quote` costs; NaN where none was asked, or where the levels shown do not hold it
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_AT = 4e12


@dataclass(frozen=True, slots=True)
class Immediate:
    """What the row says of an order sent at once; `cost_bps` is None where none was asked or the book does not hold
    it."""

    at: datetime
    spread_bps: float
    max_quote: float
    cost_bps: float | None

    @property
    def text(self) -> str:
        return f"book of {self.at:%H:%M:%S}Z, spread {self.spread_bps:.2g} bp"

    @property
    def term(self) -> Term:
        """For an explanation: it is no part of the forecast."""
        return Term("book", self.spread_bps, "bp", None, self.text)


def immediate_columns(questions: Sequence[Question], as_of: Instants, market: Market) -> Floats:
    """`IMMEDIATE` of questions asked at `as_of` (int64 ms, shape (n,)), shape (n, 4)."""
    result = np.full((len(questions), len(IMMEDIATE)), np.nan)
    symbols, of_symbol = np.unique([question.symbol for question in questions], return_inverse=True)
    for number, symbol in enumerate(symbols.tolist()):
        books = market.observed(Kind.BOOK, symbol)
        if books is None:
            continue
        here = np.flatnonzero(of_symbol == number)
        for i, place in zip(here.tolist(), books.newest(as_of[here], LATEST_MS).tolist(), strict=True):
            if place >= 0:
                result[i] = float(books.at[place]), *_walked(_asked(questions[i]), book_of(books.values[place]))
    return result


def immediate_of(rows: Rows) -> list[Immediate | None]:
    """What each row says; None where it knows no book. Rows of before there were books know none."""
    if rows.names[-len(IMMEDIATE) :] != IMMEDIATE:
        return [None] * len(rows)
    return [_read(*row) for row in rows.values[:, -len(IMMEDIATE) :].tolist()]


def book_of(levels: Floats) -> Book:
    """The book of one record, shape (len(FIELDS[Kind.BOOK]),)."""
    table = levels.reshape(BOOK_LEVELS, 2, 2)
    bids, asks = (side[np.isfinite(side[:, 0])] for side in (table[:, 0], table[:, 1]))
    return Book(bids, asks)


def _walked(question: LiquidityQuestion, book: Book) -> tuple[float, float, float]:
    both = (True, False)
    largest = min(largest_within(book, question.cost_bps, buy=buy) for buy in both)
    cost_bps = math.nan
    if question.order_quote is not None:
        walks = [walk(book, question.order_quote, buy=buy) for buy in both]
        if all(one.complete for one in walks):
            cost_bps = max(one.cost_bps for one in walks)
    return 1e4 * float(book.asks[0, 0] - book.bids[0, 0]) / book.mid, largest, cost_bps


def _read(at: float, spread_bps: float, max_quote: float, cost_bps: float) -> Immediate | None:
    known = 0.0 <= at <= _LATEST_AT and math.isfinite(spread_bps) and math.isfinite(max_quote)
    if not known or spread_bps <= 0.0 or max_quote < 0.0:
        return None
    cost = cost_bps if math.isfinite(cost_bps) and cost_bps >= 0.0 else None
    return Immediate(_EPOCH + timedelta(milliseconds=at), spread_bps, max_quote, cost)


def _asked(question: Question) -> LiquidityQuestion:
    assert isinstance(question, LiquidityQuestion)
    return question
