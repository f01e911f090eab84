"""The shipped numbers of version 0.

Fitted and rounded by `benchmarks/fit_liquidity_rules.py` on ten Binance spot pairs 2018-01..2021-12 alone, the last
week and horizon left out. Any record of skill begins after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.liquidity.question import Horizon

#: Shares of the bands.
BANDS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True)
class Rule:
    """One horizon: qv = factor x season of the coming hours x level x (smoothed / level)^memory: a burst is not thought
    to last. `bands` (at `BANDS`) are quantiles of QV_h / qv, whose median is 1."""

    factor: float
    memory: float
    bands: tuple[float, ...]


RULES: Mapping[Horizon, Rule] = {
    Horizon.H6: Rule(0.897, 0.91, (0.563, 0.640, 0.787, 1.000, 1.324, 1.842, 2.305)),
    Horizon.H12: Rule(0.921, 0.87, (0.585, 0.658, 0.798, 1.000, 1.306, 1.766, 2.181)),
    Horizon.H24: Rule(0.937, 0.81, (0.597, 0.666, 0.802, 1.000, 1.295, 1.738, 2.145)),
}
#: ln odds of a thin market = THIN_ODDS[0] + THIN_ODDS[1] x ln (qv of 6 h / thin_below).
THIN_ODDS = (-0.26, -4.55)
