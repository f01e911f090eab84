"""What happens in a market is told without anybody asking: bars, regimes, anomalies, feeds that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from commands.config import Config, Ledger, Models
from market.bar_table import BarTable, checked
from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.capability import AnyCapability, Question
from ml.catalogue import CATALOGUE
from registry.events import Event
from registry.faults import DiskFull
from server import House, build
from tests.conftest import NOW, HandClock, hourly, table
from tools.ask import Ask
from workers import watch as watch_module
from workers.watch import WATCH

pytestmark = pytest.mark.anyio

HOURS = 120 * 24


def after(hours: int, symbol: str = "AAA", seed: int = 1, jump: float = 1.0) -> BarTable:
    """The bar that closes `hours` after NOW; `jump` times its usual prices."""
    bars = hourly(symbol, seed=seed, n=HOURS + 50, end=NOW + 50 * HOUR_MS).between(HOURS + hours - 1, HOURS + hours)
    op, hi, lo, cl = (one * jump for one in (bars.open, bars.high, bars.low, bars.close))
    return checked(Bars(symbol, bars.timeframe, bars.open_at, op, hi, lo, cl, bars.volume), "files")


def arrives(house: House, clock: HandClock, *tables: BarTable, hours: int = 1) -> None:
    clock.at = NOW + hours * HOUR_MS + 500
    house.history.append(tables, received_at=clock.at, live=True)


def told(house: House, name: str | None = None) -> list[Any]:
    """Events of a name, or all, oldest first: what they say."""
    return [json.loads(one.payload) for one in events(house) if name in (None, one.name)]


def events(house: House) -> Sequence[Event]:
    return house.events.since(0, 1_000)


@pytest.fixture
async def watched(house: House) -> House:
    """The house, when all that had closed by NOW has been told."""
    assert await house.watch.once() == 2
    return house


async def test_a_bar_that_closes_is_told_of_when_every_capability_has_answered_on_it(
    watched: House, clock: HandClock
) -> None:
    before = events(watched)[-1].id
    arrives(watched, clock, after(1))
    assert await watched.watch.once() == 1
    (bar,) = (one for one in watched.events.since(before, 10) if one.name == "bar.closed")
    at = {"symbol": "AAA", "timeframe": "1h", "close_at": NOW + HOUR_MS}
    assert json.loads(bar.payload) == {**at, "received_at": clock.at}
    await watched.watch.more()
    for capability in CATALOGUE:
        for question in (capability.question(symbol="AAA"), *capability.replayed("AAA", Timeframe.H1)):
            (reply,) = await watched.ask.many(capability, [question], "test")
            entry = watched.ledger.find(reply.prediction_id)
            assert entry is not None
            assert entry.asked_by == WATCH, "it was there before anybody asked"


async def test_a_batch_is_asked_about_once_for_each_series_and_what_is_old_or_known_never(
    watched: House, clock: HandClock
) -> None:
    first = len(told(watched, "bar.closed"))
    arrives(watched, clock, after(1), after(2), after(2, "BBB", 2), hours=2)
    assert await watched.watch.once() == 2
    assert {one["close_at"] for one in told(watched, "bar.closed")[first:]} == {NOW + 2 * HOUR_MS}
    arrives(watched, clock, after(2), hours=2)
    arrives(watched, clock, after(1, jump=1.001), hours=3)
    assert await watched.watch.once() == 0, "one was known, the other revises a bar that was told of"
    watched.history.append(table("OLD", seed=3, end=NOW - DAY_MS), received_at=clock.at, live=False)
    assert await watched.watch.once() == 0, "an archive had its time"


async def test_a_violent_bar_is_an_anomaly_and_changes_the_regime(watched: House, clock: HandClock) -> None:
    for hours in range(1, 13):
        arrives(watched, clock, after(hours, jump=1.0 if hours < 3 else 2.0 + hours % 2), hours=hours)
        await watched.watch.once()
    (strange,) = (one for one in told(watched, "anomaly.detected") if one["close_at"] == NOW + 3 * HOUR_MS)
    assert strange["symbol"] == "AAA"
    assert strange["score"] >= 0.6
    changes = told(watched, "regime.changed")
    assert changes
    for earlier, later in pairwise(changes):
        assert earlier["label"] == later["before"]
    assert all(one["before"] != one["label"] for one in changes)
    for one in (strange, *changes):
        assert watched.ledger.find(one["prediction_id"]) is not None


async def test_bars_that_come_while_it_runs_are_told_of_by_themselves(house: House, clock: HandClock) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    async with house.changes.running([heard.put]), house.watch.running():
        await asyncio.to_thread(arrives, house, clock, after(1))
        while True:
            event = await asyncio.wait_for(heard.get(), 20)
            if event.name == "bar.closed" and json.loads(event.payload)["close_at"] == NOW + HOUR_MS:
                return


def reopened(house: House, clock: HandClock) -> House:
    folder = Path(house.store.path).parent
    house.close()
    return build(Config(ledger=Ledger(flush_ms=1), models=Models(train=False)), folder, clock)


async def test_a_restart_tells_nothing_twice(watched: House, clock: HandClock) -> None:
    before = [one.key for one in events(watched)]
    again = reopened(watched, clock)
    try:
        again.watch.remember()
        assert await again.watch.once() == 0
        assert [one.key for one in events(again)] == before
    finally:
        again.close()


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("when", ["before the answers", "before the events"])
async def test_what_was_not_told_when_the_server_was_killed_is_told_by_the_next(
    watched: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The regime of the hour before the kill is what the next server compares with."""

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    label = {"label": "trend_up"}
    with monkeypatch.context() as then:
        then.setattr(Ask, "many", _labelled(Ask.many, label))
        arrives(watched, clock, after(1))
        await watched.watch.once()
        arrives(watched, clock, after(2), hours=2)
        label["label"] = "range_bound"
        if when == "before the answers":
            then.setattr(Ask, "many", killed)
        else:
            then.setattr(watched.events, "publish_all", killed)
        with pytest.raises(Killed):
            await watched.watch.once()
    again = reopened(watched, clock)
    try:
        clock.at = NOW + 2 * HOUR_MS + 60_000
        label_at = {NOW + HOUR_MS + 500: "trend_up"}
        monkeypatch.setattr(Ask, "many", _labelled(Ask.many, {"label": "range_bound"}, label_at))
        again.watch.remember()
        assert await again.watch.once() == 1
        (changed,) = (one for one in told(again, "regime.changed") if one["close_at"] == NOW + 2 * HOUR_MS)
        assert (changed["before"], changed["label"]) == ("trend_up", "range_bound")
        assert told(again, "bar.closed")[-1]["close_at"] == NOW + 2 * HOUR_MS
    finally:
        again.close()


