"""What a model reads of one symbol's own hours, beyond what the rules read.

Vectorised, causal, and the same bits whatever the stretch begins with. Volumes are against the symbol's own level of
720 hours, moves against its own volatility of 720 hours: another unit of money, or a quiet year, changes nothing.
Rounded: the last bits of a logarithm differ between machines.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from ml.bars import HOUR_MS, Bars, Floats, Instants
from ml.exact import picked
from ml.lags import lagged, rolling_maxima
from ml.liquidity.calendar import share_of_holidays
from ml.liquidity.kernel import AT_LEAST, LEVEL, SMOOTHING, SMOOTHING_WINDOW, level_of, quote_volume
from ml.liquidity.season import coming, profile
from ml.liquidity.windows import Sums, rolling_mean, rolling_means, smoothed
from ml.price import plain_prices
from ml.week import hour_of_week

VOLUMES = (1, 3, 6, 24, 72, 168)
RANGES = (1, 3, 6, 24, 168)
MOVES = (1, 6, 24, 168)
FALLS = (6, 24, 168, 720)
PEAKS = (24, 168, 720)
TROUGHS = (6, 24, 48, 168, 336, 720)
UNEVEN = (24, 168)
AHEAD = (6, 12, 24)
DAYS, WEEKS = 7, 4
#: How well simple forecasts of these horizons did: the symbol's own noise. 168 + 24 + 336 hours at most.
MISSED = (6, 24)
_MISSED_OVER = 336

#: One row. Windows are in hours; logs are natural.
OWN = (
    "hour",  # hour of the day that comes, UTC, 0 .. 23
    "weekday",  # and its day of the week, 0 (Monday) .. 6
    *(f"volume_{w}" for w in VOLUMES),  # ln mean volume of the window against the level
    "steady_6",  # the same over 6 h, hour of the week removed
    "quick",  # smoothed volume, hour of the week removed, half-life 2 h
    *(f"uneven_{w}" for w in UNEVEN),  # ln root mean square of volume over its mean: 0 is even
    "burst_24",  # ln share of the largest hour in the volume of 24 h
    *(f"yesterday_{h}" for h in AHEAD),  # the coming hours, as they were a day ago
    *(f"week_ago_{h}" for h in AHEAD),  # and a week ago
    *(f"days_{h}" for h in AHEAD),  # their mean over 7 days
    *(f"weeks_{h}" for h in AHEAD),  # and over the same hours of 4 weeks
    *(f"missed_{h}" for h in MISSED),  # ln mean size, in logs, by which season x smoothed level missed in 14 days
    *(f"bias_{h}" for h in MISSED),  # and its mean with its sign
    *(f"range_{w}" for w in RANGES),  # ln mean root of the ranges against that of the level window
    *(f"move_{w}" for w in MOVES),  # return over the window in its usual standard deviations
    *(f"size_{w}" for w in MOVES),  # and its size
    *(f"falls_{w}" for w in FALLS),  # ln share of falls in the squared returns; -.7 is half
    *(f"below_peak_{w}" for w in PEAKS),  # ln close over the highest close, in standard deviations; 0 at the top
    *(f"above_trough_{w}" for w in TROUGHS),  # ln close over the lowest close
    "holiday_6",  # share of the coming 6 h that falls on a holiday
    "holiday_before",  # share of the last 24 h
)
#: The oldest input: the close before 720 hours, and the first of 720 windows of 6 h.
WARMUP = AT_LEAST
_DECIMALS = 4
_FLOOR = 0.01
_FLOOR_OF_RANGE = 0.05
_LARGEST_RANGE = 0.05
_LARGEST_MOVE = 0.3
_PARKINSON = 1.0 / (4.0 * np.log(2.0))


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """What each bar did, shape (n,) each: quote volume, the same with the hour of the week removed, log price, log
    return (at most .3), and the root of the range's variance. At the bars that rows are wanted of, `at` (all where
    None): the level of quote volume, the usual variance of the returns over 720 h and its root. NaN where a number is
    missing or cannot be."""

    at: Instants | None
    traded: Sums
    steady: Floats
    price: Floats
    change: Floats
    root: Floats
    level: Floats
    usual: Floats
    deviation: Floats

    @staticmethod
    def of(bars: Bars, at: Instants | None) -> Hours:
        traded = quote_volume(bars)
        high, low, close = (plain_prices(one) for one in (bars.high, bars.low, bars.close))
        price = np.log(close)
        change = np.clip(price - lagged(price, 1), -_LARGEST_MOVE, _LARGEST_MOVE)
        usual = np.maximum(rolling_mean(np.square(change), LEVEL, at), 1e-12)
        root = np.sqrt(np.minimum(np.square(np.log(high / low)) * _PARKINSON, _LARGEST_RANGE))
        steady = traded / profile()[hour_of_week(bars.open_at)]
        level = level_of(traded, at)
        return Hours(at, Sums.of(traded, LEVEL), steady, price, change, root, level, usual, np.sqrt(usual))


def columns(bars: Bars, variant: Hashable = None, at: Instants | None = None) -> Floats:  # noqa: ARG001 - one row for all
    """One row per hourly bar at positions `at` (all where None), shape (len(at), len(OWN)); row i depends on the
    `WARMUP` bars that end there alone."""
    with np.errstate(all="ignore"):  # what is broken becomes NaN, and a NaN stays one
        hours, closes = Hours.of(bars, at), picked(bars.close_at, at)
        found = [
            *_clock(closes),
            *volumes(hours, VOLUMES),
            np.log(rolling_mean(hours.steady, 6, at) / hours.level + _FLOOR),
            np.log(smoothed(hours.steady, 0.3, 64, at) / hours.level + _FLOOR),
            *uneven(hours, UNEVEN),
            burst(hours),
            *_same_hours(hours),
            *missed(hours, hour_of_week(bars.close_at)),
            *ranges(hours, RANGES),
            *(moves := signed_moves(hours, MOVES)),
            *(np.abs(one) for one in moves),
            *falls(hours, FALLS),
            *below_peak(hours, PEAKS),
            *above_trough(hours, TROUGHS),
            share_of_holidays(closes, 6),
            share_of_holidays(picked(bars.open_at, at) - 23 * HOUR_MS, 24),
        ]
        result = np.round(np.stack(found), _DECIMALS)
    result[np.isinf(result)] = np.nan
    return result.T


def volumes(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln mean volume of each window against the level."""
    return [np.log(hours.traded.mean(window, hours.at) / hours.level + _FLOOR) for window in windows]


