"""Runs of jobs: whoever claims a slot first runs it, and nobody else."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.dialects.sqlite import insert

from registry.store import Store
from registry.tables import job_runs


class JobRuns:
    """Claims of one tenant. A slot is the instant (ms) for which the job was due, so that a late firing is the same."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def claim(self, job: str, slot: int, at: int) -> bool:
        """Whether this caller is the first to claim the slot; on disk when this returns."""
        row = {"tenant": self._tenant, "job": job, "slot": slot, "state": "running", "claimed_at": at}
        with self._store.write() as connection:
            done = connection.execute(insert(job_runs).values(row).on_conflict_do_nothing())
            return done.rowcount == 1

    def finish(self, job: str, slot: int, at: int, *, failure: str | None = None) -> None:
        """Writes down how the run ended: well, or with `failure`."""
        mine = (job_runs.c.tenant == self._tenant) & (job_runs.c.job == job) & (job_runs.c.slot == slot)
        state = "done" if failure is None else "failed"
        with self._store.write() as connection:
            connection.execute(update(job_runs).where(mine).values(state=state, detail=failure, finished_at=at))
