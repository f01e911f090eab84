"""The jobs of a house: wired to its parts and its config, from a bar that closes to statistics in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.config import Config, Features, Market
from commands.config import Schedule as Cadences
from commands.running import sample_work, scheduled
from market.bar_table import BarTable, checked
from market.quality import USABLE
from ml.bars import DAY_MS, HOUR_MS, Timeframe
from registry.jobs import JobRuns
from server import House, app, build
from tests.conftest import NOW, HandClock, hourly
from workers import schedule as schedule_module
from workers.refresh import Refresh
from workers.schedule import Job, Ran, Schedule

pytestmark = pytest.mark.anyio

NEWER = hourly("AAA", seed=1, n=120 * 24 + 240, end=NOW + 240 * HOUR_MS).between(120 * 24, 120 * 24 + 240)


class Exchange:
    """Bars of AAA after NOW; fails when told to."""

    def __init__(self) -> None:
        self.fails = False
        self.asked: list[tuple[int, int]] = []

    def closed_bars(self, after_ms: int, through_ms: int) -> Sequence[BarTable]:
        self.asked.append((after_ms, through_ms))
        if self.fails:
            raise ConnectionError("the exchange does not answer")
        first, stop = ((one - NOW) // HOUR_MS for one in (after_ms, through_ms))
        return [checked(NEWER.between(first, stop), "files")]


def through(house: House, symbol: str = "AAA") -> int:
    (info,) = (one for one in house.history.series() if one.symbol == symbol and one.timeframe is Timeframe.H1)
    return info.last_close


async def test_a_bar_that_closes_becomes_history_then_features_then_statistics(house: House, clock: HandClock) -> None:
    schedule = scheduled(house, [Exchange()], through=NOW)
    clock.at = NOW + HOUR_MS + 130_000
    for name in ("refresh", "features", "feature_statistics"):
        assert await schedule.fire(name) is Ran.DONE
    assert through(house) == NOW + HOUR_MS
    (row,) = house.features.rows("AAA", Timeframe.H1, 0, clock.at)
    assert (row.as_of, row.data_through) == (clock.at, NOW + HOUR_MS)
    (other,) = house.features.rows("BBB", Timeframe.H1, 0, clock.at)
    usable = sum(one.quality > USABLE for one in (row, other))
    assert house.summaries.in_force(Timeframe.H1, clock.at)["rsi_14"].n == usable > 0
    assert house.summaries.in_force(Timeframe.H1, clock.at - 1) == {}


async def test_features_wait_for_the_bar_of_their_hour_and_statistics_for_the_day(
    house: House, clock: HandClock
) -> None:
    schedule = scheduled(house, [], through=NOW)
    assert await schedule.fire("features") is Ran.DONE  # the slot of the hour before
    clock.at = NOW + 119_999
    assert await schedule.fire("features") is Ran.PASSED_OVER
    clock.at = NOW + 120_000
    assert await schedule.fire("features") is Ran.DONE
    assert await schedule.fire("feature_statistics") is Ran.DONE
    clock.at = NOW + 900_000
    assert await schedule.fire("feature_statistics") is Ran.DONE
    clock.at += DAY_MS - 1
    assert await schedule.fire("feature_statistics") is Ran.PASSED_OVER


async def test_cadences_and_series_are_those_of_the_config(tmp_path: Path, clock: HandClock) -> None:
    config = Config(
        features=Features(symbols=("BBB",), timeframes=frozenset({Timeframe.H1})),
        schedule=Cadences(refresh_seconds=5, features_seconds=60, feature_statistics_seconds=120),
    )
    house = build(config, tmp_path / "data", clock)
    try:
        tables = [checked(hourly(symbol, seed=1, n=60), "files") for symbol in ("AAA", "BBB")]
        house.history.append(tables, received_at=NOW, live=False)
        schedule = scheduled(house, [Exchange()], through=NOW)
        for after, name in ((5, "refresh"), (10, "features"), (60, "feature_statistics")):
            clock.at = NOW + 1_000 * after - 1
            await schedule.fire(name)
            clock.at += 1
            assert await schedule.fire(name) is Ran.DONE, name
        assert {symbol for symbol, _ in house.features.newest()} == {"BBB"}
    finally:
        house.close()


async def test_a_feed_that_fails_is_asked_again_for_the_same_bars_and_keeps_no_other_waiting(
    house: House, clock: HandClock
) -> None:
    bad, good = Exchange(), Exchange()
    bad.fails = True
    schedule = Schedule(
        [Job("refresh", 60, Refresh([bad, good], house.history, house.clock, NOW).run)],
        JobRuns(house.store, "local"),
        house.clock,
    )
    clock.at = NOW + HOUR_MS
    assert await schedule.fire("refresh") is Ran.FAILED
    assert through(house) == NOW + HOUR_MS
    bad.fails = False
    clock.at = NOW + 2 * HOUR_MS
    assert await schedule.fire("refresh") is Ran.DONE
    assert bad.asked == [(NOW, NOW + HOUR_MS), (NOW, NOW + 2 * HOUR_MS)]
    assert good.asked[-1] == (NOW + HOUR_MS, NOW + 2 * HOUR_MS)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The schedulers of APScheduler that were started."""
    found: list[Any] = []
    make = vars(schedule_module)["AsyncIOScheduler"]

    def made(**settings: object) -> object:
        found.append(make(**settings))
        return found[-1]

    monkeypatch.setattr(schedule_module, "AsyncIOScheduler", made)
    return found


