"""Scores of liquidity forecasts, with intervals by bootstrap over whole weeks, all symbols of a week together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from benchmarks.skill_table import Figure
from ml.bars import DAY_MS, WEEK_MS, Floats, Instants

DRAWS = 300
#: Quarters are counted as 13 weeks.
QUARTER_MS = 13 * WEEK_MS
#: Calendar weeks begin on a Monday; 1970 began on a Thursday.
_MONDAY_MS = 3 * DAY_MS


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Answered rows of one horizon, shape (n,) each: what came true and what was said, in quote currency; the usual
    volume of the horizon; chance of thin 6 h and whether they were."""

    truth: Floats
    qv: Floats
    q05: Floats
    q10: Floats
    q90: Floats
    q95: Floats
    usual: Floats
    p_low: Floats
    thin: Floats
    as_of: Instants
    symbol: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def week(self) -> Instants:
        return np.asarray((self.as_of + _MONDAY_MS) // WEEK_MS)

    def at(self, chosen: NDArray[np.generic]) -> Judged:
        return Judged(*(getattr(self, one.name)[chosen] for one in fields(self)))


def errors(judged: Judged) -> Floats:
    """|qv - QV| over the mean QV of the symbol: their mean is WAPE, each symbol scaled by its own mean."""
    return np.abs(judged.qv - judged.truth) / by_symbol(judged.truth, judged.symbol)


def by_symbol(values: Floats, symbols: NDArray[np.str_]) -> Floats:
    """The mean of `values` over the rows of each row's symbol, shape (n,)."""
    _, member = np.unique(symbols, return_inverse=True)
    means = np.bincount(member, values) / np.bincount(member)
    return np.asarray(means[member])


def mean(values: Floats, week: Instants) -> Figure:
    """A mean over rows with its interval."""
    numbers, member = np.unique(week, return_inverse=True)
    sums, counts = np.bincount(member, values), np.bincount(member)
    times = _draws(len(numbers), 2_000)
    low, high = np.quantile((times @ sums) / (times @ counts), (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))


def ratio(mine: Floats, other: Floats, week: Instants) -> Figure:
    """Mean of `mine` over mean of `other`, on the same rows, with its interval."""
    numbers, member = np.unique(week, return_inverse=True)
    above, below = np.bincount(member, mine), np.bincount(member, other)
    times = _draws(len(numbers), 2_000)
    low, high = np.quantile((times @ above) / (times @ below), (0.025, 0.975))
    return Figure(float(mine.mean() / other.mean()), float(low), float(high))


def alarms(judged: Judged) -> tuple[Figure, Figure, Figure]:
    """Of thin markets: average precision, precision at recall .5, and Brier skill against the share of thin rows."""
    order = np.argsort(-judged.p_low, kind="stable")
    chance, thin = judged.p_low[order], judged.thin[order]
    numbers, member = np.unique(judged.week[order], return_inverse=True)

    def figure(of: Callable[[Floats], float]) -> Figure:
        drawn = [of(times[member]) for times in _draws(len(numbers), DRAWS)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Figure(of(np.ones(len(thin))), float(low), float(high))

    def precision(weight: Floats) -> tuple[Floats, Floats, Floats]:
        hits, said = np.cumsum(weight * thin), np.cumsum(weight)
        return hits / np.maximum(said, 1e-9), hits / hits[-1], weight * thin

    def average_precision(weight: Floats) -> float:
        found, _, hit = precision(weight)
        return float((found * hit).sum() / hit.sum())

    def at_half(weight: Floats) -> float:
        found, recall, _ = precision(weight)
        return float(found[np.searchsorted(recall, 0.5)])

    def brier_skill(weight: Floats) -> float:
        base = np.average(thin, weights=weight)
        return float(1.0 - np.average((chance - thin) ** 2, weights=weight) / (base * (1.0 - base)))

    return figure(average_precision), figure(at_half), figure(brier_skill)


def covered(judged: Judged) -> tuple[Figure, Figure, float, float]:
    """Share of truths in the 80% and in the 90% band; the lowest share in the 80% band of a quarter, and of a
    symbol."""
    inside = ((judged.truth >= judged.q10) & (judged.truth <= judged.q90)).astype(np.float64)
    wide = ((judged.truth >= judged.q05) & (judged.truth <= judged.q95)).astype(np.float64)
    quarter = (judged.as_of - judged.as_of.min()) // QUARTER_MS
    return (
        mean(inside, judged.week),
        mean(wide, judged.week),
        _worst(inside, quarter),
        float(by_symbol(inside, judged.symbol).min()),
    )


def _worst(inside: Floats, group: Instants) -> float:
    """Lowest share of a group that holds more than 2% of the rows."""
    _, member = np.unique(group, return_inverse=True)
    count = np.bincount(member)
    return float((np.bincount(member, inside) / count)[count > 0.02 * len(inside)].min())


def _draws(weeks: int, draws: int) -> Floats:
    random = np.random.default_rng(7)
    return random.multinomial(weeks, np.full(weeks, 1.0 / weeks), size=draws).astype(np.float64)
