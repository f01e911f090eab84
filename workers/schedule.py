"""When jobs run. The only place that knows APScheduler.

APScheduler only says that time has come. Whether a job runs is settled by its claim: of all schedules over one state
store, whoever claims (job, slot) first runs it, and the others pass over. So a slot is done at most once, after a
restart too, and a job that failed comes again with its next slot. Only a run that was cut off, by a stop or a kill, is
run once more, by the next owner of the folder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Claims(Protocol):
    """Who runs a slot of a job. Implemented by `registry.jobs.JobRuns`; may block, is called in threads."""

    def claim(self, job: str, slot: int, at: int) -> bool:
        """Whether this caller is the first to claim the slot."""

    def finish(self, job: str, slot: int, at: int, *, failure: str | None = None, cut_off: bool = False) -> None:
        """Writes down how the run ended: well, or with `failure`, or `cut_off` before its end: then the slot may be
        claimed once more."""


class CutOff(Exception):  # noqa: N818 - told as it is
    """Raised by a job that was told to stop before it was through: whoever starts next runs its slot again."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done again and again: `run`, every `every_seconds`, `after_seconds` past the whole period (counted from
    1970 in UTC, so a period of a day begins at midnight)."""

    name: str
    every_seconds: int
    run: Callable[[], Awaitable[None]]
    after_seconds: int = 0
    close: Callable[[], Awaitable[None]] | None = None
    """Called once when the schedule ends, before what runs is waited for: ends its connections, and so its waiting."""

    def __post_init__(self) -> None:
        if self.every_seconds < 1 or not 0 <= self.after_seconds < self.every_seconds:
            raise ValueError(f"{self.name} cannot run every {self.every_seconds} s, {self.after_seconds} s late")

    def slot(self, now: int) -> int:
        """The instant (ms) for which a run at `now` (ms) is due: the newest that has come."""
        every, after = 1_000 * self.every_seconds, 1_000 * self.after_seconds
        return (now - after) // every * every + after


class Ran(StrEnum):
    """What became of a firing."""

    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    PASSED_OVER = "passed over"


class Schedule:
    """Fires jobs while `running` is entered; each also by name, through `fire`."""

    def __init__(self, jobs: Sequence[Job], claims: Claims, clock: Callable[[], int]) -> None:
        self._jobs = {job.name: job for job in jobs}
        if len(self._jobs) < len(jobs):
            raise ValueError("two jobs have one name: they would take each other's slots")
        self._claims = claims
        self._clock = clock
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At first every slot that has come and was not run yet (the server was down), job by job in their order; then
        each when it is due. At the end nothing new is begun, and what runs is waited for."""
        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every firing; we tell what it did
        scheduler = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs.values():
            phase = _EPOCH + timedelta(seconds=job.after_seconds)
            scheduler.add_job(
                self._due,
                IntervalTrigger(seconds=job.every_seconds, start_date=phase, timezone=UTC),
                args=[[job.name]],
                id=job.name,
                coalesce=True,
                misfire_grace_time=None,  # a loop that was busy for a second must not lose a run
            )
        self._stopping = False
        scheduler.start()
        try:
            self._track(asyncio.create_task(self._due(list(self._jobs))))
            yield
        finally:
            self._stopping = True
            await self.close()
            while self._tasks:
                await asyncio.wait(self._tasks)
            scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it ends on the next turn of the loop

    async def close(self) -> None:
        """Ends the connections of all jobs."""
        for job in self._jobs.values():
            if job.close is not None:
                await job.close()

    def slot(self, name: str, now: int) -> int:
        """The slot (ms) of the job that has come at `now` (ms). KeyError for a job that is not there."""
        return self._jobs[name].slot(now)

    async def fire(self, name: str) -> Ran:
        """Runs the slot of the job that has come, if nobody has it and its run before has ended. A job that raises is
        logged and marked failed.

        KeyError for a job that is not there; raises what the claims raise.
        """
        job = self._jobs[name]
        if name in self._busy:
            log.warning("%s is still running and is passed over", name)
            return Ran.PASSED_OVER
        self._busy.add(name)
        try:
            return await self._claimed(job)
        finally:
            self._busy.discard(name)

    async def _claimed(self, job: Job) -> Ran:
        now = self._clock()
        slot = job.slot(now)
        if not await asyncio.to_thread(self._claims.claim, job.name, slot, now):
            return Ran.PASSED_OVER
        failure: str | None = "stopped before its end"
        cut_off = True
        try:
            await job.run()
            failure, cut_off = None, False
        except CutOff as cut:
            log.info("%s was cut off and comes again after the start: %s", job.name, cut)
            failure = str(cut)
        except Exception as error:  # whatever a job does, its next slot must come
            log.exception("%s failed; it comes again with its next slot", job.name)
            failure, cut_off = f"{type(error).__name__}: {error}", False
        finally:
            end = partial(self._claims.finish, job.name, slot, self._clock(), failure=failure, cut_off=cut_off)
            await asyncio.to_thread(end)
        return Ran.DONE if failure is None else Ran.CUT_OFF if cut_off else Ran.FAILED

    async def _due(self, names: Sequence[str]) -> None:
        if task := asyncio.current_task():
            self._track(task)
        for name in names:
            if self._stopping:
                return
            try:
                await self.fire(name)
            except Exception:  # the store was busy or full: the next slot must come all the same
                log.exception("%s: its run could not be claimed or written down", name)

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
