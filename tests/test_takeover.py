"""Stops and kills in the middle of work: what was cut off is run again by the next owner, and nothing else is."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from commands.config import Config, Ledger
from commands.running import scheduled, take_over
from ml.capability import AnyCapability
from registry.jobs import JobRuns
from registry.leases import Leases
from registry.models import State
from registry.store import Store
from registry.tables import job_runs
from server import House, app, build
from tests import served_learner
from tests.conftest import NOW, HandClock, table
from workers.schedule import CutOff, Job, Ran, Schedule
from workers.train import LEASE

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
HOUR = 3_600


@pytest.fixture
def learning(tmp_path: Path, clock: HandClock) -> Iterator[Callable[[], House]]:
    """Opens one folder, with 80 weeks of two symbols, again and again; volatility is taught by a toy."""
    houses: list[House] = []

    def open_() -> House:
        if houses:
            houses[-1].close()
        catalogue: tuple[AnyCapability, ...] = served_learner.GOOD
        config = Config(ledger=Ledger(flush_ms=1))
        taught_by = "tests.served_learner:GOOD"
        houses.append(build(config, tmp_path / "data", clock, catalogue=catalogue, taught_by=taught_by))
        if not houses[-1].history.series():
            bars = [table("AAA", seed=1, n=80 * 168), table("BBB", seed=2, n=80 * 168)]
            houses[-1].history.append(bars, received_at=NOW, live=False)
        take_over(houses[-1])
        return houses[-1]

    yield open_
    houses[-1].close()


def states(store: Store, job: str) -> list[tuple[str, str | None]]:
    with store.read() as connection:
        rows = connection.execute(select(job_runs).where(job_runs.c.job == job).order_by(job_runs.c.slot)).all()
        return [(row.state, row.detail) for row in rows]


async def test_a_stop_in_the_middle_of_a_training_loses_nothing(
    learning: Callable[[], House], clock: HandClock
) -> None:
    house = learning()
    begun = asyncio.Event()

    def hear(share: float, doing: str) -> None:
        if doing == "fitting":
            loop.call_soon_threadsafe(begun.set)

    loop = asyncio.get_running_loop()
    (retrain,) = house.retrains
    schedule = Schedule(
        [Job("retrain.volatility", 7 * 24 * HOUR, lambda: retrain.run(hear))], house.trainer.jobs, clock
    )
    served = app(house, schedule)
    async with served.router.lifespan_context(served):
        await begun.wait()
    assert states(house.store, "retrain.volatility") == [("cut off", "stopped: the server is stopping")]
    assert len(house.versions.of("volatility")) == 1, "nothing half made is registered"

    clock.at += 1_000
    again = learning()
    after = scheduled(again, [], clock.at)
    assert await after.fire("retrain.volatility") is Ran.DONE
    assert again.versions.show("volatility", 1).state is State.CHAMPION
    assert await scheduled(again, [], clock.at).fire("retrain.volatility") is Ran.PASSED_OVER, "once is enough"


async def test_after_a_kill_in_the_middle_of_a_training_the_next_owner_trains_at_once(
    learning: Callable[[], House], clock: HandClock
) -> None:
    house = learning()
    slot = scheduled(house, [], clock.at).slot("retrain.volatility", clock.at)
    assert house.trainer.jobs.claim("retrain.volatility", slot, clock.at)
    assert house.trainer.leases.claim(LEASE, "retrain.volatility", clock.at) is not None
    clock.at += 1_000
    again = learning()
    assert states(again.store, "retrain.volatility") == [("cut off", "its process ended")]
    assert await scheduled(again, [], clock.at).fire("retrain.volatility") is Ran.DONE
    assert again.versions.show("volatility", 1).state is State.CHAMPION


async def test_only_a_run_that_was_cut_off_may_be_claimed_again(store: Store) -> None:
    runs = JobRuns(store, "local")
    for job in ("done", "failed", "stopped", "killed"):
        assert runs.claim(job, 1, NOW)
    runs.finish("done", 1, NOW)
    runs.finish("failed", 1, NOW, failure="no luck")
    runs.finish("stopped", 1, NOW, failure="told to stop", cut_off=True)
    assert [runs.claim(job, 1, NOW) for job in ("done", "failed", "stopped", "killed")] == [False, False, True, False]
    assert runs.abandon(NOW) == 2
    assert [runs.claim(job, 1, NOW) for job in ("done", "failed", "stopped", "killed")] == [False, False, True, True]
    assert JobRuns(store, "other").abandon(NOW) == 0
    assert states(store, "stopped") == [("running", None)]


async def test_a_job_that_says_that_it_was_cut_off_is_marked_so_and_comes_again(store: Store, clock: HandClock) -> None:
    told: list[str] = []

    async def run() -> None:
        told.append("begun")
        if len(told) == 1:
            raise CutOff("the server is stopping")

    schedule = Schedule([Job("long", HOUR, run)], JobRuns(store, "local"), clock)
    assert await schedule.fire("long") is Ran.CUT_OFF
    assert await schedule.fire("long") is Ran.DONE
    assert await schedule.fire("long") is Ran.PASSED_OVER
    assert states(store, "long") == [("done", None)]


def test_leases_of_the_dead_are_void_and_their_holders_find_out(store: Store) -> None:
    leases = Leases(store, "local", 60_000)
    lease = leases.claim("training", "one", NOW)
    assert lease is not None
    assert leases.claim("training", "other", NOW + 1) is None
    leases.void(NOW + 1)
    taken = leases.claim("training", "other", NOW + 1)
    assert taken is not None
    assert taken.term == lease.term + 1


def race(*arguments: str) -> tuple[int, dict[str, int]]:
    # A process of its own: it forks, which a test runner with threads should not.
    command = [sys.executable, "-m", "benchmarks.owner_race", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    said = re.findall(r"(\d+) (owners killed|took the folder|cut off|wrong)", done.stdout.splitlines()[-1])
    return done.returncode, {word: int(number) for number, word in said}


def test_of_owners_that_race_and_are_killed_one_has_the_folder_and_no_run_is_lost_or_done_twice() -> None:
    code, found = race("--kills", "8", "--seed", "9")
    assert (code, found["wrong"]) == (0, 0)
    assert found["took the folder"] == found["owners killed"] + 1 == 9
    assert found["cut off"] > 0


def test_the_race_notices_runs_that_nobody_took_over() -> None:
    code, found = race("--kills", "12", "--seed", "9", "--careless")
    assert code == 1
    assert found["wrong"] > 0
