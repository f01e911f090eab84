"""One row per bar: by how much it departs from what is usual for this symbol at this hour, channel by channel.

Vectorised, causal, free of scale. A bar is compared with the level window before it; the hour of the day is taken out
of ranges and volumes first. Robust throughout: medians and quantiles, so that yesterday's crash does not hide today's.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.usual import NEVER, Anchors, Recent, Season
from ml.anomaly.windows import LEVEL, RECENT, WINDOWS
from ml.bars import DAY_MS, WEEK_MS, Bars, Floats, Instants

NAMES = (
    "move",  # |log return of the close| over its usual size, in robust standard deviations
    "record",  # ln of the move over the third largest of the level window
    "range",  # ln of the true range (high / low, and the close before): robust standard deviations above its median
    "wick",  # the longer wick over its usual size
    "volume",  # ln volume: robust standard deviations above its median
    "impact",  # ln range less half of ln volume: the same
    "surge",  # ln of move and volume together, above its 90% quantile
    "no_volume",  # -log10 of the chance of no volume at all; 0 where there is some
    "frozen",  # -log10 of the chance that a price stands still for so long
    "gap",  # -log10 of the chance that so many bars are missing before this one
    "broken",  # -log10 of the chance that high and low do not hold open and close; 0 where they do
    "return",  # log return of the close, signed
    "volume_ratio",  # volume over its usual size at this hour; NaN without volume
    "run",  # for how many bars the price has stood still
    "missing",  # bars missing before this one
    "weekends",  # 1 where it trades at weekends, as far as the level window shows
    "idle",  # share of the level window that stood still or is missing
)
#: A bar that spans missing ones may move more, up to twice.
_MOST_MISSING = 3
_TINY = 0.3
_TINY_RECORD = 0.01
_THIRD_LARGEST = 1.0 - 2.0 / (LEVEL - 1)
#: A gap must be so many times as long as the longest of the window.
_LONGER = 1.6
#: Exponent of volume beside that of the move, 1: of .3 .. 1 the best on minutes around pumps, and flat there.
_OF_VOLUME = 0.7
_DECIMALS = 7
_SIGMA_OF_MEDIAN = 0.6745
_SIGMA_OF_90 = 1.645
_SIGMA_OF_96 = 2.054
#: Quantiles that tell a size, and those that tell a height.
_SIZES, _HEIGHTS = (0.5, 0.9, 0.96), (0.5, 0.95)
_LEAST_SPREAD = 0.25
_LONGEST_RUN = 1_000.0
#: Where few bars have a wick, one counts against this share of the usual move.
_LEAST_WICK = 0.2
#: High and low that do not hold open and close cannot be: as rare as is ever told.
_BROKEN = 6.0
#: A market that trades at weekends has a seventh of its bars on Saturdays.
_SATURDAYS = 0.05
_SATURDAY = 5


def kernel(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:  # noqa: ARG001 - one row for all
    """Of the bars at positions `at` (ascending; all where None), shape (len(at), len(NAMES)); a row depends on the
    `WINDOWS[...].warmup` bars that end there. NaN where a price is missing or not positive, where nothing moves, and
    without a full warm-up."""
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        return departures(bars, raw(bars), np.arange(len(bars)) if at is None else at)


def departures(bars: Bars, now: Raw, at: Instants) -> Floats:
    """The same; `now` is `raw(bars)`."""
    found = np.full((len(at), len(NAMES)), np.nan)
    anchors = Anchors.of(bars, WINDOWS[bars.timeframe], at)
    full = np.flatnonzero(anchors.owner >= 0)
    if len(full):
        columns = _columns(bars, now, anchors.of_rows(full), at[full])
        found[full] = np.round(np.array(columns).T, _DECIMALS)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """What bars show by themselves, in logs, shape (n,) each. `span` is the true range: it holds the close before, so a
    series of single prices has one as well."""

    change: Floats
    span: Floats
    wick: Floats
    volume: Floats
    missing: Floats


def raw(bars: Bars) -> Raw:
    """NaN where a price is missing or not positive; `volume` is NaN where there is none."""
    open_, high, low, close = (_positive(one) for one in (bars.open, bars.high, bars.low, bars.close))
    change = np.full(len(bars), np.nan)
    change[1:] = np.log(close[1:] / close[:-1])
    missing = np.zeros(len(bars))
    missing[1:] = np.diff(bars.open_at) / bars.timeframe.milliseconds - 1.0
    wick = np.maximum(np.log(high / np.maximum(open_, close)), np.log(np.minimum(open_, close) / low))
    before = np.concatenate([open_[:1], close[:-1]])
    span = np.log(np.fmax(high, before) / np.fmin(low, before)) + 0.0 * (high + low)
    return Raw(change, span, np.maximum(wick, 0.0), np.log(_positive(bars.volume)), missing)


def _columns(bars: Bars, now: Raw, anchors: Anchors, rows: NDArray[np.int64]) -> tuple[Floats, ...]:
    """The columns of the bars at `rows`, which `anchors` look at."""
    size = np.abs(now.change) / np.sqrt(1.0 + np.minimum(now.missing, _MOST_MISSING))
    span = np.log(now.span + _TINY * _positive(Recent.of(now.span).mean(RECENT)))
    season = Season.of(bars, WINDOWS[bars.timeframe].season)
    hourless, volume = season.removed(span), season.removed(now.volume)
    factor = np.exp(hourless - span)  # what the hour does to ranges, it does to moves and wicks
    move, wick = size * factor, now.wick * factor
    impact, both = hourless - 0.5 * volume, _both(move, size, volume)
    unmoved, traded = still(bars), bars.volume != 0.0
    told = anchors.quantiles(
        (move, (*_SIZES, _THIRD_LARGEST)),
        (wick, _SIZES),
        (volume, (0.05, 0.5, 0.95)),
        (hourless, _HEIGHTS),
        (impact, _HEIGHTS),
        (both, (0.9,)),
    )
    usual_move, third = _usual_size(*islice(told, 3)), next(told)  # a crash or two do not blind the third largest
    usual_wick = _usual_size(*islice(told, 3))
    volume_height, usual_volume = _volume(volume[rows], *islice(told, 3))
    range_height, impact_height = (_height(one[rows], *islice(told, 2)) for one in (hourless, impact))
    untraded, frozen, saturdays, idle = anchors.shares(~traded, unmoved, _saturday(bars), unmoved | (now.missing > 0.0))
    weeks = (saturdays > _SATURDAYS) | (not _tells_weeks(bars))
    run = _run(unmoved)[rows]
    return (
        move[rows] / usual_move,
        np.log(move[rows] / _positive(third) + _TINY_RECORD),
        range_height,
        wick[rows] / np.fmax(usual_wick, _LEAST_WICK * usual_move),
        volume_height,
        impact_height,
        both[rows] - next(told),
        np.where(traded[rows], 0.0, -np.log10(untraded)),
        -np.log10(frozen) * run,
        _gap(anchors, now.missing, rows),
        np.where(_broken(bars), _BROKEN, 0.0)[rows],
        now.change[rows],
        np.exp(volume[rows] - usual_volume),
        run,
        now.missing[rows],
        np.where(weeks, 1.0, 0.0),
        idle,
    )


def still(bars: Bars) -> NDArray[np.bool_]:
    """Where the price stood still: nothing but the last close was traded, or the bar repeats the one before it."""
    unmoved = np.zeros(len(bars), dtype=np.bool_)
    same = bars.close[1:] == bars.close[:-1]
    flat = (bars.high[1:] == bars.low[1:]) & same
    again = same & (bars.high[1:] == bars.high[:-1]) & (bars.low[1:] == bars.low[:-1])
    unmoved[1:] = flat | (again & (bars.open[1:] == bars.open[:-1]))
    return unmoved


def _usual_size(median: Floats, high: Floats, highest: Floats) -> Floats:
    """Usual size of values of no less than 0: the mean of what their quantiles at `_SIZES` say of it, since in thin
    markets most bars do not move, and since some markets jump more than others. NaN where 96% are 0."""
    return _positive((median / _SIGMA_OF_MEDIAN + high / _SIGMA_OF_90 + highest / _SIGMA_OF_96) / 3.0)


def _height(values: Floats, usual: Floats, high: Floats) -> Floats:
    return (values - usual) / np.maximum((high - usual) / _SIGMA_OF_90, _LEAST_SPREAD)


def _volume(values: Floats, low: Floats, usual: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Height and the usual: above it in units of the upper half of the window, below it in those of the lower."""
    above = values - usual
    spread = np.where(above > 0.0, high - usual, usual - low) / _SIGMA_OF_90
    return above / np.maximum(spread, _LEAST_SPREAD), usual


