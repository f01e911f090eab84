"""Candle patterns through TA-Lib: 1 bullish, -1 bearish, 0 absent.

TA-Lib is imported when the first pattern is computed: that takes a tenth of a second. This is the only module that
imports it. Its running totals are of ranges and bodies,
which float64 adds without rounding while they stay small beside the price; so the value from a tail equals the value
from full history, as everywhere here. At exact ties (a body of just a tenth of the mean range) the last bit of a price
decides, and that may change with the unit of money.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.abc import MetaPathFinder
from types import ModuleType

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale


def pattern(bars: Bars, function: str, warmup: int) -> Floats:
    """TA-Lib's verdict per bar as -1, 0 or 1; NaN for the first `warmup` bars, which it cannot judge."""
    verdict: Floats = getattr(_library(), function)(*(np.ascontiguousarray(c) for c in _columns(bars)))
    signs = np.sign(verdict).astype(np.float64)
    signs[:warmup] = np.nan
    return signs


def _columns(bars: Bars) -> tuple[Floats, Floats, Floats, Floats]:
    return bars.open, bars.high, bars.low, bars.close


@cache
def _library() -> ModuleType:
    with _hidden("pandas", "polars"):
        import talib  # see the module's docstring

    library: ModuleType = talib
    return library


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Within, packages of these names cannot be imported by this thread, as where they are not installed.

    TA-Lib imports whatever data frames there are, to take them as input. We give it arrays, and pandas would cost a
    server a third of a second and 60 MB.
    """
    finder = _Hiding(frozenset(names), threading.get_ident())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass(frozen=True, slots=True)
class _Hiding(MetaPathFinder):
    """Found first, and finds nothing: neither do those after it."""

    names: frozenset[str]
    thread: int

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002 - who calls says so
        if fullname in self.names and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"{fullname} is hidden from TA-Lib", name=fullname)


def _entry(name: str, function: str, warmup: int, low: float, high: float) -> Indicator:
    return Indicator(
        f"candle_{name}",
        Group.CANDLE,
        "verdict -1, 0, 1",
        low,
        high,
        Scale.SCALE_FREE,
        f"TA-Lib {function}; Nison, Japanese Candlestick Charting Techniques (1991)",
        warmup,
        0.0,
        partial(pattern, function=function, warmup=warmup),
    )


CANDLES: tuple[Indicator, ...] = (
    _entry("doji", "CDLDOJI", 10, 0.0, 1.0),
    _entry("hammer", "CDLHAMMER", 11, 0.0, 1.0),
    _entry("marubozu", "CDLMARUBOZU", 10, -1.0, 1.0),
    _entry("spinning_top", "CDLSPINNINGTOP", 10, -1.0, 1.0),
    _entry("engulfing", "CDLENGULFING", 2, -1.0, 1.0),
    _entry("harami", "CDLHARAMI", 11, -1.0, 1.0),
    _entry("piercing", "CDLPIERCING", 11, 0.0, 1.0),
    _entry("dark_cloud_cover", "CDLDARKCLOUDCOVER", 11, -1.0, 0.0),
    _entry("morning_star", "CDLMORNINGSTAR", 12, 0.0, 1.0),
    _entry("evening_star", "CDLEVENINGSTAR", 12, -1.0, 0.0),
    _entry("three_white_soldiers", "CDL3WHITESOLDIERS", 12, 0.0, 1.0),
    _entry("three_black_crows", "CDL3BLACKCROWS", 13, -1.0, 0.0),
)
