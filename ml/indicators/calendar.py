"""Where the bar's OPEN stands in the UTC day and week, as points on a circle: hour 23 is next to hour 0.

The open, not the close, so that a daily bar carries the weekday of its own trading date.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ml.bars import DAY_MS, WEEK_MS, Bars, Floats
from ml.indicators.indicator import Group, Indicator, Scale

#: 1970-01-01 was a Thursday; the week begins on Monday 00:00.
_MONDAY_MS = 3 * DAY_MS


def on_circle(bars: Bars, period_ms: int, offset_ms: int, turn: Callable[[Floats], Floats]) -> Floats:
    """Sine or cosine (`turn`) of the open's place in a period."""
    return turn(2 * np.pi * ((bars.open_at + offset_ms) % period_ms) / period_ms)


def _weekday(bars: Bars, turn: Callable[[Floats], Floats]) -> Floats:
    return turn(2 * np.pi * ((bars.open_at + _MONDAY_MS) % WEEK_MS // DAY_MS) / 7)


def _entry(name: str, source: str, kernel: Callable[[Bars], Floats]) -> Indicator:
    return Indicator(name, Group.CALENDAR, "unit circle", -1.0, 1.0, Scale.SCALE_FREE, source, 0, 0.0, kernel)


CALENDAR: tuple[Indicator, ...] = (
    _entry(
        "hour_sin", "sin(2 pi UTC time of day / 24 h)", partial(on_circle, period_ms=DAY_MS, offset_ms=0, turn=np.sin)
    ),
    _entry(
        "hour_cos", "cos(2 pi UTC time of day / 24 h)", partial(on_circle, period_ms=DAY_MS, offset_ms=0, turn=np.cos)
    ),
    _entry("dow_sin", "sin(2 pi UTC weekday / 7), Monday 0", partial(_weekday, turn=np.sin)),
    _entry("dow_cos", "cos(2 pi UTC weekday / 7), Monday 0", partial(_weekday, turn=np.cos)),
)