async def test_the_schedule_starts_and_ends_with_the_app(house: House, started: list[Any]) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        begun.set()
        await may_end.wait()

    served = app(house, Schedule([Job("held", 3_600, job)], JobRuns(house.store, "local"), house.clock))
    async with served.router.lifespan_context(served):
        await begun.wait()
        assert started[0].running
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            reply = await client.post("/v1/tools/get_server_status", json={})
        assert reply.status_code == 200
        may_end.set()
    assert not started[0].running


async def test_apscheduler_fires_each_job_at_the_beginning_of_its_slots_however_late(
    house: House, started: list[Any]
) -> None:
    schedule = scheduled(house, [Exchange()], through=NOW)
    async with schedule.running():
        jobs = {job.id: job for job in started[0].get_jobs()}
    assert {name: str(job.trigger) for name, job in jobs.items()} == {
        "refresh": "interval[0:01:00]",
        "settle": "interval[0:05:00]",
        "staleness": "interval[0:01:00]",
        "features": "interval[1:00:00]",
        "feature_statistics": "interval[1 day, 0:00:00]",
        "sweep": "interval[1 day, 0:00:00]",
        "past": "interval[1:00:00]",
    }
    for name, job in jobs.items():
        assert (job.coalesce, job.misfire_grace_time, job.max_instances) == (True, None, 1)
        due_ms = round(1_000 * job.next_run_time.timestamp())
        assert schedule.slot(name, due_ms) == due_ms
        assert job.next_run_time.tzname() == "UTC"


async def test_the_sample_market_grows_by_the_schedule_and_after_a_restart(tmp_path: Path, clock: HandClock) -> None:
    config = Config(market=Market(sample=True))
    for round_ in range(2):
        house = build(config, tmp_path / "data", clock)
        schedule = sample_work(house)
        try:
            clock.at += HOUR_MS
            assert await schedule.fire("refresh") is Ran.DONE
            assert await schedule.fire("features") is Ran.DONE
            assert through(house, "SIMBTC") == clock.at
            assert len(house.features.rows("SIMBTC", Timeframe.H1, 0, clock.at)) == round_ + 1
        finally:
            house.close()


async def test_features_are_told_of_in_the_log_once_a_round(
    house: House, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert await scheduled(house, [], NOW).fire("features") is Ran.DONE
    assert json.dumps([one.getMessage() for one in caplog.records]).count("2 rows written, 0 series") == 1
