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
from dataclasses import dataclass

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Instants
from ml.exact import Sums
from ml.price import prices
from ml.regime.formula import FEWEST_REFERENCES, HALF, REFERENCE, STRETCH, TREND_FROM_Z
from ml.regime.order import rolling_ranks
from ml.regime.season import season
from ml.regime.state import NAMES as STATE_NAMES
from ml.regime.state import WARMUP, before, state
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


def columns(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:  # noqa: ARG001 - all questions share a row
    """One row per bar at positions `at` (ascending; all where None), shape (len(at), len(NAMES)); row i depends on the
    1,631 bars that end there. NaN where unknown.

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
    wanted = np.arange(len(bars)) if at is None else at
    needed = wanted if at is None else before(wanted, LAGS)
    table = np.full((len(wanted), len(NAMES)), np.nan)
    table[:, : first - 1] = state(bars, None, at)
    table[:, first - 1] = bars.timeframe.milliseconds / HOUR_MS
    now = np.empty((len(needed), width))
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        for place, column in enumerate(_now(bars, needed)):
            now[:, place] = np.round(column, _DECIMALS)
    for lag in range(LAGS + 1):
        there = np.flatnonzero(wanted >= lag)
        found = now[np.searchsorted(needed, wanted[there] - lag)]
        table[there, first + lag * width : first + (lag + 1) * width] = found
    return table


def _now(bars: Bars, at: Instants) -> tuple[Floats, ...]:
    """The columns at the bars at positions `at` themselves, in the order of MODEL_NAMES."""
    moves = _moves(bars.close)
    squares, size = moves * moves, np.abs(moves)
    ranges = _squared_ranges(bars, squares)
    of_moves, of_squares, of_size, of_ranges = (Means.of(one) for one in (moves, squares, size, ranges))
    power = {m: of_squares.mean(m, at) * m for m in (12, 18, REFERENCE)}
    net = {m: of_moves.mean(m, at) * m for m in (12, 18, 96, 480)}
    of_a_day = of_squares.mean(STRETCH) * STRETCH
    q30, q90, q97 = rolling_ranks(of_a_day, REFERENCE, FEWEST_REFERENCES, (0.30, 0.90, 0.97), at).T
    coming = season(bars, np.where(np.isnan(size), 0.0, size), _DAY_WEIGHT, _WEEK_WEIGHT, at)
    ahead = _forecast(of_ranges, coming, at)
    whole = np.sqrt(power[HALF] + ahead)
    usual = np.sqrt(power[REFERENCE] / REFERENCE)
    calm_bar = q30 / STRETCH
    opened = bars.open_at[at].astype(np.int64)
    return (
        _log_ratio(q90 - power[12], ahead),  # need_high
        _log_ratio(q30 - power[12], ahead),  # need_calm
        (net[12] - TREND_FROM_Z * whole) / np.sqrt(ahead),  # up_margin
        (-net[12] - TREND_FROM_Z * whole) / np.sqrt(ahead),  # down_margin
        _log_ratio(power[12] / 12, calm_bar),  # power_12
        _log_ratio(power[18] / 18, calm_bar),  # power_18
        _log_ratio(of_ranges.mean(12, at), calm_bar),  # range_12
        net[12] / np.sqrt(_positive(power[12])),  # z_12
        net[18] / np.sqrt(_positive(power[18])),  # z_18
        np.abs(net[12]) / _positive(of_size.mean(12, at) * 12),  # straight_12
        np.abs(of_moves.mean(168, at)) / _positive(of_size.mean(168, at)),  # straight_168
        net[96] / (_positive(usual) * np.sqrt(96.0)),  # move_96
        net[480] / (_positive(usual) * np.sqrt(480.0)),  # move_480
        _log_ratio(ahead / HALF, calm_bar),  # power_ahead
        _log_ratio(q90, q30),  # calm_level
        _log_ratio(q97, q90),  # wild_level
        (opened // HOUR_MS % 24).astype(np.float64),  # hour
        ((opened + _MONDAY_MS) // DAY_MS % 7).astype(np.float64),  # weekday
    )


def _forecast(ranges: Means, coming: Floats, at: Instants) -> Floats:
    """Power expected of the coming 12 bars: a geometric mean of past levels, times the season of the coming hours."""
    level = np.zeros(len(at))
    for window, weight in _WEIGHTS:
        level = level + weight * np.log(_positive(ranges.mean(window, at)))
    return HALF * np.exp(level + np.clip(coming, -2.0, 2.0))


def _moves(close: Floats) -> Floats:
    """Log returns, within [-1, 1]; NaN where a price is no price."""
    price = prices(close)
    moves = np.full(len(close), np.nan)
    moves[1:] = np.clip(np.log(price[1:] / price[:-1]), -1.0, 1.0)
    return moves


def _squared_ranges(bars: Bars, squares: Floats) -> Floats:
    """Parkinson's variance of each bar; where high and low are broken its squared return."""
    span = np.minimum(np.log(bars.high / bars.low), _LARGEST_RANGE)
    return np.where(np.isfinite(span) & (span >= 0.0), span * span / _PARKINSON, squares)


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """Means of the valid among the last values of one series."""

    total: Sums
    count: Sums

    @staticmethod
    def of(values: Floats) -> Means:
        valid = ~np.isnan(values)
        return Means(Sums.of(np.where(valid, values, 0.0)), Sums.of(valid.astype(np.float64)))

    def mean(self, window: int, at: Instants | None = None) -> Floats:
        """At positions `at`, at all where None; NaN where more than a tenth of the window is missing."""
        count = self.count.sum(window, at)
        return np.where(count >= 0.9 * window, self.total.sum(window, at) / count, np.nan)


def _positive(values: Floats) -> Floats:
    return np.where(values > 0.0, values, np.nan)


def _log_ratio(over: Floats, under: Floats) -> Floats:
    """ln(over / under), kept within a factor of 10,000 either way; NaN where `under` is not positive."""
    return np.log(np.clip(over / _positive(under), 1.0 / _MOST_RATIO, _MOST_RATIO))


FEATURES_FOR_MODELS = BarFeatures(NAMES, WARMUP, WARMUP, columns)
