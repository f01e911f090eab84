"""Follows one exchange: its history first, then each bar as it closes, and what else it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from market.bar_table import BarTable
from market.exchange.asking import Failure
from market.exchange.following import Following
from market.exchange.observing import Observing
from market.history import History
from market.observations import Observations
from market.observed_table import ObservedTable
from ml.bars import Instant, Timeframe
from ml.learning import Progress
from ml.observed import Kind

log = logging.getLogger(__name__)


class FeedFailed(Exception):  # noqa: N818 - told as it is
    """Some things could not be asked for; all others were. What is missing is asked for again next time."""


class Follow:
    """The job of one exchange. `told` hears of the first filling of the history; `clock` is in ms."""

    def __init__(
        self,
        following: Following,
        observing: Observing,
        history: History,
        observations: Observations,
        clock: Callable[[], Instant],
        told: Progress,
    ) -> None:
        self._following = following
        self._observing = observing
        self._history = history
        self._observations = observations
        self._clock = clock
        self._told = told
        self._filled = False

    async def run(self) -> None:
        """One round; the first fills the history up. Raises FeedFailed, when everything was asked for."""
        failures = [*(await self._round() if self._filled else await self._fill()), *(await self._observe())]
        for one in failures:
            if one.gone:
                log.warning("%s %s: %s; asked again in an hour", one.symbol, one.what, one.text)
        failed = [one for one in failures if not one.gone]
        if failed:
            first = failed[0]
            raise FeedFailed(f"{len(failed)} failed, {first.symbol} {first.what} first: {first.text}")

    async def _fill(self) -> Sequence[Failure]:
        failures = await self._following.backfill(self._clock(), self._known, self._keep, self._told)
        self._filled = not any(not one.gone for one in failures)
        return failures

    async def _round(self) -> Sequence[Failure]:
        brought = await self._following.round(self._clock(), self._known)
        await asyncio.to_thread(self._take_in, brought.archive, brought.live)
        return brought.failures

    async def _observe(self) -> Sequence[Failure]:
        tables, failures = await self._observing.round(self._clock(), self._known_point)
        await asyncio.to_thread(self._take_in_points, tables)
        return failures

    def _take_in(self, archive: Sequence[BarTable], live: Sequence[BarTable]) -> None:
        """Older bars first: each batch counts as received after what is there."""
        if archive:
            self._history.append(archive, received_at=self._clock(), live=False)
        if live:
            self._history.append(live, received_at=self._clock(), live=True)

    def _take_in_points(self, tables: Sequence[ObservedTable]) -> None:
        """What is longer than one is an archive, of which each counts at its own time where that may be."""
        for live in (False, True):
            some = [table for table in tables if (len(table) <= 1) is live]
            if some:
                self._observations.append(some, received_at=self._clock(), live=live)

    def _keep(self, table: BarTable) -> None:
        self._history.append(table, received_at=self._clock(), live=False)

    def _known(self, symbol: str, timeframe: Timeframe) -> Instant | None:
        timeline = self._history.timeline(symbol, timeframe)
        return int(timeline.newest_open[-1]) if timeline is not None and len(timeline.received_at) else None

    def _known_point(self, kind: Kind, symbol: str) -> Instant | None:
        observed = self._observations.observed(kind, symbol)
        return None if observed is None else int(observed.at.max())
