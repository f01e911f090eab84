"""Ichimoku lines, as they are known when the bar closes.

A chart draws the two senkou lines 26 bars into the future, and the chikou line 26 bars into the past. Here nothing is
moved: `ichimoku_senkou_a` at a bar is what that bar's close adds to the chart, 26 bars ahead of it. Only
`ichimoku_price_vs_cloud` looks at the cloud that a chart shows at the bar itself, made of bars at least 26 old. The
chikou line is the close, drawn in the past, and says nothing that `log_return_*` does not.
"""

from __future__ import annotations

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.rolling import shift, window_max, window_min

_TENKAN, _KIJUN, _SENKOU, _AHEAD = 9, 26, 52, 26
_SOURCE = "Hosoda (1969); 9, 26, 52"


def midpoint(bars: Bars, window: int) -> Floats:
    """Middle between the highest high and the lowest low, in price."""
    return (window_max(bars.high, window) + window_min(bars.low, window)) / 2


def senkou_a(bars: Bars) -> Floats:
    return (midpoint(bars, _TENKAN) + midpoint(bars, _KIJUN)) / 2


def tenkan_vs_kijun(bars: Bars) -> Floats:
    return (midpoint(bars, _TENKAN) - midpoint(bars, _KIJUN)) / bars.close


def price_vs_cloud(bars: Bars) -> Floats:
    """How far the close is above (+) or below (-) the cloud shown at this bar, as a fraction of its edge; 0 inside."""
    one, other = shift(senkou_a(bars), _AHEAD), shift(midpoint(bars, _SENKOU), _AHEAD)
    top, bottom = np.maximum(one, other), np.minimum(one, other)
    return np.maximum(bars.close / top - 1, 0.0) + np.minimum(bars.close / bottom - 1, 0.0)


def _line(name: str, note: str, warmup: int, kernel: Kernel) -> Indicator:
    source = f"{_SOURCE}: {note}"
    return Indicator(f"ichimoku_{name}", Group.TREND, "price", 0.0, None, Scale.PRICE, source, warmup, 0.0, kernel)


def _fraction(name: str, low: float | None, note: str, warmup: int, kernel: Kernel) -> Indicator:
    source = f"{_SOURCE}: {note}"
    return Indicator(
        f"ichimoku_{name}", Group.TREND, "fraction", low, None, Scale.SCALE_FREE, source, warmup, 0.0, kernel
    )


ICHIMOKU: tuple[Indicator, ...] = (
    _line("tenkan_9", "middle of 9 bars", _TENKAN - 1, lambda bars: midpoint(bars, _TENKAN)),
    _line("kijun_26", "middle of 26 bars", _KIJUN - 1, lambda bars: midpoint(bars, _KIJUN)),
    _line("senkou_a", "as known at the close, not moved ahead", _KIJUN - 1, senkou_a),
    _line("senkou_b", "as known at the close, not moved ahead", _SENKOU - 1, lambda bars: midpoint(bars, _SENKOU)),
    _fraction("tenkan_vs_kijun", None, "(tenkan - kijun) / close", _KIJUN - 1, tenkan_vs_kijun),
    _fraction("price_vs_cloud", -1.0, "close against the cloud made 26 bars ago", _SENKOU - 1 + _AHEAD, price_vs_cloud),
)
