"""Structure: the nearest support and resistance, and how long the market has been going one way.

A pivot is a bar whose high (low) is the extreme of the 5 bars on either side; it is known only 5 bars later, and not
used before. Resistance is the nearest pivot high at or above the close, support the nearest pivot low at or below it,
among the bars 5 to 200 ago. Of equal extremes the first is the pivot.
"""

from __future__ import annotations

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale
from ml.indicators.rolling import EMA_WINDOWS, direction, ema, shift, window_max

_WING, _REACH = 5, 200
_CLOSES, _CLOSES_EMA, _EMA = 20, 50, 21


def resistance_distance(bars: Bars) -> Floats:
    """(resistance - close) / close; NaN where no pivot high stands at or above the close."""
    return _nearest_above(bars.high, bars.close) / bars.close


def support_distance(bars: Bars) -> Floats:
    """(close - support) / close; NaN where no pivot low stands at or below the close."""
    return _nearest_above(-bars.low, -bars.close) / bars.close


def consecutive_closes(bars: Bars) -> Floats:
    """How many closes in a row rose (+) or fell (-), at most 20; 0 where the close did not change."""
    return _run(direction(bars.close, shift(bars.close, 1)), _CLOSES)


def consecutive_vs_ema(bars: Bars) -> Floats:
    """How many closes in a row lie above (+) or below (-) EMA 21, at most 50."""
    return _run(direction(bars.close, ema(bars.close, _EMA)), _CLOSES_EMA)


def _nearest_above(tops: Floats, level: Floats) -> Floats:
    """Distance from `level` up to the nearest confirmed pivot of `tops`; NaN where there is none."""
    around = window_max(tops, _WING)
    # At position p + 5, when the pivot at p is known: above all five before it, not below the five after it.
    candidate = shift(tops, _WING)
    is_pivot = (candidate > shift(around, _WING + 1)) & (candidate >= around)
    confirmed = np.where(is_pivot, candidate, np.nan)
    nearest = np.full(len(tops), np.inf)
    for lag in range(_REACH - _WING + 1):
        gap = shift(confirmed, lag) - level
        nearest = np.where(gap >= 0, np.minimum(gap, nearest), nearest)
    nearest[: _REACH + _WING] = np.nan  # fewer bars than the definition speaks of
    return nearest


def _run(signs: Floats, cap: int) -> Floats:
    """Signed length of the run of equal signs that ends here, at most `cap`; NaN until `cap` signs are known."""
    length = np.zeros(len(signs))
    unbroken = np.ones(len(signs), dtype=bool)
    for lag in range(cap):
        unbroken &= shift(signs, lag) == signs
        length += unbroken
    return length * signs + 0 * shift(signs, cap - 1)


def _distance(name: str, high: float | None, source: str) -> Indicator:
    kernel = resistance_distance if name == "resistance_distance" else support_distance
    return Indicator(
        f"{name}_5_200",
        Group.STRUCTURE,
        "fraction",
        0.0,
        high,
        Scale.SCALE_FREE,
        source,
        _REACH + _WING,
        0.0,
        kernel,
    )


STRUCTURE: tuple[Indicator, ...] = (
    _distance("support_distance", 1.0, "close down to the nearest pivot low (5 bars a side) of 200 bars, / close"),
    _distance("resistance_distance", None, "close up to the nearest pivot high (5 bars a side) of 200 bars, / close"),
    Indicator(
        "consecutive_closes_20",
        Group.STRUCTURE,
        "bars, signed",
        -float(_CLOSES),
        float(_CLOSES),
        Scale.SCALE_FREE,
        "closes in a row that rose (+) or fell (-), counted to 20",
        _CLOSES,
        0.0,
        consecutive_closes,
    ),
    Indicator(
        "consecutive_vs_ema_21_50",
        Group.STRUCTURE,
        "bars, signed",
        -float(_CLOSES_EMA),
        float(_CLOSES_EMA),
        Scale.SCALE_FREE,
        "closes in a row above (+) or below (-) EMA 21, counted to 50",
        EMA_WINDOWS * _EMA - 1 + _CLOSES_EMA - 1,
        0.0,
        consecutive_vs_ema,
    ),
)
