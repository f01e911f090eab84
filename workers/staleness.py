"""Tells once of each feed that has gone stale, and once that it has come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from market.series_info import SeriesInfo
from market.staleness import Staleness
from ml.bars import DAY_MS, Instant, Timeframe
from registry.events import Event, Events, Fact

STALE, RECOVERED = "feed.stale", "feed.recovered"
#: A series whose newest bar is older is an archive: nobody waits for more of it.
FED_WITHIN_MS = 31 * DAY_MS
#: Events read to know what had been told.
REMEMBERED = 20_000


class Calendar(Protocol):
    """Which bars should have come (`market.fed.Fed`)."""

    def missing(self, symbol: str, timeframe: Timeframe, as_of: Instant, at: Instant) -> int: ...


@dataclass(frozen=True, slots=True)
class WatchStaleness:
    """The job. An episode is named by the newest bar before it, so that the outbox, which keeps the first word under a
    key, tells of it once, whatever restarts. `clock` is in ms; `published` is called when there is news."""

    series: Callable[[], Sequence[SeriesInfo]]
    calendar: Calendar
    limits: Mapping[Timeframe, Staleness]
    events: Events
    clock: Callable[[], Instant]
    published: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """One look, in a thread."""
        if await asyncio.to_thread(self.once):
            self.published()

    def once(self) -> int:
        """Publishes what has changed since the last look; how many facts. Raises a StateFault."""
        now, told = self.clock(), self._told()
        new: list[Fact] = []
        for one in self.series():
            episode, stale = told.get((one.symbol, one.timeframe)), self._stale(one, now)
            if stale and not episode:
                new.append(Fact(STALE, f"{one.symbol} {one.timeframe} {one.last_close}", _payload(one)))
            elif episode and not stale and now - one.last_close <= FED_WITHIN_MS:
                new.append(Fact(RECOVERED, episode, _payload(one)))
        if new:
            self.events.publish_all(new, now)
        return len(new)

    def _stale(self, one: SeriesInfo, now: Instant) -> bool:
        if now - one.last_close > FED_WITHIN_MS:
            return False
        missing = self.calendar.missing(one.symbol, one.timeframe, now, now)
        return missing >= self.limits[one.timeframe].stale_after_bars

    def _told(self) -> dict[tuple[str, Timeframe], str]:
        """The key of the episode that was told of and has not ended, by series."""
        ended = {event.key for event in self.events.newest_of(RECOVERED, REMEMBERED)}
        told = [event for event in self.events.newest_of(STALE, REMEMBERED) if event.key not in ended]
        return {_series_of(event): event.key for event in told}


def _payload(one: SeriesInfo) -> str:
    return json.dumps({"symbol": one.symbol, "timeframe": str(one.timeframe), "last_close_at": one.last_close})


def _series_of(event: Event) -> tuple[str, Timeframe]:
    told = json.loads(event.payload)
    return told["symbol"], Timeframe(told["timeframe"])
