"""Reads RSS and Atom feeds: headlines, with their source and time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from market.headlines import HeadlineReceipt, Headlines
from market.rss import NoFeed, read_feed
from market.web import NotFetched
from ml.bars import Instant

log = logging.getLogger(__name__)


class NewsFailed(Exception):  # noqa: N818 - told as it is
    """Some feeds could not be read; all others were. They are read again next time."""


@dataclass(frozen=True, slots=True)
class ReadNews:
    """The job. `feeds` are addresses by the name of their source; `page` fetches one (raises NotFetched)."""

    feeds: Mapping[str, str]
    page: Callable[[str], Awaitable[bytes]]
    headlines: Headlines
    clock: Callable[[], Instant]

    async def run(self) -> None:
        """All feeds at once; each counts for itself. Raises NewsFailed."""
        failed = [one for one in await asyncio.gather(*(self._one(*feed) for feed in self.feeds.items())) if one]
        if failed:
            raise NewsFailed(f"{len(failed)} of {len(self.feeds)} feeds failed: {'; '.join(failed)}")

    async def _one(self, source: str, url: str) -> str | None:
        try:
            receipt = await asyncio.to_thread(self._take_in, source, await self.page(url))
        except (NotFetched, NoFeed) as failure:
            return f"{source}: {failure}"
        if receipt.kept:
            log.info("%s: %d headlines", source, receipt.kept)
        return None

    def _take_in(self, source: str, content: bytes) -> HeadlineReceipt:
        now = self.clock()
        return self.headlines.append(read_feed(content, source, now).headlines, received_at=now, live=True)
