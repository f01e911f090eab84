"""Price action of a bar: where it traded, how far, and what crossing the spread would have cost."""

from __future__ import annotations

import math

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale
from ml.indicators.rolling import ratio, shift, window_mean

_SPREAD_BARS = 24
_ROOT = 3 - 2 * math.sqrt(2)


def mid_price(bars: Bars) -> Floats:
    return (bars.high + bars.low) / 2


def typical_price(bars: Bars) -> Floats:
    return (bars.high + bars.low + bars.close) / 3


def range_fraction(bars: Bars) -> Floats:
    return (bars.high - bars.low) / bars.close


def body_fraction(bars: Bars) -> Floats:
    return (bars.close - bars.open) / bars.close


def upper_shadow_fraction(bars: Bars) -> Floats:
    return (bars.high - np.maximum(bars.open, bars.close)) / bars.close


def lower_shadow_fraction(bars: Bars) -> Floats:
    return (np.minimum(bars.open, bars.close) - bars.low) / bars.close


def close_location(bars: Bars) -> Floats:
    """Where in its range the bar closed; NaN for a bar without range."""
    return ratio(bars.close - bars.low, bars.high - bars.low)


def gap_fraction(bars: Bars) -> Floats:
    return bars.open / shift(bars.close, 1) - 1


def log_return(bars: Bars, over: int) -> Floats:
    return np.log(bars.close / shift(bars.close, over))


def spread_proxy(bars: Bars) -> Floats:
    """Bid-ask spread estimated from highs and lows, for bars carry no quotes. Round trip, fraction of the price.

    Corwin and Schultz (2012): highs are buys and lows are sells, so two bars' ranges hold two spreads and two bars'
    variance, the range over both holds one spread and the same variance. Pairs that come out negative count as zero,
    as in the paper; without its adjustment for overnight gaps. Mean of the last 24 pairs.
    """
    log_range = np.square(np.log(bars.high / bars.low))
    both = log_range + shift(log_range, 1)
    across = np.square(np.log(np.maximum(bars.high, shift(bars.high, 1)) / np.minimum(bars.low, shift(bars.low, 1))))
    alpha = (np.sqrt(2 * both) - np.sqrt(both)) / _ROOT - np.sqrt(across / _ROOT)
    return window_mean(np.maximum(2 * np.tanh(alpha / 2), 0.0), _SPREAD_BARS)


def _log_return(over: int) -> Indicator:
    return Indicator(
        f"log_return_{over}",
        Group.PRICE_ACTION,
        "log fraction",
        None,
        None,
        Scale.SCALE_FREE,
        f"ln of the close over the close {over} bars ago",
        over,
        0.0,
        lambda bars: log_return(bars, over),
    )


_GROUP, _FREE, _PRICE = Group.PRICE_ACTION, Scale.SCALE_FREE, Scale.PRICE
PRICE_ACTION: tuple[Indicator, ...] = (
    Indicator("mid_price", _GROUP, "price", 0.0, None, _PRICE, "TA-Lib MEDPRICE: (high + low) / 2", 0, 0.0, mid_price),
    Indicator("typical_price", _GROUP, "price", 0.0, None, _PRICE, "TA-Lib TYPPRICE", 0, 0.0, typical_price),
    Indicator(
        "spread_proxy_24",
        _GROUP,
        "fraction",
        0.0,
        2.0,
        _FREE,
        "Corwin & Schultz, J. Finance 67 (2012) 719: an estimate from highs and lows, not a quoted spread",
        _SPREAD_BARS,
        0.0,
        spread_proxy,
    ),
    Indicator("range_fraction", _GROUP, "fraction", 0.0, None, _FREE, "(high - low) / close", 0, 0.0, range_fraction),
    Indicator("body_fraction", _GROUP, "fraction", None, 1.0, _FREE, "(close - open) / close", 0, 0.0, body_fraction),
    Indicator(
        "upper_shadow_fraction",
        _GROUP,
        "fraction",
        0.0,
        None,
        _FREE,
        "(high - larger of open and close) / close",
        0,
        0.0,
        upper_shadow_fraction,
    ),
    Indicator(
        "lower_shadow_fraction",
        _GROUP,
        "fraction",
        0.0,
        1.0,
        _FREE,
        "(smaller of open and close - low) / close",
        0,
        0.0,
        lower_shadow_fraction,
    ),
    Indicator(
        "close_location", _GROUP, "fraction", 0.0, 1.0, _FREE, "(close - low) / (high - low)", 0, 0.0, close_location
    ),
    Indicator("gap_fraction", _GROUP, "fraction", -1.0, None, _FREE, "open / previous close - 1", 1, 0.0, gap_fraction),
    *(_log_return(over) for over in (1, 5, 20)),
)
