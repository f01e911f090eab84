"""What came true, told from all that is known by now: series by series, and over the bars that followed."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants
from ml.capability import Q, T
from ml.series import alike, by_series
from ml.timeline import Market


def in_hindsight(
    questions: Sequence[Q],
    as_of: Instants,
    market: Market,
    tell: Callable[[Q, Bars, Instants], Sequence[T | None]],
    variant: Callable[[Q], Hashable] = alike,
) -> list[T | None]:
    """What `tell` says of each question asked as of `as_of` (int64 ms, shape (n,)); None of a symbol that nobody feeds.

    `tell` is given one of the questions that share a series and a `variant`, the bars of the series, and the instants
    at which it was asked. `market` must hold what is known now, not what was at `as_of`.
    """
    found: list[T | None] = [None] * len(questions)
    for members in by_series(questions, variant).values():
        first = questions[members[0]]
        timeline = market.timeline(first.symbol, first.timeframe)
        if timeline is not None:
            for i, told in zip(members, tell(first, timeline.latest(), as_of[members]), strict=True):
                found[i] = told
    return found


def newest_closed(bars: Bars, as_of: Instants) -> Instants:
    """Position of the newest bar closed by each `as_of` (int64 ms, shape (n,)); -1 where none was."""
    return np.searchsorted(bars.close_at, as_of, side="right") - 1


def known_or_none(values: Floats) -> list[float | None]:
    """The numbers, None for a NaN."""
    return [None if math.isnan(value) else value for value in values.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The `count` bars that follow an instant, for those of n instants after which so many have closed.

    `asked` are their numbers among the n, `last` the position of the newest bar closed by each, `whole` whether the
    window has no hole, by the clock; shape (m,) each.
    """

    n: int
    count: int
    asked: Instants
    last: Instants
    whole: NDArray[np.bool_]

    @staticmethod
    def of(bars: Bars, as_of: Instants, count: int) -> Ahead:
        """After each `as_of` (int64 ms, shape (n,))."""
        last = newest_closed(bars, as_of)
        asked = np.flatnonzero((last >= 0) & (last + count < len(bars)))
        last = last[asked]
        took = bars.open_at[last + count] - bars.open_at[last]
        return Ahead(len(as_of), count, asked, last, took == count * bars.timeframe.milliseconds)

    def sums(self, values: Floats, known: NDArray[np.bool_]) -> Floats:
        """Sum of the bars' `values` over each window, one after another, shape (n,); NaN where one of them is, where it
        is not `known` (m,), and for the other instants."""
        result = np.full(self.n, np.nan)
        last = self.last[known]
        total = np.zeros(len(last))
        for step in range(1, self.count + 1):
            total += values[last + step]
        result[self.asked[known]] = total
        return result
