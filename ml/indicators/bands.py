"""Bands around the price: Bollinger, Keltner and Donchian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ml.bars import Bars, Floats
from ml.indicators.indicator import Group, Indicator, Kernel, Scale
from ml.indicators.rolling import (
    EMA_WINDOWS,
    STILL,
    WILDER_WINDOWS,
    ema,
    ratio,
    window_max,
    window_mean,
    window_min,
    window_sd,
)
from ml.indicators.volatility import atr

_SPAN, _DEVIATIONS = 20, 2.0
_KELTNER_ATR, _KELTNER_MULTIPLE = 10, 2.0
_DONCHIAN = 20
_RECURSIVE_TOLERANCE = 1e-8
#: A position divides by the width of the band; holds for widths of a thousandth of the price and more.
_NARROW = 1_000
_Range: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Ranges:
    """What the lower edge, the width and the position can be."""

    lower: _Range
    width: _Range
    position: _Range


#: The last of 20 values lies at most sqrt(19) population deviations from their mean: -0.59 .. 1.59 of the band.
_BOLLINGER_RANGES = _Ranges((None, None), (0.0, None), (-0.6, 1.6))
_KELTNER_RANGES = _Ranges((None, None), (0.0, None), (None, None))
_DONCHIAN_RANGES = _Ranges((0.0, None), (0.0, 2.0), (0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Lower edge, middle and upper edge in price, each of shape (n,)."""

    lower: Floats
    middle: Floats
    upper: Floats

    @property
    def width(self) -> Floats:
        """Upper less lower, as a fraction of the middle."""
        return (self.upper - self.lower) / self.middle

    def position(self, close: Floats) -> Floats:
        """Where the close stands: 0 at the lower edge, 1 at the upper; NaN where the band has (next to) no width."""
        return ratio(close - self.lower, self.upper - self.lower, STILL * self.middle)


def bollinger(bars: Bars) -> Band:
    """Mean of 20 closes, and two of their (population) standard deviations to each side."""
    middle = window_mean(bars.close, _SPAN)
    reach = _DEVIATIONS * window_sd(bars.close, _SPAN, ddof=0)
    return Band(middle - reach, middle, middle + reach)


def keltner(bars: Bars) -> Band:
    """EMA 20 of closes, and two average true ranges (10) to each side."""
    reach = _KELTNER_MULTIPLE * atr(bars, _KELTNER_ATR)
    middle = ema(bars.close, _SPAN) + 0 * reach  # undefined together: the true range begins one bar later
    return Band(middle - reach, middle, middle + reach)


def donchian(bars: Bars) -> Band:
    """Lowest low and highest high of 20 bars, the current one included."""
    lower, upper = window_min(bars.low, _DONCHIAN), window_max(bars.high, _DONCHIAN)
    return Band(lower, (lower + upper) / 2, upper)


def _members(
    prefix: str,
    parameters: str,
    of: Callable[[Bars], Band],
    source: str,
    warmup: int,
    tolerance: float,
    ranges: _Ranges,
) -> tuple[Indicator, ...]:
    def entry(line: str, unit: str, scale: Scale, limits: _Range, kernel: Kernel) -> Indicator:
        off = tolerance * (_NARROW if line == "position" else 1)
        name = f"{prefix}_{line}_{parameters}"
        return Indicator(name, Group.VOLATILITY, unit, *limits, scale, source, warmup, off, kernel)

    price, free = Scale.PRICE, Scale.SCALE_FREE
    return (
        entry("upper", "price", price, (0.0, None), lambda bars: of(bars).upper),
        entry("middle", "price", price, (0.0, None), lambda bars: of(bars).middle),
        entry("lower", "price", price, ranges.lower, lambda bars: of(bars).lower),
        entry("width", "fraction of middle", free, ranges.width, lambda bars: of(bars).width),
        entry("position", "0 lower, 1 upper edge", free, ranges.position, lambda bars: of(bars).position(bars.close)),
    )


_BOLLINGER = "Bollinger on Bollinger Bands (2001); TA-Lib BBANDS"
_KELTNER = "Raschke's form of Keltner (1960): EMA 20, 2 ATR 10"
_TURTLE = "Donchian's channel of 20 bars, current bar included; TA-Lib MAX, MIN"
_KELTNER_WARMUP = max(EMA_WINDOWS * _SPAN - 1, WILDER_WINDOWS * _KELTNER_ATR)

BANDS: tuple[Indicator, ...] = (
    *_members("bb", "20_2", bollinger, _BOLLINGER, _SPAN - 1, 0.0, _BOLLINGER_RANGES),
    *_members("keltner", "20_10_2", keltner, _KELTNER, _KELTNER_WARMUP, _RECURSIVE_TOLERANCE, _KELTNER_RANGES),
    *_members("donchian", "20", donchian, _TURTLE, _DONCHIAN - 1, 0.0, _DONCHIAN_RANGES),
)