def _both(size: Floats, of_late: Floats, volume: Floats) -> Floats:
    """Move and volume at once. Not in units of its spread: where hardly anything is traded that is wide, and a pump
    would hide in it."""
    return np.log(size + _TINY * _positive(Recent.of(of_late).mean(RECENT))) + _OF_VOLUME * volume


def _gap(anchors: Anchors, missing: Floats, rows: NDArray[np.int64]) -> Floats:
    """Much longer than any gap of the window (a holiday after a weekend is not): as rare as what never was in it; gaps
    ten times as long, as outages of exchanges are, are a third as common."""
    longest = anchors.largest(missing)
    once = -np.log10(NEVER / (anchors.level + 1.0))
    own = missing[rows]
    beyond = np.maximum(own - longest - 1.0, 0.0) / (longest + 1.0)
    return np.where(own > _LONGER * longest, once + 0.5 * np.log10(1.0 + beyond), 0.0)


def _broken(bars: Bars) -> NDArray[np.bool_]:
    return np.asarray((bars.high < np.maximum(bars.open, bars.close)) | (bars.low > np.minimum(bars.open, bars.close)))


def _saturday(bars: Bars) -> NDArray[np.bool_]:
    return np.asarray((bars.open_at // DAY_MS + 3) % 7 == _SATURDAY)


def _tells_weeks(bars: Bars) -> bool:
    return WINDOWS[bars.timeframe].level * bars.timeframe.milliseconds >= WEEK_MS


def _run(happened: NDArray[np.bool_]) -> Floats:
    """For how many bars it has gone on, 0 where it does not."""
    at = np.arange(len(happened))
    last_not = np.maximum.accumulate(np.where(happened, -1, at)) if len(at) else at
    return np.minimum(at - last_not, _LONGEST_RUN).astype(np.float64)


def _positive(values: Floats) -> Floats:
    return np.where(np.isfinite(values) & (values > 0.0), values, np.nan)