def uneven(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln root mean square of volume over its mean; 0 where all hours are alike."""
    squares = rolling_means(np.square(hours.traded.blocks[0]), windows, hours.at)
    means = [hours.traded.mean(window, hours.at) for window in windows]
    return [np.log(np.sqrt(two) / one) for one, two in zip(means, squares, strict=True)]


def burst(hours: Hours) -> Floats:
    """ln share of the largest hour in the volume of 24 h."""
    (largest,) = rolling_maxima(hours.traded.blocks[0], (24,), hours.at)
    return np.log(largest / hours.traded.sum(24, hours.at) + 1e-3)


def missed(hours: Hours, slot: Instants) -> list[Floats]:
    """How far season x smoothed level was off, over the last 336 h: ln of the mean size of the log error by horizon,
    then the mean errors with their sign. `slot` is the hour of the week that follows each bar."""
    steady = smoothed(hours.steady, SMOOTHING, SMOOTHING_WINDOW)
    sizes, signed = [], []
    for ahead in MISSED:
        volume, forecast = hours.traded.mean(ahead), lagged(steady * coming(ahead)[slot] / ahead, ahead)
        error = np.log((volume + _FLOOR * forecast) / (forecast + _FLOOR * volume))
        sizes.append(np.log(rolling_mean(np.abs(error), _MISSED_OVER, hours.at) + 0.02))
        signed.append(rolling_mean(error, _MISSED_OVER, hours.at))
    return [*sizes, *signed]


def ranges(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln mean root of the ranges against that of the level window."""
    usual = np.sqrt(rolling_mean(np.square(hours.root), LEVEL, hours.at))
    return [np.log(one / usual + _FLOOR_OF_RANGE) for one in rolling_means(hours.root, windows, hours.at)]


def signed_moves(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """Return over each window in its usual standard deviations."""
    now = picked(hours.price, hours.at)
    return [(now - lagged(hours.price, w, hours.at)) / (hours.deviation * math.sqrt(w)) for w in windows]


def falls(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln share of falls in the squared returns."""
    fallen = rolling_means(np.square(np.minimum(hours.change, 0.0)), windows, hours.at)
    squared = rolling_means(np.square(hours.change), windows, hours.at)
    return [
        np.log((one + 0.02 * hours.usual) / (all_ + 0.04 * hours.usual))
        for one, all_ in zip(fallen, squared, strict=True)
    ]


def below_peak(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln of the close over the highest close of each window, in its usual standard deviations."""
    now, tops = picked(hours.price, hours.at), rolling_maxima(hours.price, windows, hours.at)
    return [(now - top) / (hours.deviation * math.sqrt(w)) for w, top in zip(windows, tops, strict=True)]


def above_trough(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln of the close over the lowest close of each window, in its usual standard deviations."""
    now, lows = picked(hours.price, hours.at), rolling_maxima(-hours.price, windows, hours.at)
    return [(now + low) / (hours.deviation * math.sqrt(w)) for w, low in zip(windows, lows, strict=True)]


def _clock(close_at: Instants) -> list[Floats]:
    slot = hour_of_week(close_at)
    return [(slot % 24).astype(np.float64), (slot // 24).astype(np.float64)]


def _same_hours(hours: Hours) -> list[Floats]:
    """ln volume of the hours that come, as they were before, against the level."""
    before: dict[str, list[Floats]] = {"yesterday": [], "week_ago": [], "days": [], "weeks": []}
    for ahead in AHEAD:
        mean = hours.traded.mean(ahead)
        days = [lagged(mean, 24 * k - ahead, hours.at) for k in range(1, DAYS + 1)]
        weeks = [lagged(mean, 168 * k - ahead, hours.at) for k in range(1, WEEKS + 1)]
        before["yesterday"].append(days[0])
        before["week_ago"].append(weeks[0])
        before["days"].append(_mean(days))
        before["weeks"].append(_mean(weeks))
    return [np.log(one / hours.level + _FLOOR) for each in before.values() for one in each]


def _mean(parts: list[Floats]) -> Floats:
    total = parts[0]
    for part in parts[1:]:  # one addition after another: the same order for one row as for many
        total = total + part
    return total / len(parts)
