"""When a market trades, learnt from its own bars: what was to be expected, and what is missing.

A slot of the week is expected to hold a bar where one of the two weeks before had a bar in it. So the hours of a
weekend are not missed in currencies, and are in coins. Where the bars end or a gap opens, "before" means the last two
weeks that were there. A slot that bars have not yet lived to see is expected: better stale too early than too late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.bar_table import Mask
from ml.bars import WEEK_MS, Bars, Instant, Instants

#: A market trades around the clock where at most this share of the slots of its week is not expected.
REST = 0.01


@dataclass(frozen=True, slots=True)
class Gap:
    """Bars that are not there: from the open of the first (`start`) to the open of the bar after them (`end`, not
    included). `n_missing` counts every slot of time between, `n_expected` those in which this market trades."""

    start: Instant
    end: Instant
    n_missing: int
    n_expected: int


def expected_missing(bars: Bars, through_open: Instant, as_of: Instant) -> int:
    """How many bars were to be expected between the bar that opened at `through_open` and `as_of`, and are not there.

    A bar is to be expected once it would have closed. Reads no bar later than `through_open`. 0 where `as_of` lies
    before the close of the next bar.
    """
    step = bars.timeframe.milliseconds
    n_slots = (as_of - step - through_open) // step
    if n_slots <= 0:
        return 0
    stop = int(np.searchsorted(bars.open_at, through_open, side="right"))
    recent = _two_weeks(bars, stop)
    first = int(bars.open_at[0]) if stop else through_open
    counts = _expected(recent, first, step, np.array([through_open]), np.array([n_slots]))
    return int(counts[0])


def around_the_clock(bars: Bars, through_open: Instant) -> bool:
    """Whether this market trades every hour of the week, as far as bars up to `through_open` show."""
    slots = WEEK_MS // bars.timeframe.milliseconds
    next_week = through_open + WEEK_MS + bars.timeframe.milliseconds
    return expected_missing(bars, through_open, next_week) >= (1.0 - REST) * slots


def missing_before(bars: Bars) -> tuple[Instants, Instants]:
    """Per bar, how many slots of time just before it hold none, and how many of these were expected; shape (n,) each.

    Causal: entry i reads bars 0 .. i, and of these those of the three weeks before the gap at the most.
    """
    missing = np.zeros(len(bars), dtype=np.int64)
    expected = np.zeros(len(bars), dtype=np.int64)
    step = bars.timeframe.milliseconds
    # Rounded: where summer time moves a session by an hour, 4h bars are 51 hours apart over a weekend, not 52.
    missing[1:] = np.maximum(np.rint(np.diff(bars.open_at) / step).astype(np.int64) - 1, 0)
    after = np.flatnonzero(missing)
    if len(after):
        first = int(bars.open_at[0])
        expected[after] = _expected(bars.open_at, first, step, bars.open_at[after - 1], missing[after])
    return missing, expected


def gaps(bars: Bars) -> tuple[Gap, ...]:
    """Every stretch of missing bars, oldest first, weekends and holidays included (their `n_expected` is 0)."""
    missing, expected = missing_before(bars)
    step = bars.timeframe.milliseconds
    return tuple(
        Gap(int(bars.open_at[i - 1]) + step, int(bars.open_at[i]), int(missing[i]), int(expected[i]))
        for i in np.flatnonzero(missing)
    )


def _two_weeks(bars: Bars, stop: int) -> Instants:
    """Opens of the last two weeks (and a bar) before position `stop`: all that `_expected` looks at after it."""
    if stop == 0:
        return bars.open_at[:0]
    since = int(bars.open_at[stop - 1]) - 2 * WEEK_MS - bars.timeframe.milliseconds
    return bars.open_at[int(np.searchsorted(bars.open_at, since)) : stop]


def _expected(opens: Instants, first: Instant, step: int, before: Instants, n_slots: Instants) -> Instants:
    """Of `n_slots` empty slots after each bar `before`, how many were expected. `opens` are those of the bars that
    there are, `first` the open of the oldest ever. From its second week on a gap repeats its first."""
    week = WEEK_MS // step
    looked_at = np.minimum(n_slots, week)
    gap = np.repeat(np.arange(len(before)), looked_at)
    slot = np.arange(len(gap)) - np.repeat(np.cumsum(looked_at) - looked_at, looked_at) + 1
    one_week_ago = before[gap] + slot * step - WEEK_MS
    two_weeks_ago = one_week_ago - WEEK_MS
    kept = opens // step  # sorted, and so found by bisection
    unseen = one_week_ago < first
    hit = _holds(kept, one_week_ago // step) | _holds(kept, two_weeks_ago // step) | unseen
    repeats = (n_slots[gap] - slot) // week + 1
    return np.bincount(gap, weights=hit * repeats, minlength=len(before)).astype(np.int64)


def _holds(kept: Instants, wanted: Instants) -> Mask:
    if not len(kept):
        return np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(kept, wanted), len(kept) - 1)
    found: Mask = kept[at] == wanted
    return found
