"""The jobs that bring data in: exchanges, watched folders, headlines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from market.exchange.asking import Asking
from market.exchange.following import Following, Wanted
from market.exchange.observing import Observing, WantedPoints
from market.exchange.venue import Venue
from market.headlines import Headlines
from market.history import History
from market.observations import Observations
from market.web import Web
from ml.bars import Instant, Timeframe
from ml.observed import Kind
from workers.follow import Follow
from workers.jobs import Ears
from workers.read_news import ReadNews
from workers.schedule import Job
from workers.watch_folders import WatchFolders


class ExchangeSettings(Protocol):
    """What is wanted of one exchange."""

    @property
    def name(self) -> str: ...
    @property
    def symbols(self) -> Mapping[str, str]: ...
    @property
    def timeframes(self) -> Sequence[Timeframe]: ...
    @property
    def history_days(self) -> int: ...
    @property
    def observe(self) -> frozenset[Kind]: ...
    @property
    def every_seconds(self) -> int: ...
    @property
    def books_every_seconds(self) -> int: ...
    @property
    def at_once(self) -> int: ...
    @property
    def base_url(self) -> str | None: ...


class NewsSettings(Protocol):
    """One feed of headlines."""

    @property
    def source(self) -> str: ...
    @property
    def url(self) -> str: ...


class FeedSettings(Protocol):
    """Everything that is followed."""

    @property
    def exchanges(self) -> Sequence[ExchangeSettings]: ...
    @property
    def folders(self) -> Sequence[str]: ...
    @property
    def folders_every_seconds(self) -> int: ...
    @property
    def news(self) -> Sequence[NewsSettings]: ...
    @property
    def news_every_seconds(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """Where everything goes that comes in."""

    history: History
    observations: Observations
    headlines: Headlines
    clock: Callable[[], Instant]


def feed_jobs(settings: FeedSettings, into: Incoming, progress: Ears) -> tuple[Job, ...]:
    """A job for each exchange, one for all folders, one for all headlines. Raises NoSuchExchange."""
    jobs: list[Job] = []
    for one in settings.exchanges:
        venue = Venue(one.name, base_url=one.base_url)
        jobs.append(
            Job(f"exchange.{one.name}", one.every_seconds, _follow(one, venue, into, progress).run, close=venue.close)
        )
    if settings.folders:
        folders = [Path(one) for one in settings.folders]
        watch = WatchFolders(folders, into.history, into.observations, into.headlines, into.clock)
        jobs.append(Job("folders", settings.folders_every_seconds, watch.run))
    if settings.news:
        web = Web()
        news = ReadNews({one.source: one.url for one in settings.news}, web.page, into.headlines, into.clock)
        jobs.append(Job("news", settings.news_every_seconds, news.run, close=web.close))
    return tuple(jobs)


def _follow(one: ExchangeSettings, venue: Venue, into: Incoming, progress: Ears) -> Follow:
    asking = Asking(one.at_once)
    wanted = Wanted(one.symbols, one.timeframes, one.history_days)
    points = WantedPoints(one.symbols, one.observe, one.history_days, 1_000 * one.books_every_seconds)
    told = progress(f"history of {one.name}")
    return Follow(
        Following(venue, wanted, asking),
        Observing(venue, points, asking),
        into.history,
        into.observations,
        into.clock,
        told,
    )
