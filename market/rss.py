"""Headlines from RSS and Atom feeds. The only place that knows feedparser."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from html import unescape
from re import compile as pattern

import feedparser

from market.headline import Headline, HeadlineFault, headline
from ml.bars import Instant

#: Entries of one reading of a feed.
MOST_ENTRIES = 500
_TAG = pattern(r"<[^>]{0,1000}>")


class NoFeed(ValueError):  # noqa: N818 - told as it is
    """Bytes in which there is no feed."""


@dataclass(frozen=True, slots=True)
class FeedRead:
    """What was read: headlines, and faults in the place of those that are none."""

    headlines: tuple[Headline | HeadlineFault, ...]


def read_feed(content: bytes, source: str, read_at: Instant) -> FeedRead:
    """The entries of a feed, as headlines of `source`. One without a time of its own counts as published when it was
    read (`read_at`, ms UTC), and one that is dated later than that, too. Raises NoFeed."""
    parsed = feedparser.parse(content)
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        raise NoFeed("these bytes are no RSS or Atom feed")
    return FeedRead(tuple(_entry(one, source, read_at) for one in parsed.entries[:MOST_ENTRIES]))


def _entry(entry: feedparser.FeedParserDict, source: str, read_at: Instant) -> Headline | HeadlineFault:
    told = entry.get("published_parsed") or entry.get("updated_parsed")
    at = min(1_000 * calendar.timegm(told), read_at) if told else read_at
    title = unescape(_TAG.sub(" ", entry.get("title", "")))
    return headline(source, str(entry.get("id") or entry.get("link") or ""), at, title)
