"""The five regimes and the formula that tells them apart: once over trailing bars (rules), once centred (truth).

Both read one stretch of 24 bars. With r the log returns of the stretch: sigma^2 = mean r^2; z = net log move /
(sigma sqrt 24), which is +-1 for a random walk and +-4.9 for a straight line; v = percentile of sigma among the
trailing-24-bar sigmas of the last 1,440 bars. Source: docs/regime.md, "What came true".
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants
from ml.exact import rolling_sum
from ml.price import prices

Codes = NDArray[np.int64]


class Label(StrEnum):
    """A regime. The order is that of the codes 0 .. 4 used in this room."""

    TREND_UP = "trend_up"
    TREND_DOWN = "trend_down"
    RANGE_BOUND = "range_bound"
    HIGH_VOLATILITY = "high_volatility"
    CONSOLIDATION = "consolidation"


LABELS = tuple(Label)
TREND_UP, TREND_DOWN, RANGE_BOUND, HIGH_VOLATILITY, CONSOLIDATION = range(len(LABELS))
NO_LABEL = -1

STRETCH = 24
"""Bars whose returns are read."""
HALF = STRETCH // 2
REFERENCE = 1_440
"""Bars whose volatilities are the scale of v: 60 days of hours."""
FEWEST_REFERENCES = 1_296
"""Fewer valid volatilities among the 1,440 (bad prices, start of history) give no percentile."""
HISTORY = REFERENCE + STRETCH
"""Bars that one label depends on."""
LARGEST_Z = STRETCH**0.5

TREND_FROM_Z = 1.25
HIGH_FROM_V = 0.90
QUIET_TO_V = 0.30

MOST_OPEN_SHARE = 1.2
"""A market that takes more than 1.2 x the time of its bars to print them has closing hours (FX takes 1.4 x)."""
_CHUNK = 256


def stretches(close: Floats) -> tuple[Floats, Floats]:
    """Sum of squared log returns of the 24 bars that end at each bar, and the z of their net move; shapes (n,).

    NaN where a price is missing, not positive or not finite, and before bar 24; z also where nothing moved. Returns
    are cut at +-1 (a factor of 2.7 in one bar). Neither depends on the unit of the price.
    """
    power = rolling_sum(_log_ratio(close, 1) ** 2, STRETCH)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(power > 0.0, _log_ratio(close, STRETCH) / np.sqrt(power), np.nan)
    # Six decimals: the last bits of a logarithm differ between machines, a label must not.
    return power, np.round(np.clip(z, -LARGEST_Z, LARGEST_Z), 6)


def percentile(values: Floats, reference: Floats, at: Instants | None = None) -> Floats:
    """Share of the 1,440 `reference` entries ending at each position that are <= the value there, at positions `at`
    (all where None); (len(at),), in [0, 1].

    Missing references are left out; NaN where fewer than 1,296 are valid or the value is missing. A count of whole
    numbers, so it is the same wherever the array begins.
    """
    wanted = np.arange(len(values)) if at is None else at
    share = np.full(len(wanted), np.nan)
    full = np.flatnonzero(wanted >= REFERENCE - 1)
    if not len(full):
        return share
    windows, wanted = sliding_window_view(reference, REFERENCE), wanted[full]
    at_end = values[wanted]
    below = np.concatenate(
        [
            (windows[part - (REFERENCE - 1)] <= values[part][:, None]).sum(axis=1)
            for part in np.split(wanted, range(_CHUNK, len(wanted), _CHUNK))
        ]
    )
    valid = rolling_sum((~np.isnan(reference)).astype(np.float64), REFERENCE, wanted)
    enough = (valid >= FEWEST_REFERENCES) & ~np.isnan(at_end)
    share[full[enough]] = below[enough] / valid[enough]
    return share


def codes(z: Floats, v: Floats) -> Codes:
    """Regime code of each (z, v); NO_LABEL where either is NaN. Volatility is asked first, then trend, then quiet."""
    known = ~(np.isnan(z) | np.isnan(v))
    calm = np.where(v <= QUIET_TO_V, CONSOLIDATION, RANGE_BOUND)
    trend = np.where(z >= TREND_FROM_Z, TREND_UP, np.where(z <= -TREND_FROM_Z, TREND_DOWN, calm))
    return np.where(known, np.where(v >= HIGH_FROM_V, HIGH_VOLATILITY, trend), NO_LABEL).astype(np.int64)


def closing_hours(bars: Bars, at: Instants | None = None) -> NDArray[np.bool_]:
    """Whether the market is closed for part of the week, told from the last 1,464 bars alone, at positions `at` (all
    where None); (len(at),).

    False before bar 1,463: no label stands there either.
    """
    steps = HISTORY - 1
    here, took = _took(bars, steps, at)
    return (here >= steps) & (took > MOST_OPEN_SHARE * steps * bars.timeframe.milliseconds)


def missing_bars(bars: Bars, at: Instants | None = None) -> Codes:
    """Bars that are absent within the last 24, at each bar of `at` (all where None), by the clock; 0 before bar 24.
    Shape (len(at),)."""
    here, took = _took(bars, STRETCH, at)
    return np.where(here >= STRETCH, np.maximum(took // bars.timeframe.milliseconds - STRETCH, 0), 0)


def _took(bars: Bars, steps: int, at: Instants | None) -> tuple[Instants, Instants]:
    """Positions, and the time (ms) from the bar `steps` before each to it."""
    here = np.arange(len(bars)) if at is None else at
    return here, bars.open_at[here] - bars.open_at[np.maximum(here - steps, 0)]


def _log_ratio(close: Floats, step: int) -> Floats:
    """ln(close[i] / close[i - step]); NaN where either price is no price."""
    price = prices(close)
    moved = np.full(len(close), np.nan)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        moved[step:] = np.log(price[step:] / price[:-step])
    moved[~np.isfinite(moved)] = np.nan
    return moved
