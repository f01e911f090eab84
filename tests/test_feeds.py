"""Watched folders and feeds of headlines."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
import stamina

from market.web import LARGEST_BYTES, Web
from ml.bars import HOUR_MS, Timeframe
from ml.observed import Kind
from server import House
from tests.conftest import NOW, HandClock, hourly
from tests.test_headlines import RSS
from workers.read_news import NewsFailed, ReadNews
from workers.watch_folders import FileRefused, WatchFolders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def watch(house: House, folder: Path) -> WatchFolders:
    return WatchFolders([folder], house.history, house.observations, house.headlines, house.clock)


def bar_csv(path: Path, symbol: str, n: int = 50, end: int = NOW) -> None:
    bars = hourly(symbol, seed=5, n=n, end=end)
    columns = (bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = "\n".join(",".join(map(repr, (int(row[0]), *map(float, row[1:])))) for row in zip(*columns, strict=True))
    path.write_text(f"timestamp,open,high,low,close,volume\n{rows}\n")


def test_a_file_is_taken_in_once_it_is_whole_and_again_when_it_grows(
    house: House, folder: Path, clock: HandClock
) -> None:
    job = watch(house, folder)
    bar_csv(folder / "CCC_1h.csv", "CCC")
    assert job.once() == 0, "it may still be written to"
    assert job.once() == 1
    assert job.once() == 0
    clock.at = NOW + HOUR_MS
    bar_csv(folder / "CCC_1h.csv", "CCC", n=51, end=NOW + HOUR_MS)
    os.utime(folder / "CCC_1h.csv", ns=(1, 1))
    job.once()
    assert job.once() == 1
    timeline = house.history.timeline("CCC", Timeframe.H1)
    assert timeline is not None
    assert timeline.latest().close_at[-1] == NOW + HOUR_MS


def test_funding_interest_books_and_headlines_lie_beside_bars(house: House, folder: Path) -> None:
    (folder / "CCC_funding.csv").write_text(f"timestamp,rate\n{NOW - HOUR_MS},0.0001\n{NOW},0.0002\n")
    (folder / "CCC_open_interest.csv").write_text(f"timestamp,contracts\n{NOW},12.5\n")
    levels = "bid_price_1,bid_size_1,ask_price_1,ask_size_1"
    (folder / "CCC_book.csv").write_text(f"timestamp,{levels}\n{NOW},99,1,101,2\n")
    (folder / "wire_headlines.csv").write_text(f"timestamp,title,symbols\n{NOW},Bitcoin falls,CCC DDD\n")
    job = watch(house, folder)
    job.once()
    assert job.once() == 4
    for kind in Kind:
        observed = house.observations.observed(kind, "CCC")
        assert observed is not None
        assert len(observed.known(NOW)) > 0
    assert house.headlines.known(NOW)[0].headline.symbols == ("CCC", "DDD")


def test_a_file_that_says_nothing_to_us_is_named_and_keeps_no_other_out(house: House, folder: Path) -> None:
    bar_csv(folder / "CCC_1h.csv", "CCC")
    (folder / "notes.txt").write_text("hello")
    (folder / "DDD_1h.csv").write_text("timestamp,open\n1,2\n")
    job = watch(house, folder)
    job.once()
    with pytest.raises(FileRefused, match=r"2 of 3 files were not taken in.*"):
        job.once()
    assert house.history.timeline("CCC", Timeframe.H1) is not None
    assert job.once() == 0, "they are looked at again when they change"


def news(house: House, web: Web) -> ReadNews:
    return ReadNews({"wire": "http://wire/rss", "gone": "http://gone/rss"}, web.page, house.headlines, house.clock)


@pytest.mark.anyio
async def test_headlines_are_read_with_their_source_and_a_feed_that_fails_holds_up_nobody(house: House) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, content=RSS) if request.url.host == "wire" else httpx.Response(503)

    web = Web(transport=httpx.MockTransport(answer))
    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(NewsFailed, match=r"1 of 2 .* gone: .*503"):
        await news(house, web).run()
    assert asked.count("gone") == 3
    assert {one.headline.source for one in house.headlines.known(NOW)} == {"wire"}
    await web.close()


@pytest.mark.anyio
async def test_a_page_without_end_and_a_page_that_is_no_feed_are_refused(house: House) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * (LARGEST_BYTES + 1) if request.url.host == "wire" else b"<html/>")

    web = Web(transport=httpx.MockTransport(answer))
    with pytest.raises(NewsFailed, match=r"2 of 2 .*wire: the feed is larger than .*gone: these bytes are no RSS"):
        await news(house, web).run()
    assert not len(house.headlines)
    await web.close()
