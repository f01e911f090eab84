"""The clock's share of volatility: how much a market usually moves at each hour of the week.

Two kinds of market have been measured: those that trade at weekends (crypto) and those that close for them (FX). Which
one a series is, is read from its own bars. Own bars give a second, slower profile (`kernel`): the shipped one carries
no estimation noise, which is most of what a profile from a few weeks consists of.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np

from ml.bars import Floats
from ml.week import HOURS_OF_WEEK


class Kind(IntEnum):
    """Which hours a market trades."""

    WEEKDAYS = 0
    ALWAYS = 1


#: Mean Parkinson variance by hour of day UTC and by day of week (Monday first), relative to the week's mean. Measured
#: on ten Binance spot pairs, 2018-01..2021-12 (ALWAYS), and on seven FX pairs, 2012-11..2015-12 (WEEKDAYS), by
#: `benchmarks/fit_volatility_rules.py --profiles`. FX is closed on Saturdays: 1 stands for nothing there.
HOUR_FACTORS = {
    Kind.WEEKDAYS: (
        *(0.84, 0.90, 0.60, 0.50, 0.46, 0.50, 1.00, 1.53, 1.88, 1.53, 1.25, 1.16),
        *(2.25, 2.29, 2.43, 1.97, 1.24, 1.01, 1.01, 0.78, 0.58, 0.75, 0.55, 0.39),
    ),
    Kind.ALWAYS: (
        *(1.44, 1.00, 0.84, 0.80, 0.81, 0.77, 0.79, 0.84, 1.00, 0.96, 1.01, 0.97),
        *(1.17, 1.17, 1.27, 1.21, 1.48, 0.96, 0.86, 0.83, 0.99, 0.90, 0.94, 0.96),
    ),
}
DAY_FACTORS = {
    Kind.WEEKDAYS: (0.68, 0.85, 0.96, 0.97, 0.89, 1.00, 1.65),
    Kind.ALWAYS: (1.05, 1.09, 1.13, 1.08, 1.01, 0.80, 0.84),
}
#: FX closes on Friday at 21:00 or 22:00 UTC and opens on Sunday at 21:00 or 22:00, by summer time.
_FRIDAY_CLOSE = 4 * 24 + 22
_SUNDAY_OPEN = 6 * 24 + 21


def coming(kind: Kind, bars: int) -> Floats:
    """Mean factor of the `bars` open slots after each slot, shape (168,). Closed hours are stepped over."""
    return _table(kind, bars, ahead=True)


def past(kind: Kind, bars: int) -> Floats:
    """Squared mean of the root factors of the `bars` open slots that end with each slot, shape (168,)."""
    return _table(kind, bars, ahead=False)


@cache
def _table(kind: Kind, bars: int, ahead: bool) -> Floats:
    factors = profile(kind)
    if not ahead:
        factors = tuple(factor**0.5 for factor in factors)
    means = [_walk(kind, factors, slot, bars, ahead) for slot in range(HOURS_OF_WEEK)]
    table = np.array(means if ahead else [mean * mean for mean in means])
    table.setflags(write=False)
    return table


def _walk(kind: Kind, factors: tuple[float, ...], slot: int, bars: int, ahead: bool) -> float:
    """Mean factor over `bars` open slots: those after `slot`, or those up to and with it."""
    step, at = (1, slot + 1) if ahead else (-1, slot)
    total, seen = 0.0, 0
    while seen < bars:
        if is_open(kind, at % HOURS_OF_WEEK):
            total += factors[at % HOURS_OF_WEEK]
            seen += 1
        at += step
    return total / bars


def is_open(kind: Kind, slot: int) -> bool:
    """Whether a market of this kind trades in that hour of the week."""
    return kind is Kind.ALWAYS or not _FRIDAY_CLOSE <= slot < _SUNDAY_OPEN


def profile(kind: Kind) -> tuple[float, ...]:
    """Factor of each hour of the week, shape (168,): hour of day times day of week."""
    hours, days = HOUR_FACTORS[kind], DAY_FACTORS[kind]
    return tuple(hours[slot % 24] * days[slot // 24] for slot in range(HOURS_OF_WEEK))
