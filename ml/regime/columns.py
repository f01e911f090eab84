"""What a model reads: what the half of the truth's window that is known already says about the whole of it.

The truth at t is about bars t-11 .. t+12, against the 1,440 bars that end at t. So half of its squared returns, half of
its net move, and both thresholds of v are known at t, exactly; unknown are the power F (sum of squared returns) and the
net move of the coming 12 bars. Hence the first columns: how the power still missing to a threshold compares with a
forecast of F, and how far the net move is from a trend if F comes as forecast. All columns are ratios, logarithms of
ratios, or distances in standard deviations, so they mean the same on any market at any price.

The same columns are carried for the 8 bars before as well (`name@1` .. `name@8`), so that a label may hang on the
labels before it (hysteresis) and still be a function of the row.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats
from ml.capability import Question
from ml.exact import rolling_sum
from ml.regime.formula import FEWEST_REFERENCES, HALF, REFERENCE, STRETCH, TREND_FROM_Z
from ml.regime.order import rolling_ranks
from ml.regime.season import season
from ml.regime.state import NAMES as STATE_NAMES
from ml.regime.state import WARMUP, state
from ml.rows import BarFeatures

MODEL_NAMES = (
    "need_high",
    "need_calm",
    "up_margin",
    "down_margin",
    "power_12",
    "power_18",
    "range_12",
    "z_12",
    "z_18",
    "straight_12",
    "straight_168",
    "move_96",
    "move_480",
    "power_ahead",
    "calm_level",
    "wild_level",
    "hour",
    "weekday",
)
LAGS = 8
BAR_HOURS = "bar_hours"
NAMES = (
    *STATE_NAMES,
    BAR_HOURS,
    *MODEL_NAMES,
    *(f"{name}@{lag}" for lag in range(1, LAGS + 1) for name in MODEL_NAMES),
)

_LARGEST_RANGE = 0.25
"""ln(high / low) is cut here: a longer bar is a wick."""
_PARKINSON = 4.0 * np.log(2.0)
_MOST_RATIO = 1e4
_DECIMALS = 6
"""The last bits of a logarithm differ between machines and units of money; a model's answer must not."""
_MONDAY_MS = 3 * DAY_MS
_WEIGHTS = ((6, 0.25), (24, 0.40), (168, 0.25), (720, 0.10))
_DAY_WEIGHT, _WEEK_WEIGHT = 0.40, 0.25
"""Round figures near the least squares of ln F on coins of 2018-2020; a model corrects the rest."""


def columns(bars: Bars, _: Hashable) -> Floats:
    """One row per bar, shape (n, len(NAMES)); row i depends on the 1,631 bars that end at i. NaN where unknown.

    F is the forecast power of the coming 12 bars; q30, q90, q97 are quantiles of the power of 24 bars over 1,440.

    - need_high, need_calm: ln((threshold of v = .90, .30 - power of the last 12 bars) / F); low where it is passed.
    - up_margin, down_margin: (net move of 12 bars, either way, - 1.25 sqrt(their power + F)) / sqrt F: by how many
      standard deviations of the coming move z would be beyond +-1.25.
    - power_12, power_18, range_12, power_ahead: ln(power a bar / q30 a bar): of 12 and 18 bars, of 12 bars from their
      ranges (Parkinson), of F.
    - z_12, z_18: net move / sqrt power, of the last 12 and 18 bars.
    - straight_12, straight_168: |net move| / sum of |moves|, in [0, 1].
    - move_96, move_480: net move / (volatility of 1,440 bars x sqrt 96, 480).
    - calm_level, wild_level: ln(q90 / q30), ln(q97 / q90): how far apart calm and storm lie in this market.
    - hour (0 .. 23) and weekday (0 Monday .. 6) of the bar's open, UTC.
    """
    first, width = len(STATE_NAMES) + 1, len(MODEL_NAMES)
    table = np.full((len(bars), len(NAMES)), np.nan)
    table[:, : first - 1] = state(bars, None)
    table[:, first - 1] = bars.timeframe.milliseconds / HOUR_MS
    now = table[:, first : first + width]
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        for place, column in enumerate(_now(bars)):
            now[:, place] = np.round(column, _DECIMALS)
    for lag in range(1, LAGS + 1):
        table[lag:, first + lag * width : first + (lag + 1) * width] = now[:-lag]
    return table


