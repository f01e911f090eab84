"""What is fed beside the bars: funding, open interest and books, as columns of a row.

All of it is what was known when the bar closed, so an answer about a bar stays the same until the next one. Where
nothing is fed, or too little is known, columns are NaN, and nothing else of the row changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.rank import OF_LATE, of_late, rank_depth
from ml.anomaly.windows import LEVEL
from ml.bars import DAY_MS, HOUR_MS, MINUTE_MS, Floats, Instants
from ml.capability import Question
from ml.observed import BOOK_LEVELS, Kind, Observed
from ml.timeline import Market

#: What is older than this when a bar closes says nothing of it.
OBSERVES: Mapping[Kind, int] = {
    Kind.FUNDING: DAY_MS,
    Kind.OPEN_INTEREST: 2 * HOUR_MS,
    Kind.BOOK: 10 * MINUTE_MS,
}
FED = (
    "funding",  # |rate - its median| of the newest settlement, in robust standard deviations of the 90 before
    "funding_rate",  # the rate, a fraction per interval
    "funding_usual",  # the median of those before
    "open_interest",  # -log10 of the chance of its change over the bar
    "open_interest_change",  # ln of open interest over that at the close before
    "spread",  # -log10 of the chance of the spread of the book, against those of the last 24 closes
    "spread_bps",  # best ask less best bid, over the mid
    "spread_times",  # over its median of the last 24 closes
    "book_gone",  # -log10 of the chance that the thinner side of the book holds so little
    "book_share",  # what it holds (quote currency), over its median of the last 24 closes
)
#: Settlements that say what is usual: 30 days of every eight hours.
SETTLEMENTS = 90
#: Exchanges let the rate rest at one value: its spread is told by the tail, and is .25 bp at least.
_TAIL, _SIGMA_OF_TAIL, _LEAST_SPREAD = 0.96, 2.054, 0.25e-4
#: A change of open interest counts against 0.1% at least.
_LEAST_CHANGE = 1e-3
_REACH = LEVEL + OF_LATE
_DECIMALS = 7


class Stretch(NamedTuple):
    """Closes one bar apart (int64 ms); those at `at` are asked about, and are the `rows` of the question."""

    closes: Instants
    at: Instants
    rows: Instants


def fed_columns(questions: Sequence[Question], through: Instants, market: Market) -> Floats:
    """`FED` of questions of one timeframe about the bars that closed at `through` (int64 ms, (n,)), shape (n, 10)."""
    result = np.full((len(questions), len(FED)), np.nan)
    for symbol in dict.fromkeys(question.symbol for question in questions):
        for kind, (columns, read) in _READERS.items():
            observed = market.observed(kind, symbol)
            if observed is None or not len(observed):
                continue
            here = np.flatnonzero([question.symbol == symbol for question in questions])
            times, of_time = np.unique(through[here], return_inverse=True)
            found = read(observed, times, questions[0].timeframe.milliseconds)
            result[here, columns] = np.round(found, _DECIMALS)[of_time]
    return result


def settled(observed: Observed, times: Instants, step: int) -> NDArray[np.bool_]:
    """Whether a newer funding rate became known in each of the bars of length `step` (ms) that closed at `times`."""
    return _came(observed, observed.newest(times, OBSERVES[Kind.FUNDING]), observed.newest(times - step, _EVER))


def _funding(observed: Observed, times: Instants, step: int) -> Floats:
    """A rate is looked at in the bar in which it became known and in no other: it holds for hours, and is rare once."""
    found = np.full((len(times), 3), np.nan)
    for i in np.flatnonzero(settled(observed, times, step)).tolist():
        rates = observed.known(int(times[i])).values[-SETTLEMENTS - 1 :, 0]
        if len(rates) > SETTLEMENTS:
            usual = float(np.median(rates[:-1]))
            spread = float(np.quantile(np.abs(rates[:-1] - usual), _TAIL)) / _SIGMA_OF_TAIL
            found[i] = abs(rates[-1] - usual) / max(spread, _LEAST_SPREAD), rates[-1], usual
    return found


def _open_interest(observed: Observed, times: Instants, step: int) -> Floats:
    """A change is looked at in the bar in which it became known."""
    found = np.full((len(times), 2), np.nan)
    for closes, at, rows in _stretches(times, step):
        place = observed.newest(closes, OBSERVES[Kind.OPEN_INTEREST])
        contracts = np.where(place >= 0, observed.values[place, 0], np.nan)
        ln = np.log(np.where(contracts > 0.0, contracts, np.nan))
        change = np.full(len(closes), np.nan)
        change[1:] = np.where(_came(observed, place[1:], place[:-1]), np.diff(ln), np.nan)
        found[rows] = np.column_stack([rank_depth(np.abs(change), at, _LEAST_CHANGE), change[at]])
    return found


def _book(observed: Observed, times: Instants, step: int) -> Floats:
    found = np.full((len(times), 5), np.nan)
    for closes, at, rows in _stretches(times, step):
        place = observed.newest(closes, OBSERVES[Kind.BOOK])
        spread, thinner = (np.where(place >= 0, one, np.nan) for one in _shape(observed.values[place]))
        wide, gone = spread / of_late(spread), of_late(thinner) / thinner
        found[rows] = np.column_stack(
            [rank_depth(wide, at, 1.0), 1e4 * spread[at], wide[at], rank_depth(gone, at, 1.0), 1.0 / gone[at]]
        )
    return found


#: Where in FED the columns of a kind are, and who reads them.
_READERS: Mapping[Kind, tuple[slice, Callable[[Observed, Instants, int], Floats]]] = {
    Kind.FUNDING: (slice(0, 3), _funding),
    Kind.OPEN_INTEREST: (slice(3, 5), _open_interest),
    Kind.BOOK: (slice(5, 10), _book),
}
_EVER = 2**62


def _shape(levels: Floats) -> tuple[Floats, Floats]:
    """The spread over the mid, and what the thinner side holds in quote currency, of records (n, 40)."""
    table = levels.reshape(len(levels), BOOK_LEVELS, 2, 2)
    bid, ask = table[:, 0, 0, 0], table[:, 0, 1, 0]
    held = np.nan_to_num(table[..., 0] * table[..., 1]).sum(axis=1)
    return (ask - bid) / (0.5 * (ask + bid)), held.min(axis=1)


def _came(observed: Observed, now: Instants, before: Instants) -> NDArray[np.bool_]:
    """Whether the record at `now` is of a later time than that at `before`; -1 stands for none."""
    return np.asarray((now >= 0) & ((before < 0) | (observed.at[now] > observed.at[before])))


def _stretches(times: Instants, step: int) -> Iterator[Stretch]:
    """The closes that the bars closing at `times` (sorted, each once) are compared with, in as few stretches."""
    for phase in np.unique(times % step).tolist():
        rows = np.flatnonzero(times % step == phase)
        for part in np.split(rows, np.flatnonzero(np.diff(times[rows]) > _REACH * step) + 1):
            first, last = int(times[part[0]]) - _REACH * step, int(times[part[-1]])
            yield Stretch(np.arange(first, last + 1, step), (times[part] - first) // step, part)
