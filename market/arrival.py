"""What bars that come in mean for a series: which are kept, and since when they count as known.

The one rule: what comes later never changes an answer that was given earlier. So a record counts as received after
every answer given (`sealed_at`) and after every record already there. One exception makes imported history useful: a
bar from an archive that continues the series counts as received at its close, where neither forbids it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market import quality
from market.bar_table import BarTable, Fault, Mask, RefusedRows, picked, refused_where
from market.receipt import SeriesReceipt
from market.records import Records
from market.series import Series
from ml.bars import Bars, Floats, Instant, Instants

#: Clocks of others may be ahead of ours by this much.
CLOCK_SLACK_MS = 10_000


@dataclass(frozen=True, slots=True)
class Receiving:
    """How a batch comes: `received_at` is the clock's word (ms UTC); `live` says that its bars come now for the first
    time, rather than from an archive; `sealed_at` is the latest `as_of` answered on the series (-1: none)."""

    received_at: Instant
    live: bool
    sealed_at: Instant


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """Records to add to a series, in order, and what to say of the table that they came in."""

    records: Records
    receipt: SeriesReceipt


def arrive(series: Series, table: BarTable, how: Receiving) -> Arrival:
    """What `table` adds to `series`. Changes nothing."""
    latest = max(series.newest_received_at, how.sealed_at)
    table, not_closed = _split(table, Fault.NOT_CLOSED, table.bars.close_at > _closed_by(how, latest, table.bars))
    table, too_close = _split(table, Fault.TOO_CLOSE, _too_close(series.opens, table.bars))
    bars = table.bars
    known, at = _known(series.opens, bars.open_at)
    repeated = known.copy()
    repeated[known] = _equal(series.settled_at(at[known]), picked(bars, known))
    revised = known & ~repeated
    on_time = ~known & (bars.open_at > _newest(series)) & _may_count_at_its_time(bars, how, series.newest_received_at)
    late = ~known & ~on_time
    revision = np.zeros(len(bars), dtype=np.int64)
    revision[revised] = series.revisions(at[revised]) + 1
    records = Records(
        bars, series.origin, _received(bars, on_time, how, series), revision, _scores(series, bars, on_time, ~repeated)
    )
    receipt = SeriesReceipt(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        source=table.source,
        new=int(on_time.sum()),
        late=int(late.sum()),
        revised=int(revised.sum()),
        repeated=int(repeated.sum()),
        refused=(*table.refused, *not_closed, *too_close),
        notes=table.notes,
        clock_behind_ms=max(series.newest_received_at - how.received_at, 0),
        through=int(bars.close_at[-1]) if len(bars) else 0,
    )
    return Arrival(records.at(~repeated).in_order(), receipt)


def _split(table: BarTable, fault: Fault, bad: Mask) -> tuple[BarTable, tuple[RefusedRows, ...]]:
    """The table without the rows `bad`, and what to say of these."""
    rest = BarTable(
        picked(table.bars, ~bad), table.origin, table.row_numbers[~bad], table.refused, table.source, table.notes
    )
    return rest, refused_where(table, fault, bad)


def _closed_by(how: Receiving, latest: Instant, bars: Bars) -> Instant:
    """A bar that closes later than this is not closed yet. One bar from the far future, let in, would make all that
    follow it late. Where our clock has stepped back, the series itself tells the time: the next bar may come."""
    if latest - how.received_at > CLOCK_SLACK_MS:
        return latest + bars.timeframe.milliseconds
    return max(how.received_at, latest) + CLOCK_SLACK_MS


def _too_close(opens: Instants, bars: Bars) -> Mask:
    """Bars that overlap a known one, of another open, by more than half."""
    if not len(opens):
        return np.zeros(len(bars), dtype=bool)
    after = np.searchsorted(opens, bars.open_at)
    to_next = np.abs(opens[np.minimum(after, len(opens) - 1)] - bars.open_at)
    to_last = np.abs(bars.open_at - opens[np.maximum(after - 1, 0)])
    nearest = np.minimum(to_next, to_last)
    close: Mask = (to_next > 0) & (2 * nearest < bars.timeframe.milliseconds)
    return close


def _known(opens: Instants, wanted: Instants) -> tuple[Mask, Instants]:
    """Which of the `wanted` are among `opens`, and where."""
    at = np.searchsorted(opens, wanted)
    known = at < len(opens)
    known[known] = opens[at[known]] == wanted[known]
    return known, at


def _equal(known: Bars, bars: Bars) -> Mask:
    same: Mask = (
        (known.open == bars.open)
        & (known.high == bars.high)
        & (known.low == bars.low)
        & (known.close == bars.close)
        & (known.volume == bars.volume)
    )
    return same


def _newest(series: Series) -> Instant:
    return int(series.opens[-1]) if len(series.opens) else -1


def _may_count_at_its_time(bars: Bars, how: Receiving, newest_received_at: Instant) -> Mask:
    if how.live:  # its time is now, which is after every answer
        return np.ones(len(bars), dtype=bool)
    may: Mask = (bars.close_at > how.sealed_at) & (bars.close_at >= newest_received_at)
    return may


def _received(bars: Bars, on_time: Mask, how: Receiving, series: Series) -> Instants:
    """When each bar counts as received: after every record there (at one instant, a larger open comes later)."""
    after_all = max(how.received_at, how.sealed_at + 1, series.newest_received_at + 1)
    in_turn = max(how.received_at, how.sealed_at + 1, series.newest_received_at) if how.live else 0
    return np.maximum(np.where(on_time, in_turn, after_all), bars.close_at)


def _scores(series: Series, bars: Bars, on_time: Mask, kept: Mask) -> Floats:
    """Quality of each bar beside what was known before it, shape (n,); 0 for those that are not kept. Bars on time
    are scored first: they are known before the others."""
    result = np.zeros(len(bars))
    before: Bars | None = None
    for group in (on_time, kept & ~on_time):
        if not group.any():
            continue
        mine = picked(bars, group)
        start = int(np.searchsorted(series.opens, mine.open_at[0])) - quality.context(bars.timeframe)
        around = series.settled(start)
        merged = _merged(around if before is None else around.followed_by(before), mine)
        result[group] = quality.scores(merged)[np.searchsorted(merged.open_at, mine.open_at)]
        before = mine
    return result


def _merged(known: Bars, added: Bars) -> Bars:
    """Both, sorted by open; where opens are equal, what was added."""
    every = known.followed_by(added)
    order = np.argsort(every.open_at, kind="stable")
    is_last = np.append(np.diff(every.open_at[order]) > 0, True)
    return picked(every, order[is_last])
