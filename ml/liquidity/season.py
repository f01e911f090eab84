"""The clock's share of volume: how much a market usually trades at each hour of the week."""

from __future__ import annotations

from functools import cache

import numpy as np

from ml.bars import Floats
from ml.week import HOURS_OF_WEEK

#: Mean quote volume by hour of day UTC and by day of week (Monday first), relative to that of the week. Measured on ten
#: Binance spot pairs, 2018-01..2021-12, by `benchmarks/fit_liquidity_rules.py --profiles`.
HOUR_FACTORS = (
    *(1.14, 0.95, 0.88, 0.86, 0.86, 0.84, 0.88, 0.91, 1.03, 1.01, 1.05, 1.04),
    *(1.16, 1.19, 1.26, 1.25, 1.39, 1.06, 0.93, 0.88, 0.93, 0.81, 0.82, 0.88),
)
DAY_FACTORS = (1.05, 1.07, 1.09, 1.05, 1.01, 0.86, 0.86)


@cache
def profile() -> Floats:
    """Factor of each hour of the week, shape (168,): hour of day times day of week, of mean 1."""
    table: Floats = np.outer(DAY_FACTORS, HOUR_FACTORS).ravel()
    table /= table.mean()
    table.setflags(write=False)
    return table


@cache
def coming(bars: int) -> Floats:
    """Sum of the factors of the `bars` hours that begin with each slot, shape (168,)."""
    factors = np.tile(profile(), 2)
    table = np.array([factors[slot : slot + bars].sum() for slot in range(HOURS_OF_WEEK)])
    table.setflags(write=False)
    return table
