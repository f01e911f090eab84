"""What a model reads of one symbol's own hours, beyond what the rules read.

Vectorised, causal, and the same bits whatever the stretch begins with. Volumes are against the symbol's own level of
720 hours, moves against its own volatility of 720 hours: another unit of money, or a quiet year, changes nothing.
Rounded: the last bits of a logarithm differ between machines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml.bars import Bars, Floats, Instants
from ml.liquidity.calendar import share_of_holidays
from ml.liquidity.kernel import AT_LEAST, LEVEL, SMOOTHING, SMOOTHING_WINDOW, level_of, quote_volume
from ml.liquidity.season import coming, hour_of_week, profile
from ml.liquidity.windows import lagged, rolling_maxima, rolling_mean, rolling_means, rolling_sum, smoothed

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
    """What each bar did, shape (n,) each: quote volume with the hour of the week removed, log price,
    log return (at most .3), its usual variance and standard deviation over 720 h, and the root of the range's variance.
    NaN where a number is missing or cannot be."""

    steady: Floats
    price: Floats
    change: Floats
    usual: Floats
    deviation: Floats
    root: Floats

    @staticmethod
    def of(bars: Bars) -> Hours:
        traded = quote_volume(bars)
        high, low, close = (
            np.where((one > 1e-100) & (one < 1e100), one, np.nan) for one in (bars.high, bars.low, bars.close)
        )
        price = np.log(close)
        change = np.clip(price - lagged(price, 1), -_LARGEST_MOVE, _LARGEST_MOVE)
        usual = np.maximum(rolling_mean(np.square(change), LEVEL), 1e-12)
        root = np.sqrt(np.minimum(np.square(np.log(high / low)) * _PARKINSON, _LARGEST_RANGE))
        steady = traded / profile()[hour_of_week(bars.open_at)]
        return Hours(steady, price, change, usual, np.sqrt(usual), root)


def columns(bars: Bars) -> Floats:
    """One row per hourly bar, shape (len(bars), len(OWN)); row i depends on the `WARMUP` bars that end at i alone."""
    with np.errstate(all="ignore"):  # what is broken becomes NaN, and a NaN stays one
        traded = quote_volume(bars)
        level, hours = level_of(traded), Hours.of(bars)
        found = [
            *_clock(bars),
            *volumes(traded, level, VOLUMES),
            np.log(rolling_mean(hours.steady, 6) / level + _FLOOR),
            np.log(smoothed(hours.steady, 0.3, 64) / level + _FLOOR),
            *uneven(traded, UNEVEN),
            burst(traded),
            *_same_hours(traded, level),
            *missed(hours, traded, hour_of_week(bars.close_at)),
            *ranges(hours, RANGES),
            *(moves := signed_moves(hours, MOVES)),
            *(np.abs(one) for one in moves),
            *falls(hours, FALLS),
            *below_peak(hours, PEAKS),
            *above_trough(hours, TROUGHS),
            share_of_holidays(bars.close_at, 6),
            share_of_holidays(bars.open_at - 23 * 3_600_000, 24),
        ]
        result = np.round(np.stack(found), _DECIMALS)
    result[np.isinf(result)] = np.nan
    return result.T


def volumes(traded: Floats, level: Floats, windows: tuple[int, ...]) -> list[Floats]:
    """ln mean volume of each window against the level."""
    return [np.log(one / level + _FLOOR) for one in rolling_means(traded, windows)]


def uneven(traded: Floats, windows: tuple[int, ...]) -> list[Floats]:
    """ln root mean square of volume over its mean; 0 where all hours are alike."""
    means, squares = rolling_means(traded, windows), rolling_means(np.square(traded), windows)
    return [np.log(np.sqrt(two) / one) for one, two in zip(means, squares, strict=True)]


def burst(traded: Floats) -> Floats:
    """ln share of the largest hour in the volume of 24 h."""
    return np.log(rolling_maxima(traded, (24,))[0] / rolling_sum(traded, 24) + 1e-3)


def missed(hours: Hours, traded: Floats, slot: Instants) -> list[Floats]:
    """How far season x smoothed level was off, over the last 336 h: ln of the mean size of the log error by horizon,
    then the mean errors with their sign. `slot` is the hour of the week that follows each bar."""
    steady = smoothed(hours.steady, SMOOTHING, SMOOTHING_WINDOW)
    sizes, signed = [], []
    for ahead, volume in zip(MISSED, rolling_means(traded, MISSED), strict=True):
        forecast = lagged(steady * coming(ahead)[slot] / ahead, ahead)
        error = np.log((volume + _FLOOR * forecast) / (forecast + _FLOOR * volume))
        sizes.append(np.log(rolling_mean(np.abs(error), _MISSED_OVER) + 0.02))
        signed.append(rolling_mean(error, _MISSED_OVER))
    return [*sizes, *signed]


def ranges(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln mean root of the ranges against that of the level window."""
    usual = np.sqrt(rolling_mean(np.square(hours.root), LEVEL))
    return [np.log(one / usual + _FLOOR_OF_RANGE) for one in rolling_means(hours.root, windows)]


def signed_moves(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """Return over each window in its usual standard deviations."""
    return [(hours.price - lagged(hours.price, w)) / (hours.deviation * math.sqrt(w)) for w in windows]


def falls(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln share of falls in the squared returns."""
    fallen = rolling_means(np.square(np.minimum(hours.change, 0.0)), windows)
    squared = rolling_means(np.square(hours.change), windows)
    return [
        np.log((one + 0.02 * hours.usual) / (all_ + 0.04 * hours.usual))
        for one, all_ in zip(fallen, squared, strict=True)
    ]


def below_peak(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln of the close over the highest close of each window, in its usual standard deviations."""
    tops = rolling_maxima(hours.price, windows)
    return [(hours.price - top) / (hours.deviation * math.sqrt(w)) for w, top in zip(windows, tops, strict=True)]


def above_trough(hours: Hours, windows: tuple[int, ...]) -> list[Floats]:
    """ln of the close over the lowest close of each window, in its usual standard deviations."""
    lows = rolling_maxima(-hours.price, windows)
    return [(hours.price + low) / (hours.deviation * math.sqrt(w)) for w, low in zip(windows, lows, strict=True)]


def _clock(bars: Bars) -> list[Floats]:
    slot = hour_of_week(bars.close_at)
    return [(slot % 24).astype(np.float64), (slot // 24).astype(np.float64)]


def _same_hours(traded: Floats, level: Floats) -> list[Floats]:
    """ln volume of the hours that come, as they were before, against the level."""
    before: dict[str, list[Floats]] = {"yesterday": [], "week_ago": [], "days": [], "weeks": []}
    for ahead, mean in zip(AHEAD, rolling_means(traded, AHEAD), strict=True):
        days = [lagged(mean, 24 * k - ahead) for k in range(1, DAYS + 1)]
        weeks = [lagged(mean, 168 * k - ahead) for k in range(1, WEEKS + 1)]
        before["yesterday"].append(days[0])
        before["week_ago"].append(weeks[0])
        before["days"].append(_mean(days))
        before["weeks"].append(_mean(weeks))
    return [np.log(one / level + _FLOOR) for each in before.values() for one in each]


def _mean(parts: list[Floats]) -> Floats:
    total = parts[0]
    for part in parts[1:]:  # one addition after another: the same order for one row as for many
        total = total + part
    return total / len(parts)
