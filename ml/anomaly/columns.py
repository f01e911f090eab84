"""The symbol's own columns of a row: what the rules read, and for a model the same against the last hours, and the bars
before.

A departure from fourteen days says how rare a bar is; a departure from the last day says whether it came out of
nowhere. Most real shocks come in storms, so the two tell different bars apart.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.anomaly.kernel import NAMES, Raw, departures, raw
from ml.anomaly.usual import Recent
from ml.anomaly.windows import WINDOWS
from ml.bars import Bars, Floats, Instants, Timeframe

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
_CARRIED = np.array([NAMES.index(name) for name in CARRIED])
_LAGGED = len(COLUMNS) - len(LAGS) * len(CARRIED)
_LATELY = np.array(LATELY)
_FLOOR = 0.02
_DECIMALS = 5


def warmup(timeframe: Timeframe) -> int:
    """The bars that a row depends on."""
    return WINDOWS[timeframe].warmup + max(LAGS)


def columns(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:  # noqa: ARG001 - one row for all
    """Of the bars at positions `at` (all where None), shape (len(at), len(COLUMNS)); row i depends on the `warmup` bars
    that end there."""
    at = np.arange(len(bars)) if at is None else at
    result = np.full((len(at), len(COLUMNS)), np.nan)
    wanted = np.unique(np.concatenate([at, *(at[at >= lag] - lag for lag in LAGS)]))
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        now = raw(bars)
        departed = departures(bars, now, wanted)
        found = np.array(_of_late(bars, now, at)).T
    found = np.where(np.isfinite(found), np.clip(found, -1e3, 1e3), np.nan)
    result[:, : len(NAMES)] = departed[np.searchsorted(wanted, at)]
    result[:, len(NAMES) : _LAGGED] = np.round(found, _DECIMALS)
    for number, lag in enumerate(LAGS):
        first, later = _LAGGED + number * len(CARRIED), np.flatnonzero(at >= lag)
        result[later, first : first + len(CARRIED)] = departed[np.searchsorted(wanted, at[later] - lag)][:, _CARRIED]
    return result


def _of_late(bars: Bars, now: Raw, at: Instants) -> list[Floats]:
    """The columns of a model but for those of the bars before, of the bars at `at`."""
    size, before = np.abs(now.change), np.maximum(at - 1, 0)
    sizes, spans, volumes = Recent.of(np.stack([size, now.span, now.volume])).means(_LATELY, at)
    own, span, change, usual = size[at], now.span[at], now.change[at], sizes[-1]
    return [
        *np.log(own / sizes + _FLOOR),
        *np.log(span / spans + _FLOOR),
        *(now.volume[at] - volumes),
        np.abs(np.log(bars.close[at] / bars.open[at])) / span,
        np.where(at > 0, np.log(bars.open[at] / bars.close[before]), np.nan) / usual,
        -np.sign(now.change[before]) * np.sign(change) * np.minimum(own, size[before]) / usual,
    ]
