"""Volume: how much was traded, and on which side the price went with it.

On-balance volume over all history depends on where the history begins and means nothing; here it is the last 24 bars'.
Ratio and z compare a bar with the 20 bars before it, so that an outlier does not hide in its own yardstick.
"""

from __future__ import annotations

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.price_action import typical_price
from ml.indicators.rolling import STILL, direction, ratio, shift, window_mean, window_sd, window_sum

_MEAN, _DAY, _FLOW = 20, 24, 14


def volume_ratio(bars: Bars) -> Floats:
    """Volume over the mean of the 20 bars before; NaN where nothing was traded in them."""
    return ratio(bars.volume, shift(window_mean(bars.volume, _MEAN), 1))


def volume_z(bars: Bars) -> Floats:
    """Distance from the mean of the 20 bars before, in their sample deviations; NaN where they were all alike."""
    mean, sd = window_mean(bars.volume, _MEAN), window_sd(bars.volume, _MEAN, ddof=1)
    return ratio(bars.volume - shift(mean, 1), shift(sd, 1), STILL * shift(mean, 1))


def volume_trend(bars: Bars) -> Floats:
    """Mean of 5 bars over the mean of 20, less 1."""
    share = ratio(window_sum(bars.volume, 5), window_sum(bars.volume, _MEAN))
    return 4 * np.minimum(share, 1.0) - 1  # the two sums round differently


def on_balance(bars: Bars) -> Floats:
    """Volume of the bars that closed higher less that of those that closed lower, over 24 bars."""
    return window_sum(direction(bars.close, shift(bars.close, 1)) * bars.volume, _DAY)


def vwap(bars: Bars) -> Floats:
    """Mean typical price of 24 bars, weighted by volume; NaN where nothing was traded."""
    return ratio(window_sum(typical_price(bars) * bars.volume, _DAY), window_sum(bars.volume, _DAY))


def money_flow_index(bars: Bars) -> Floats:
    """Share of the money traded in rising bars in that of all moving bars, points 0..100; NaN where none moved."""
    price = typical_price(bars)
    change = direction(price, shift(price, 1))
    money = price * bars.volume
    rising = window_sum(np.where(change > 0, money, 0 * change), _FLOW)
    falling = window_sum(np.where(change < 0, money, 0 * change), _FLOW)
    return 100 * ratio(rising, rising + falling)


def _free(
    name: str, unit: str, low: float | None, high: float | None, source: str, warmup: int, kernel: Kernel
) -> Indicator:
    return Indicator(name, Group.VOLUME, unit, low, high, Scale.SCALE_FREE, source, warmup, 0.0, kernel)


def _scaled(name: str, unit: str, low: float | None, scale: Scale, source: str, warmup: int, of: Kernel) -> Indicator:
    return Indicator(name, Group.VOLUME, unit, low, None, scale, source, warmup, 0.0, of)


_GRANVILLE = "Granville (1963); TA-Lib OBV, over 24 bars only"
VOLUME: tuple[Indicator, ...] = (
    _scaled(
        "volume_sma_20",
        "base units",
        0.0,
        Scale.VOLUME,
        "TA-Lib SMA of volume",
        _MEAN - 1,
        lambda bars: window_mean(bars.volume, _MEAN),
    ),
    _free("volume_ratio_20", "ratio", 0.0, None, "volume / mean of the 20 bars before", _MEAN, volume_ratio),
    _free(
        "volume_z_20",
        "standard deviations",
        None,
        None,
        "(volume - mean of the 20 bars before) / their deviation",
        _MEAN,
        volume_z,
    ),
    _free("volume_trend_5_20", "fraction", -1.0, 3.0, "mean of 5 / mean of 20 - 1", _MEAN - 1, volume_trend),
    _scaled("obv_24", "base units", None, Scale.VOLUME, _GRANVILLE, _DAY, on_balance),
    _free(
        "obv_fraction_24",
        "fraction of volume",
        -1.0,
        1.0,
        f"{_GRANVILLE}, over the volume of the 24",
        _DAY,
        lambda bars: ratio(on_balance(bars), window_sum(bars.volume, _DAY)),
    ),
    _scaled("vwap_24", "price", 0.0, Scale.PRICE, "sum of typical price x volume / sum of volume", _DAY - 1, vwap),
    _free("price_vs_vwap_24", "fraction", -1.0, None, "close / vwap_24 - 1", _DAY - 1, lambda b: b.close / vwap(b) - 1),
    _free("mfi_14", "points 0..100", 0.0, 100.0, "Quong & Soudack (1989); TA-Lib MFI", _FLOW, money_flow_index),
)
