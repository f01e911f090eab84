"""Writes down the features of every series, once per closed bar: what training reads later as it was known then."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from market.feature_row import FeatureRow
from market.feature_store import FeatureStore
from market.history import History
from ml.bars import Bars, Floats, Instant, Timeframe
from ml.indicators.catalogue import INDICATORS
from ml.indicators.matrix import latest
from ml.indicators.ranges import OutOfRange, validate
from ml.timeline import Timeline

log = logging.getLogger(__name__)

NAMES = tuple(one.name for one in INDICATORS)
#: Values out of range that are named in one line of the log.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Extracted:
    """What one round did: rows `written`, series where nothing had closed since their last row (`unchanged`), values
    that were `missing`, and those that could not be and were left out, by indicator."""

    written: int
    unchanged: int
    missing: int
    out_of_range: Counter[str]


@dataclass(frozen=True, slots=True)
class ExtractFeatures:
    """The job over a history and a feature store. `symbols` None: all that are fed."""

    history: History
    features: FeatureStore
    clock: Callable[[], Instant]
    timeframes: Collection[Timeframe]
    symbols: Collection[str] | None = None

    async def run(self) -> None:
        """One round in a thread: 500 series take seconds."""
        done = await asyncio.to_thread(self.once)
        log.info("features: %d rows written, %d series had no new bar", done.written, done.unchanged)

    def once(self) -> Extracted:
        """A row for every series of which a bar has closed since its last row, as of now. Raises what the store does;
        then no row was kept."""
        now, newest = self.clock(), self.features.newest()
        rows: list[FeatureRow] = []
        wrong: list[tuple[FeatureRow, OutOfRange]] = []
        unchanged = 0
        for symbol, timeframe in self._series():
            last = newest.get((symbol, timeframe))
            if _through(self.history.timeline(symbol, timeframe), now) <= (last.data_through if last else 0):
                unchanged += 1
                continue
            row, outside = self._row(symbol, timeframe, now)
            rows.append(row)
            wrong += [(row, one) for one in outside]
        if wrong:
            named = "; ".join(f"{row.symbol} {row.timeframe}: {one.text}" for row, one in wrong[:_NAMED])
            log.warning("%d feature values were out of range and are kept as missing: %s", len(wrong), named)
        written = self.features.append(rows, at=now)
        missing = sum(int(np.isnan(row.values).sum()) for row in rows)
        return Extracted(written, unchanged, missing, Counter(one.name for _, one in wrong))

    def _series(self) -> list[tuple[str, Timeframe]]:
        return [
            (one.symbol, one.timeframe)
            for one in self.history.series()
            if one.timeframe in self.timeframes and (self.symbols is None or one.symbol in self.symbols)
        ]

    def _row(self, symbol: str, timeframe: Timeframe, now: Instant) -> tuple[FeatureRow, Sequence[OutOfRange]]:
        # Sealed first: what comes from here on counts as received after `now`, so the row can be made again.
        self.history.seal(symbol, timeframe, now)
        timeline = self.history.timeline(symbol, timeframe)
        qualities = self.history.qualities(symbol, timeframe)
        if timeline is None or qualities is None:
            raise AssertionError("a series that was there does not go away")
        bars = known_bars(timeline, now)
        values = latest(bars)
        outside = validate(values)
        quality = _quality(timeline, qualities, int(bars.open_at[-1]), now)
        return FeatureRow(
            symbol, timeframe, now, int(bars.close_at[-1]), NAMES, _without(values, outside), quality
        ), outside


def known_bars(timeline: Timeline, as_of: Instant) -> Bars:
    """The series as it was known at `as_of` (ms), oldest first."""
    seen = timeline.locate(np.array([as_of], dtype=np.int64))
    return timeline.edition(int(seen.edition[0])).between(0, int(seen.last[0]) + 1)


def _through(timeline: Timeline | None, as_of: Instant) -> Instant:
    """Close of the newest bar known at `as_of`; 0 where there is none."""
    known = 0 if timeline is None else int(np.searchsorted(timeline.received_at, as_of, side="right"))
    if timeline is None or known == 0:
        return 0
    return int(timeline.newest_open[known - 1]) + timeline.timeframe.milliseconds


def _quality(timeline: Timeline, qualities: Floats, newest_open: Instant, as_of: Instant) -> float:
    """Score of the newest record, known at `as_of`, of the bar that opened at `newest_open`."""
    known = int(np.searchsorted(timeline.received_at, as_of, side="right"))
    return float(qualities[np.flatnonzero(timeline.records.open_at[:known] == newest_open)[-1]])


def _without(values: Floats, outside: Sequence[OutOfRange]) -> Floats:
    names = {one.name for one in outside}
    return np.where([name in names for name in NAMES], np.nan, values)
