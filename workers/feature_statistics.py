"""Describes the features once a day, and finds the statistics that were in force at an instant."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

from market.feature_store import FeatureStore
from market.summary_store import SummaryStore
from ml.bars import Instant, Timeframe
from ml.indicators.statistics import FeatureStatistics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DescribeFeatures:
    """The job over a feature store and the store of what it finds."""

    features: FeatureStore
    summaries: SummaryStore
    clock: Callable[[], Instant]

    async def run(self) -> None:
        """One round in a thread: it reads every row there is."""
        for timeframe, n in (await asyncio.to_thread(self.once)).items():
            log.info("statistics of %d %s features recorded", n, timeframe)

    def once(self) -> dict[Timeframe, int]:
        """Records the statistics of all usable rows known now; says how many summaries per timeframe."""
        recorded: dict[Timeframe, int] = {}
        for timeframe in sorted({timeframe for _, timeframe in self.features.newest()}):
            found = self.features.statistics(timeframe, until=self.clock())
            if found:
                # Dated when they are known, not when they were begun: whoever asks in between gets those before.
                self.summaries.record(timeframe, found, at=self.clock())
                recorded[timeframe] = len(found)
        return recorded


def scaling_at(
    summaries: SummaryStore, names: Sequence[str], timeframe: Timeframe, as_of: Instant, symbol: str | None = None
) -> tuple[FeatureStatistics, ...]:
    """One per name, in order, for `ml.indicators.statistics.standardise` and its like: as in force at `as_of`, of
    `symbol` or over all. `n` is 0 and the rest NaN where a feature was not described by then."""
    found = summaries.in_force(timeframe, as_of, symbol)
    return tuple(
        FeatureStatistics(name, one.n, one.mean, one.sd, one.low, one.high, one.median, one.iqr)
        if (one := found.get(name))
        else FeatureStatistics(name, 0, nan, nan, nan, nan, nan, nan)
        for name in names
    )
