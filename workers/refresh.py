"""Keeps history fresh: asks the feeds for bars that have closed, and takes them in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from market.bar_table import BarTable
from market.history import History
from ml.bars import Instant


class Feed(Protocol):
    """Somebody who has closed bars."""

    def closed_bars(self, after_ms: int, through_ms: int) -> Sequence[BarTable]:
        """Bars that closed after `after_ms` and by `through_ms`. May block; runs in a thread."""


class Refresh:
    """The job over its feeds. What closed by `through` (ms UTC) is in the history already."""

    def __init__(self, feeds: Sequence[Feed], history: History, clock: Callable[[], Instant], through: Instant) -> None:
        self._feeds = [(feed, [through]) for feed in feeds]
        self._history = history
        self._clock = clock

    async def run(self) -> None:
        """One round in a thread: feeds may be slow, and so may disks."""
        await asyncio.to_thread(self.once)

    def once(self) -> None:
        """Takes in what closed since the last round that went well, feed by feed: of one that fails no bar is skipped,
        for it is asked again from there. Raises the failures together, when all feeds were asked."""
        failures: list[Exception] = []
        for feed, through in self._feeds:
            try:
                through[0] = self._taken_in(feed, through[0])
            except Exception as failure:  # noqa: BLE001 - raised below, with those of the others
                failures.append(failure)
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(self._feeds)} feeds failed", failures)

    def _taken_in(self, feed: Feed, after: Instant) -> Instant:
        through = self._clock()
        tables = [table for table in feed.closed_bars(after, through) if len(table)]
        if tables:
            self._history.append(tables, received_at=self._clock(), live=True)
        return through
