"""The shipped numbers of version 0.

Fitted and rounded by `benchmarks/fit_volatility_rules.py` on early years alone, the last week and horizon left out:
hourly ALWAYS on ten Binance spot pairs 2018-01..2021-12, hourly WEEKDAYS on seven FX pairs 2012-11..2015-12, daily
ALWAYS on the same ten coins summed up to UTC days 2018-01..2021-12, daily WEEKDAYS on the S&P 500 and the Nasdaq
Composite 1999-01..2009-12. Any record of skill begins after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.volatility.question import Horizon
from ml.volatility.season import Kind

#: The features that the rules add up, in this order (`kernel.NAMES` says what each is).
TERMS = (
    *("now", "short", "middle", "slow", "steadiness", "closes", "long_run", "season", "own_season", "fall"),
    *("due_payrolls", "due_fed"),
)
#: Shares of the band factors.
BANDS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True)
class Rule:
    """One horizon in one kind of market: ln F = ln h + log_level + constant + sum of weight x term.

    `weights` go with `TERMS`; a weight of 0 is a term that added nothing. `bands` are quantiles (`BANDS`) of RV_h / F.
    """

    constant: float
    weights: tuple[float, ...]
    bands: tuple[float, ...]


RULES: Mapping[tuple[Kind, Horizon], Rule] = {
    (Kind.ALWAYS, Horizon.H6): Rule(
        0.14,
        (0.13, 0.29, 0.38, 0.11, 0.17, 0.19, 0.12, 1.10, 0.00, 0.00, 0.00, 0.00),
        (0.119, 0.168, 0.292, 0.534, 1.024, 1.986, 3.133),
    ),
    (Kind.ALWAYS, Horizon.H12): Rule(
        0.18,
        (0.10, 0.33, 0.32, 0.14, 0.21, 0.11, 0.15, 1.14, 0.00, 0.00, 0.00, 0.00),
        (0.173, 0.225, 0.351, 0.590, 1.046, 1.917, 2.924),
    ),
    (Kind.ALWAYS, Horizon.H24): Rule(
        0.26,
        (0.09, 0.35, 0.19, 0.22, 0.33, -0.04, 0.17, 1.28, 0.00, 0.00, 0.00, 0.00),
        (0.210, 0.263, 0.388, 0.618, 1.050, 1.882, 2.798),
    ),
    (Kind.ALWAYS, Horizon.H48): Rule(
        0.33,
        (0.07, 0.23, 0.21, 0.26, 0.47, -0.29, 0.20, 1.37, 0.00, 0.00, 0.00, 0.00),
        (0.229, 0.283, 0.408, 0.626, 1.044, 1.865, 2.775),
    ),
    (Kind.WEEKDAYS, Horizon.H6): Rule(
        0.19,
        (0.11, 0.03, 0.42, 0.32, 0.15, 0.12, 0.12, 0.40, 0.79, 0.00, 1.03, 1.92),
        (0.118, 0.179, 0.329, 0.608, 1.112, 1.976, 2.844),
    ),
    (Kind.WEEKDAYS, Horizon.H12): Rule(
        0.22,
        (0.05, 0.00, 0.40, 0.36, 0.20, 0.23, 0.12, 0.41, 0.76, 0.00, 0.71, 1.25),
        (0.182, 0.253, 0.411, 0.681, 1.134, 1.843, 2.565),
    ),
    (Kind.WEEKDAYS, Horizon.H24): Rule(
        0.25,
        (0.03, 0.04, 0.31, 0.39, 0.34, 0.29, 0.10, 1.01, 0.31, 0.00, 0.48, 0.67),
        (0.265, 0.341, 0.499, 0.757, 1.155, 1.757, 2.353),
    ),
    (Kind.WEEKDAYS, Horizon.H48): Rule(
        0.28,
        (0.02, 0.03, 0.26, 0.43, 0.39, 0.25, 0.11, 1.02, 0.38, 0.00, 0.33, 0.35),
        (0.319, 0.409, 0.583, 0.818, 1.163, 1.650, 2.096),
    ),
    (Kind.ALWAYS, Horizon.D1): Rule(
        0.04,
        (0.29, 0.15, 0.32, -0.08, 0.16, 0.07, 0.21, 0.00, 0.00, 0.00, 0.00, 0.00),
        (0.002, 0.008, 0.053, 0.262, 0.921, 2.587, 4.425),
    ),
    (Kind.ALWAYS, Horizon.D5): Rule(
        0.01,
        (0.22, 0.07, 0.46, -0.03, -0.28, -0.17, 0.23, 0.00, 0.00, 0.00, 0.00, 0.00),
        (0.076, 0.125, 0.254, 0.530, 1.096, 2.243, 3.523),
    ),
    (Kind.WEEKDAYS, Horizon.D1): Rule(
        -0.02,
        (-0.04, 0.11, 0.69, 0.20, 0.17, 0.24, -0.02, 0.00, 0.00, -0.28, 0.00, 0.00),
        (0.004, 0.014, 0.085, 0.407, 1.313, 2.714, 3.866),
    ),
    (Kind.WEEKDAYS, Horizon.D5): Rule(
        0.12,
        (0.00, 0.27, 0.53, 0.26, 0.09, 0.21, -0.01, 0.00, 0.00, -0.17, 0.00, 0.00),
        (0.225, 0.325, 0.515, 0.812, 1.248, 1.836, 2.323),
    ),
}
