"""Jobs run once per slot whoever fires them, come again after a failure, and are waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from registry.jobs import JobRuns
from registry.store import Store
from registry.tables import job_runs
from tests.conftest import NOW, HandClock
from workers.schedule import Job, Ran, Schedule

pytestmark = pytest.mark.anyio

HOUR = 3_600


class Work:
    """A job body that counts, fails when told to, and can be held up."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails = False
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> None:
        self.runs += 1
        self.begun.set()
        await self.may_end.wait()
        if self.fails:
            raise ZeroDivisionError("no luck")


def schedule_of(store: Store, clock: HandClock, *bodies: Callable[[], Awaitable[None]]) -> Schedule:
    jobs = [Job(f"job{i}", HOUR, body) for i, body in enumerate(bodies)]
    return Schedule(jobs, JobRuns(store, "local"), clock)


def rows(store: Store) -> list[tuple[str, int, str, str | None]]:
    with store.read() as connection:
        found = connection.execute(
            select(job_runs.c.job, job_runs.c.slot, job_runs.c.state, job_runs.c.detail).order_by(job_runs.c.slot)
        )
        return [tuple(row) for row in found]


async def test_a_slot_runs_once_though_two_schedules_fire_it(store: Store, clock: HandClock) -> None:
    work = Work()
    here, there = schedule_of(store, clock, work), schedule_of(store, clock, work)
    fired = await asyncio.gather(*(one.fire("job0") for one in (here, there, here, there)))
    assert (sorted(fired), work.runs) == ([Ran.DONE, *[Ran.PASSED_OVER] * 3], 1)
    clock.at += HOUR * 1_000 - 1
    assert await there.fire("job0") is Ran.PASSED_OVER
    clock.at += 1
    assert (await there.fire("job0"), await here.fire("job0"), work.runs) == (Ran.DONE, Ran.PASSED_OVER, 2)
    assert [row[1:] for row in rows(store)] == [(NOW, "done", None), (NOW + HOUR * 1_000, "done", None)]


async def test_a_restart_does_not_run_a_slot_again(store: Store, clock: HandClock) -> None:
    work, first, second = Work(), Work(), Work()
    for after in (first, second):
        jobs = [Job("work", HOUR, work), Job(f"after{id(after)}", HOUR, after)]
        async with Schedule(jobs, JobRuns(store, "local"), clock).running():
            await after.begun.wait()
    assert (work.runs, first.runs, second.runs) == (1, 1, 1)


async def test_a_job_that_raises_is_logged_marked_and_comes_again(
    store: Store, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    work.fails = True
    schedule = schedule_of(store, clock, work)
    assert await schedule.fire("job0") is Ran.FAILED
    assert "job0 failed; it comes again with its next slot" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert rows(store) == [("job0", NOW, "failed", "ZeroDivisionError: no luck")]
    work.fails = False
    clock.at += HOUR * 1_000
    assert await schedule.fire("job0") is Ran.DONE
    assert work.runs == 2


async def test_what_came_due_while_the_server_was_down_runs_when_it_starts_in_order(
    store: Store, clock: HandClock
) -> None:
    order: list[str] = []
    work = Work()

    async def first() -> None:
        order.append("first")
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def second() -> None:
        order.append("second")
        await work()

    async with schedule_of(store, clock, first, second).running():
        await work.begun.wait()
    assert order == ["first", "second"]
    assert sorted(row[2] for row in rows(store)) == ["done", "failed"]


async def test_a_stop_waits_for_the_job_that_runs_and_begins_no_other(store: Store, clock: HandClock) -> None:
    held, other = Work(), Work()
    held.may_end.clear()
    schedule = schedule_of(store, clock, held, other)

    async def serve() -> None:
        async with schedule.running():
            await held.begun.wait()

    serving = asyncio.create_task(serve())
    await held.begun.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not serving.done()
    held.may_end.set()
    await serving
    assert (held.runs, other.runs) == (1, 0)
    assert [row[2] for row in rows(store)] == ["done"]


async def test_a_job_that_still_runs_is_not_begun_a_second_time(store: Store, clock: HandClock) -> None:
    work = Work()
    work.may_end.clear()
    schedule = schedule_of(store, clock, work)
    running = asyncio.create_task(schedule.fire("job0"))
    await work.begun.wait()
    clock.at += HOUR * 1_000
    assert await schedule.fire("job0") is Ran.PASSED_OVER
    work.may_end.set()
    assert (await running, work.runs) == (Ran.DONE, 1)
    assert await schedule.fire("job0") is Ran.DONE  # that slot was not lost


async def test_a_job_that_was_cut_off_is_marked_so(store: Store, clock: HandClock) -> None:
    work = Work()
    work.may_end.clear()
    running = asyncio.create_task(schedule_of(store, clock, work).fire("job0"))
    await work.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rows(store) == [("job0", NOW, "cut off", "stopped before its end")]


class DeafClaims:
    """A store that cannot be written to, at first."""

    def __init__(self) -> None:
        self.asked = 0

    def claim(self, job: str, slot: int, at: int) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise OSError("busy")
        return True

    def finish(self, job: str, slot: int, at: int, *, failure: str | None = None, cut_off: bool = False) -> None:
        pass


async def test_claims_that_fail_are_logged_and_the_other_jobs_run(
    clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    skipped, work = Work(), Work()
    jobs = [Job("skipped", HOUR, skipped), Job("work", HOUR, work)]
    with caplog.at_level(logging.ERROR):
        async with Schedule(jobs, DeafClaims(), clock).running():
            await work.begun.wait()
    assert (skipped.runs, work.runs) == (0, 1)
    assert "skipped: its run could not be claimed or written down" in caplog.text


async def test_jobs_are_told_apart_by_name(store: Store, clock: HandClock) -> None:
    schedule = schedule_of(store, clock, Work(), Work())
    assert (await schedule.fire("job0"), await schedule.fire("job1")) == (Ran.DONE, Ran.DONE)
    with pytest.raises(KeyError):
        await schedule.fire("job2")
    with pytest.raises(ValueError, match="two jobs have one name"):
        Schedule([Job("a", HOUR, Work()), Job("a", HOUR, Work())], JobRuns(store, "local"), clock)


@pytest.mark.parametrize(("every", "after"), [(0, 0), (-1, 0), (60, 60), (60, -1)])
def test_a_cadence_that_cannot_be_is_refused(every: int, after: int) -> None:
    async def nothing() -> None: ...

    with pytest.raises(ValueError, match="cannot run every"):
        Job("a", every, nothing, after)


@given(
    now=st.integers(0, 4_102_444_800_000),
    every=st.integers(1, 10**7),
    part=st.floats(0, 1, exclude_max=True),
    later=st.integers(0, 10**10),
)
def test_slots_follow_each_other_without_gaps(now: int, every: int, part: float, later: int) -> None:
    async def nothing() -> None: ...

    job = Job("a", every, nothing, int(every * part))
    slot = job.slot(now)
    assert slot <= now < slot + 1_000 * every
    assert (slot - 1_000 * job.after_seconds) % (1_000 * every) == 0
    assert job.slot(slot) == slot
    assert job.slot(slot - 1) == slot - 1_000 * every
    assert job.slot(now + later) >= slot


def test_a_daily_job_is_due_after_midnight_in_utc() -> None:
    async def nothing() -> None: ...

    job = Job("a", 86_400, nothing, after_seconds=900)
    assert job.slot(NOW + 900_000) == NOW + 900_000
    assert job.slot(NOW + 899_999) == NOW + 900_000 - 86_400_000
