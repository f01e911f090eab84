"""All indicators, in the order of a matrix's columns."""

from __future__ import annotations

from ml.indicators.bands import BANDS
from ml.indicators.calendar import CALENDAR
from ml.indicators.candles import CANDLES
from ml.indicators.directional import DIRECTIONAL
from ml.indicators.higher_timeframe import HIGHER_TIMEFRAME
from ml.indicators.ichimoku import ICHIMOKU
from ml.indicators.indicator import Indicator, Scale
from ml.indicators.momentum import MOMENTUM
from ml.indicators.price_action import PRICE_ACTION
from ml.indicators.structure import STRUCTURE
from ml.indicators.trend import TREND
from ml.indicators.volatility import VOLATILITY
from ml.indicators.volume import VOLUME

INDICATORS: tuple[Indicator, ...] = (
    *PRICE_ACTION,
    *TREND,
    *DIRECTIONAL,
    *ICHIMOKU,
    *MOMENTUM,
    *VOLATILITY,
    *BANDS,
    *VOLUME,
    *CANDLES,
    *STRUCTURE,
    *HIGHER_TIMEFRAME,
    *CALENDAR,
)

#: What a model of several symbols may read: nothing in it tells one price level from another.
SCALE_FREE: tuple[Indicator, ...] = tuple(one for one in INDICATORS if one.scale is Scale.SCALE_FREE)


def indicator(name: str) -> Indicator:
    """The indicator of that name. KeyError names one that the catalogue does not have."""
    for one in INDICATORS:
        if one.name == name:
            return one
    raise KeyError(name)