def _labelled(many: Callable[..., Any], label: dict[str, str], at: dict[int, str] | None = None) -> Callable[..., Any]:
    """The road, but the regime is what the test says; `at` an instant that is asked about, another."""

    async def road(self: Ask, capability: AnyCapability, questions: Sequence[Question], asked_by: str) -> Any:
        replies = await many(self, capability, questions, asked_by)
        if capability.name != "regime":
            return replies
        as_of = questions[0].as_of
        said = (at or {}).get(round(as_of.timestamp() * 1_000)) if as_of else label["label"]
        return [
            one.model_copy(update={"answer": one.answer.model_copy(update={"label": said or "unasked"})})
            for one in replies
        ]

    return road


async def test_a_series_that_cannot_be_asked_about_waits_and_the_others_are_told_of(
    watched: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    many = Ask.many

    async def poisoned(self: Ask, capability: AnyCapability, questions: Sequence[Question], asked_by: str) -> Any:
        if questions[0].symbol == "AAA":
            raise ValueError("poison")
        return await many(self, capability, questions, asked_by)

    arrives(watched, clock, after(1), after(1, "BBB", 2))
    with monkeypatch.context() as then:
        then.setattr(Ask, "many", poisoned)
        await watched.watch.once()
    assert [one["symbol"] for one in told(watched, "bar.closed")[2:]] == ["BBB"]
    assert "a bar of AAA 1h could not be asked about" in caplog.text
    assert await watched.watch.once() == 1
    assert [one["symbol"] for one in told(watched, "bar.closed")[3:]] == ["AAA"]


@pytest.mark.parametrize("fails", ["a later capability", "the outbox"])
async def test_a_regime_that_changed_is_told_of_though_it_could_not_be_at_first(
    watched: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    label = {"label": "trend_up"}
    road = _labelled(Ask.many, label)
    monkeypatch.setattr(Ask, "many", road)
    arrives(watched, clock, after(1))
    await watched.watch.once()
    label["label"] = "trend_down"
    arrives(watched, clock, after(2), hours=2)

    async def failing(self: Ask, capability: AnyCapability, questions: Sequence[Question], asked_by: str) -> Any:
        if capability.name == CATALOGUE[-1].name:
            raise ValueError("not now")
        return await road(self, capability, questions, asked_by)

    def full(*facts: Any) -> None:
        raise DiskFull("no space left")

    with monkeypatch.context() as then:
        if fails == "the outbox":
            then.setattr(watched.events, "publish_all", full)
            with pytest.raises(DiskFull):
                await watched.watch.once()
        else:
            then.setattr(Ask, "many", failing)
            await watched.watch.once()
    assert await watched.watch.once() == 1
    changed = [(one["before"], one["label"]) for one in told(watched, "regime.changed")]
    assert changed[-1] == ("trend_up", "trend_down")
    assert changed.count(("trend_up", "trend_down")) == 1


async def test_on_a_full_disk_news_waits_and_is_told_when_there_is_space_again(
    house: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "AGAIN_SECONDS", 0.01)
    space, publish_all = asyncio.Event(), house.events.publish_all
    failed = 0

    def full(*facts: Any) -> None:
        nonlocal failed
        if failed < 2:
            failed += 1
            raise DiskFull("no space left")
        publish_all(*facts)

    monkeypatch.setattr(house.events, "publish_all", full)
    monkeypatch.setattr(house.watch, "published", space.set)
    async with house.watch.running():
        await asyncio.wait_for(space.wait(), 20)
    assert {one["symbol"] for one in told(house, "bar.closed")} == {"AAA", "BBB"}


async def test_a_feed_that_fails_is_told_of_once_and_once_that_it_is_back(house: House, clock: HandClock) -> None:
    look = house.staleness.once
    assert look() == 0
    clock.at = NOW + 4 * HOUR_MS
    house.history.append(after(3, "BBB", 2), received_at=clock.at, live=True)
    assert [look(), look()] == [1, 0]
    (stale,) = told(house, "feed.stale")
    assert stale == {"symbol": "AAA", "timeframe": "1h", "last_close_at": NOW}
    house.history.append(after(1), received_at=clock.at, live=True)
    assert look() == 0, "it lags, and is stale all the same"
    house.history.append(after(4), received_at=clock.at, live=True)
    assert [look(), look()] == [1, 0]
    assert told(house, "feed.recovered") == [{**stale, "last_close_at": NOW + 4 * HOUR_MS}]
    clock.at = NOW + 8 * HOUR_MS
    assert look() == 2, "another episode, and BBB with it"


async def test_an_episode_outlives_a_restart_and_an_archive_is_no_feed(house: House, clock: HandClock) -> None:
    house.history.append(table("OLD", seed=3, end=NOW - 40 * DAY_MS), received_at=NOW, live=False)
    clock.at = NOW + 4 * HOUR_MS
    assert house.staleness.once() == 2
    again = reopened(house, clock)
    try:
        assert again.staleness.once() == 0
        again.history.append(after(4), received_at=clock.at, live=True)
        await again.staleness.run()
        assert [one["symbol"] for one in told(again, "feed.recovered")] == ["AAA"]
    finally:
        again.close()
