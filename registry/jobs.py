"""Runs of jobs: whoever claims a slot first runs it, and nobody else."""

from __future__ import annotations

from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

from registry.store import Store
from registry.tables import job_runs

#: Rows that are removed in one transaction, so that no other writer waits long.
GROUP = 5_000


RUNNING, DONE, FAILED, CUT_OFF = "running", "done", "failed", "cut off"


class JobRuns:
    """Claims of one tenant. A slot is the instant (ms) for which the job was due, so that a late firing is the same.

    A run that was cut off, by a stop or by the end of its process, is the only one that may be claimed again.
    """

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def claim(self, job: str, slot: int, at: int) -> bool:
        """Whether this caller is the first to claim the slot; on disk when this returns."""
        fresh = {"state": RUNNING, "detail": None, "claimed_at": at, "finished_at": None}
        claimed = insert(job_runs).values(tenant=self._tenant, job=job, slot=slot, **fresh)
        claimed = claimed.on_conflict_do_update(
            index_elements=["tenant", "job", "slot"], set_=fresh, where=job_runs.c.state == CUT_OFF
        )
        with self._store.write() as connection:
            return connection.execute(claimed).rowcount == 1

    def abandon(self, at: int) -> int:
        """For a new owner of the folder, before it runs anything: whoever was running is dead. Says how many runs were
        cut off by that."""
        mine = (job_runs.c.tenant == self._tenant) & (job_runs.c.state == RUNNING)
        cut = {"state": CUT_OFF, "detail": "its process ended", "finished_at": at}
        with self._store.write() as connection:
            return connection.execute(update(job_runs).where(mine).values(cut)).rowcount

    def finish(self, job: str, slot: int, at: int, *, failure: str | None = None, cut_off: bool = False) -> None:
        """Writes down how the run ended: well, or with `failure`, or `cut_off` before its end."""
        mine = (job_runs.c.tenant == self._tenant) & (job_runs.c.job == job) & (job_runs.c.slot == slot)
        state = CUT_OFF if cut_off else DONE if failure is None else FAILED
        with self._store.write() as connection:
            connection.execute(update(job_runs).where(mine).values(state=state, detail=failure, finished_at=at))

    def prune(self, *, done_before: int, failed_before: int) -> int:
        """Removes runs that were claimed before `done_before`, and before `failed_before` where they did not end well
        (both ms), and says how many. The newest slot of each job always stays, however old: it is the one that may be
        claimed again."""
        newest = select(job_runs.c.job, func.max(job_runs.c.slot)).where(job_runs.c.tenant == self._tenant)
        well = job_runs.c.state == DONE
        old = (
            select(job_runs.c.job, job_runs.c.slot)
            .where(
                job_runs.c.tenant == self._tenant,
                or_(well & (job_runs.c.claimed_at < done_before), job_runs.c.claimed_at < failed_before),
                tuple_(job_runs.c.job, job_runs.c.slot).not_in(newest.group_by(job_runs.c.job)),
            )
            .limit(GROUP)
        )
        removed = 0
        while True:
            with self._store.write() as connection:
                named = connection.execute(old).all()
                mine = delete(job_runs).where(
                    job_runs.c.tenant == self._tenant, tuple_(job_runs.c.job, job_runs.c.slot).in_(named)
                )
                removed += connection.execute(mine).rowcount if named else 0
            if len(named) < GROUP:
                return removed
