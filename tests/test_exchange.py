"""An exchange that misbehaves, asked through ccxt's own code; and what the history holds afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import stamina
from pydantic import ValidationError

from commands.config import Config, Ledger, Models
from commands.feeds_config import Exchange, Feeds
from commands.running import scheduled
from market.exchange.asking import Asking
from market.exchange.following import Following, Wanted
from market.exchange.observing import Observing, WantedPoints
from market.exchange.venue import NoSuchExchange, NotTraded, Unreachable, Venue
from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.observed import FIELDS, Kind
from server import House, build
from tests.conftest import NOW, HandClock, hourly
from tests.loopback_exchange import LoopbackExchange, Trouble
from workers.follow import FeedFailed, Follow
from workers.schedule import Ran

pytestmark = pytest.mark.anyio
SYMBOLS = {"BTC": "BTC/USDT:USDT", "ETH": "ETH/USDT:USDT"}
DAYS = 4


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def exchange(clock: HandClock) -> LoopbackExchange:
    """Bars of two coins, up to two days from now; it tells those that have begun by its clock."""
    made = LoopbackExchange(clock)
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        made.plays(symbol, hourly(symbol, seed=seed, n=62 * 24, end=NOW + 2 * DAY_MS))
    return made


def follow(house: House, venue: Venue, days: int = DAYS, kinds: frozenset[Kind] = frozenset()) -> Follow:
    asking = Asking(at_once=8)
    return Follow(
        Following(venue, Wanted(SYMBOLS, (Timeframe.H1,), history_days=days), asking),
        Observing(venue, WantedPoints(SYMBOLS, kinds, history_days=days), asking),
        house.history,
        house.observations,
        house.clock,
        lambda share, word: None,
    )


def bars(house: House, symbol: str) -> Bars:
    timeline = house.history.timeline(symbol, Timeframe.H1)
    assert timeline is not None
    return timeline.latest()


async def test_history_is_filled_page_by_page_up_to_the_last_closed_bar(
    house: House, exchange: LoopbackExchange
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        await follow(house, venue, days=100).run()
        await venue.close()
    for symbol in SYMBOLS:
        got = bars(house, symbol)
        assert len(got) == 60 * 24
        assert got.close_at[-1] == NOW
        assert sum("klines?BTCUSDT" in one for one in exchange.asked) == 2  # 1,000 bars a page


async def test_bars_come_as_they_close_and_never_before(
    house: House, exchange: LoopbackExchange, clock: HandClock
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        job = follow(house, venue)
        await job.run()
        clock.at = NOW + HOUR_MS // 2
        await job.run()
        assert bars(house, "BTC").close_at[-1] == NOW
        clock.at = NOW + HOUR_MS + 2_000
        await job.run()
        await venue.close()
    for symbol in SYMBOLS:
        assert bars(house, symbol).close_at[-1] == NOW + HOUR_MS


@pytest.mark.parametrize("trouble", [one for one in Trouble if one is not Trouble.SILENCE], ids=lambda one: one.name)
async def test_whatever_it_does_once_the_history_ends_up_as_if_it_had_not(
    house: House, exchange: LoopbackExchange, clock: HandClock, trouble: Trouble
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        job = follow(house, venue)
        await job.run()
        for hour in range(1, 4):
            exchange.misbehaves(trouble, trouble)
            clock.at = NOW + hour * HOUR_MS + 2_000
            await job.run()
        exchange.troubles.clear()
        clock.at += HOUR_MS
        await job.run()
        await venue.close()
    for symbol, played in (("BTC", "BTCUSDT"), ("ETH", "ETHUSDT")):
        got = bars(house, symbol)
        assert got.close_at[-1] == NOW + 4 * HOUR_MS
        assert (np.diff(got.open_at) == HOUR_MS).all()
        expected = [exchange.candles[played][at][3] for at in got.open_at.tolist()]
        assert np.allclose(got.close, expected, rtol=1e-9)


async def test_a_revised_bar_is_kept_beside_what_was_known_of_it(
    house: House, exchange: LoopbackExchange, clock: HandClock
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        job = follow(house, venue)
        await job.run()
        before = float(bars(house, "BTC").close[-1])
        exchange.candles["BTCUSDT"][NOW - HOUR_MS][4] += 5.0  # the volume
        clock.at = NOW + HOUR_MS + 2_000
        await job.run()
        await venue.close()
    timeline = house.history.timeline("BTC", Timeframe.H1)
    assert timeline is not None
    then = timeline.edition(int(timeline.locate(np.array([NOW])).edition[0]))
    assert then.volume[-1] == bars(house, "BTC").volume[-2] - 5.0
    assert bars(house, "BTC").close[-2] == before


async def test_silence_is_a_failure_with_a_name_and_the_next_round_catches_up(
    house: House, exchange: LoopbackExchange, clock: HandClock
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url, timeout_seconds=0.05)
        job = follow(house, venue)
        await job.run()
        exchange.misbehaves(*[Trouble.SILENCE] * 8)
        clock.at = NOW + 3 * HOUR_MS + 2_000
        with pytest.raises(FeedFailed, match=r"2 failed, BTC 1h first: binanceusdm did not answer"):
            await job.run()
        assert bars(house, "BTC").close_at[-1] == NOW
        await job.run()
        await venue.close()
    assert bars(house, "BTC").close_at[-1] == NOW + 3 * HOUR_MS


async def test_a_delisted_symbol_holds_up_nobody(house: House, exchange: LoopbackExchange, clock: HandClock) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        job = follow(house, venue)
        await job.run()
        exchange.delisted.add("ETHUSDT")
        for hour in range(1, 4):
            clock.at = NOW + hour * HOUR_MS + 2_000
            await job.run()
        await venue.close()
    assert bars(house, "BTC").close_at[-1] == NOW + 3 * HOUR_MS
    assert bars(house, "ETH").close_at[-1] == NOW


async def test_funding_interest_and_books_are_told_in_numbers(exchange: LoopbackExchange) -> None:
    exchange.rates["BTCUSDT"] = [(NOW - 8 * HOUR_MS, 0.0001), (NOW, -0.00025)]
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        funding = await venue.points(Kind.FUNDING, "BTC/USDT:USDT", NOW - DAY_MS)
        interest = await venue.points(Kind.OPEN_INTEREST, "BTC/USDT:USDT", NOW - 5 * HOUR_MS)
        book = await venue.points(Kind.BOOK, "BTC/USDT:USDT", NOW)
        await venue.close()
    assert funding.at.tolist() == [NOW - 8 * HOUR_MS, NOW]
    assert funding.values[:, 0].tolist() == [0.0001, -0.00025]
    assert interest.values[0].tolist() == [75375.6, 3248828883.7]
    named = dict(zip(FIELDS[Kind.BOOK], book.values[0].tolist(), strict=True))
    assert named["bid_price_1"] < named["ask_price_1"] < named["ask_price_10"]
    assert named["bid_size_2"] == 2.5


async def test_what_is_observed_is_kept_and_followed_as_bars_are(
    house: House, exchange: LoopbackExchange, clock: HandClock
) -> None:
    exchange.rates["BTCUSDT"] = [(NOW + 8 * HOUR_MS * i, 1e-4 * i) for i in range(-3, 3)]
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        job = follow(house, venue, kinds=frozenset(Kind))
        await job.run()
        clock.at = NOW + 8 * HOUR_MS + 2_000
        exchange.misbehaves(Trouble.RESET, Trouble.BROKEN)
        await job.run()
        await venue.close()
    funding = house.observations.observed(Kind.FUNDING, "BTC")
    assert funding is not None
    assert funding.known(NOW).at.tolist() == [NOW + 8 * HOUR_MS * i for i in range(-3, 1)]
    assert funding.known(clock.at).at[-1] == NOW + 8 * HOUR_MS
    interest = house.observations.observed(Kind.OPEN_INTEREST, "ETH")
    assert interest is not None
    assert (np.diff(interest.at) == HOUR_MS).all()
    books = house.observations.observed(Kind.BOOK, "ETH")
    assert books is not None
    assert books.at.tolist() == [NOW, clock.at]


async def test_what_the_exchange_does_not_have_is_told_apart_from_what_it_did_not_say(
    exchange: LoopbackExchange,
) -> None:
    async with exchange.serving():
        venue = Venue("binanceusdm", base_url=exchange.url)
        with pytest.raises(NotTraded):
            await venue.bars("XXX/USDT:USDT", Timeframe.H1, NOW)
        exchange.misbehaves(*[Trouble.CUT_OFF] * 4)
        with pytest.raises(Unreachable):
            await venue.bars("BTC/USDT:USDT", Timeframe.H1, NOW - DAY_MS)
        await venue.close()
    with pytest.raises(NoSuchExchange):
        Venue("no_such_exchange")


async def test_an_exchange_of_the_config_feeds_answers_that_say_how_stale_they_are(
    exchange: LoopbackExchange, clock: HandClock, tmp_path: Path
) -> None:
    exchange.timeframe = "1h"
    async with exchange.serving():
        named = Exchange(name="binanceusdm", symbols=SYMBOLS, history_days=90, base_url=exchange.url)
        config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), feeds=Feeds(exchanges=(named,)))
        house = build(config, tmp_path / "fed", clock)
        schedule = scheduled(house, [], clock.at)
        assert await schedule.fire("exchange.binanceusdm") is Ran.DONE
        first = await house.call("get_market_regime", '{"symbol": "BTC"}', "test")
        assert json.loads(first.body)["data_origin"] == "binanceusdm"
        exchange.misbehaves(*[Trouble.BROKEN] * 40)
        clock.at = NOW + 4 * HOUR_MS + 2_000
        assert await schedule.fire("exchange.binanceusdm") is Ran.FAILED
        stale = json.loads((await house.call("get_market_regime", '{"symbol": "BTC"}', "test")).body)
        assert stale["stale"] is True
        assert stale["data_age_seconds"] == pytest.approx(4 * 3_600 + 2)
        exchange.troubles.clear()
        clock.at += 5_000
        assert await schedule.fire("exchange.binanceusdm") is Ran.DONE
        caught_up = json.loads((await house.call("get_market_regime", '{"symbol": "BTC"}', "test")).body)
        assert caught_up["stale"] is False
        await schedule.close()
        house.close()


def test_two_exchanges_do_not_feed_one_symbol() -> None:
    one = Exchange(name="binanceusdm", symbols=SYMBOLS)
    with pytest.raises(ValidationError, match="two exchanges feed BTC, ETH"):
        Feeds(exchanges=(one, Exchange(name="kraken", symbols=SYMBOLS)))