def _now(bars: Bars) -> tuple[Floats, ...]:
    """The columns at the bars themselves, in the order of MODEL_NAMES."""
    moves = _moves(bars.close)
    squares, size = moves * moves, np.abs(moves)
    ranges = _squared_ranges(bars, squares)
    power = {m: _mean(squares, m) * m for m in (12, 18, 24, REFERENCE)}
    net = {m: _mean(moves, m) * m for m in (12, 18, 96, 480)}
    q30, q90, q97 = rolling_ranks(power[STRETCH], REFERENCE, FEWEST_REFERENCES, (0.30, 0.90, 0.97)).T
    coming = season(bars, np.where(np.isnan(size), 0.0, size), _DAY_WEIGHT, _WEEK_WEIGHT)
    ahead = _forecast(ranges, coming)
    whole = np.sqrt(power[HALF] + ahead)
    usual = np.sqrt(power[REFERENCE] / REFERENCE)
    calm_bar = q30 / STRETCH
    opened = bars.open_at.astype(np.int64)
    return (
        _log_ratio(q90 - power[12], ahead),  # need_high
        _log_ratio(q30 - power[12], ahead),  # need_calm
        (net[12] - TREND_FROM_Z * whole) / np.sqrt(ahead),  # up_margin
        (-net[12] - TREND_FROM_Z * whole) / np.sqrt(ahead),  # down_margin
        _log_ratio(power[12] / 12, calm_bar),  # power_12
        _log_ratio(power[18] / 18, calm_bar),  # power_18
        _log_ratio(_mean(ranges, 12), calm_bar),  # range_12
        net[12] / np.sqrt(_positive(power[12])),  # z_12
        net[18] / np.sqrt(_positive(power[18])),  # z_18
        np.abs(net[12]) / _positive(_mean(size, 12) * 12),  # straight_12
        np.abs(_mean(moves, 168)) / _positive(_mean(size, 168)),  # straight_168
        net[96] / (_positive(usual) * np.sqrt(96.0)),  # move_96
        net[480] / (_positive(usual) * np.sqrt(480.0)),  # move_480
        _log_ratio(ahead / HALF, calm_bar),  # power_ahead
        _log_ratio(q90, q30),  # calm_level
        _log_ratio(q97, q90),  # wild_level
        (opened // HOUR_MS % 24).astype(np.float64),  # hour
        ((opened + _MONDAY_MS) // DAY_MS % 7).astype(np.float64),  # weekday
    )


def _forecast(ranges: Floats, coming: Floats) -> Floats:
    """Power expected of the coming 12 bars: a geometric mean of past levels, times the season of the coming hours."""
    level = np.zeros(len(ranges))
    for window, weight in _WEIGHTS:
        level = level + weight * np.log(_positive(_mean(ranges, window)))
    return HALF * np.exp(level + np.clip(coming, -2.0, 2.0))


def _moves(close: Floats) -> Floats:
    """Log returns, within [-1, 1]; NaN where a price is no price."""
    price = np.where(np.isfinite(close) & (close > 0.0), close, np.nan)
    moves = np.full(len(close), np.nan)
    moves[1:] = np.clip(np.log(price[1:] / price[:-1]), -1.0, 1.0)
    return moves


def _squared_ranges(bars: Bars, squares: Floats) -> Floats:
    """Parkinson's variance of each bar; where high and low are broken its squared return."""
    span = np.minimum(np.log(bars.high / bars.low), _LARGEST_RANGE)
    return np.where(np.isfinite(span) & (span >= 0.0), span * span / _PARKINSON, squares)


def _mean(values: Floats, window: int) -> Floats:
    """Mean of the valid among the last `window` values; NaN where more than a tenth is missing."""
    valid = ~np.isnan(values)
    count = rolling_sum(valid.astype(np.float64), window)
    total = rolling_sum(np.where(valid, values, 0.0), window)
    return np.where(count >= 0.9 * window, total / count, np.nan)


def _positive(values: Floats) -> Floats:
    return np.where(values > 0.0, values, np.nan)


def _log_ratio(over: Floats, under: Floats) -> Floats:
    """ln(over / under), kept within a factor of 10,000 either way; NaN where `under` is not positive."""
    return np.log(np.clip(over / _positive(under), 1.0 / _MOST_RATIO, _MOST_RATIO))


def _no_variant(_: Question) -> Hashable:
    return None


FEATURES_FOR_MODELS = BarFeatures(NAMES, WARMUP, WARMUP, columns, _no_variant)
