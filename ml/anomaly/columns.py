"""The symbol's own columns of a row: what the rules read, and for a model the same against the last hours, and the bars
before.

A departure from fourteen days says how rare a bar is; a departure from the last day says whether it came out of
nowhere. Most real shocks come in storms, so the two tell different bars apart.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.anomaly.kernel import NAMES, kernel, raw
from ml.anomaly.usual import recent_mean
from ml.anomaly.windows import WINDOWS
from ml.bars import Bars, Floats, Timeframe

#: Bars before each over which "of late" is meant.
LATELY = (6, 24, 96)
#: Columns of the rules that are carried for the bars before as well.
CARRIED = ("move", "range", "wick", "volume", "impact")
LAGS = (1, 2)
MODEL_NAMES = (
    *(f"move_{n}" for n in LATELY),  # ln |return| over its mean of the last n bars
    *(f"range_{n}" for n in LATELY),  # ln range over its mean
    *(f"volume_{n}" for n in LATELY),  # ln volume less its mean
    "body",  # |close - open| over the range, in logs
    "open_gap",  # ln open over the close before, in usual moves of the last 96 bars
    "reversal",  # how much of the last return this one takes back, in usual moves of the last 96 bars
    *(f"{name}@{lag}" for lag in LAGS for name in CARRIED),
)
COLUMNS = (*NAMES, *MODEL_NAMES)
_FLOOR = 0.02
_DECIMALS = 5


def warmup(timeframe: Timeframe) -> int:
    """The bars that a row depends on."""
    return WINDOWS[timeframe].warmup + max(LAGS)


def columns(bars: Bars, variant: Hashable) -> Floats:
    """Shape (len(bars), len(COLUMNS)); row i depends on the `warmup` bars that end at i."""
    values = kernel(bars, variant)
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        now = raw(bars)
        size = np.abs(now.change)
        usual = recent_mean(size, LATELY[-1])
        before = np.full(len(bars), np.nan)
        before[1:] = now.change[:-1]
        opened = np.full(len(bars), np.nan)
        opened[1:] = np.log(bars.open[1:] / bars.close[:-1])
        found = [
            *(np.log(size / recent_mean(size, n) + _FLOOR) for n in LATELY),
            *(np.log(now.span / recent_mean(now.span, n) + _FLOOR) for n in LATELY),
            *(now.volume - recent_mean(now.volume, n) for n in LATELY),
            np.abs(np.log(bars.close / bars.open)) / now.span,
            opened / usual,
            -np.sign(before) * np.sign(now.change) * np.minimum(size, np.abs(before)) / usual,
        ]
        found = [np.where(np.isfinite(one), np.clip(one, -1e3, 1e3), np.nan) for one in found]
    lagged = [_lagged(values[:, NAMES.index(name)], lag) for lag in LAGS for name in CARRIED]
    return np.column_stack([values, np.round(np.column_stack(found), _DECIMALS), *lagged])


def _lagged(column: Floats, lag: int) -> Floats:
    result = np.full(len(column), np.nan)
    result[lag:] = column[:-lag] if lag else column
    return result
