"""Sweeping: what a server that runs for months leaves behind, and nothing refers to any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from market.parquet import SUFFIX as PART
from ml.bars import DAY_MS
from registry.audit_cut import AuditCut
from registry.blobs import Blobs
from registry.events import Events
from registry.jobs import JobRuns
from registry.references import References
from workers.train import SUFFIX as ARTEFACT

#: Parts of history, which the manifest names, and artefacts, which the versions name. Whatever else there is, stays.
SWEPT = (PART, ARTEFACT)

log = logging.getLogger(__name__)

#: A file that was written, or whose part was replaced, less than this ago stays: somebody may be about to refer to it,
#: or be reading it.
GRACE_MS = DAY_MS
#: Runs of jobs that went well are kept for so long, and those that failed; of each job the newest run, always.
DONE_MS, FAILED_MS = 7 * DAY_MS, 90 * DAY_MS
#: Events are kept for so long, and at most so many: whoever was away for longer is told so.
TOLD_MS, MOST_TOLD = 30 * DAY_MS, 1_000_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """The job; `clock` gives ms."""

    references: References
    blobs: Blobs
    runs: JobRuns
    clock: Callable[[], int]
    events: Events
    audit: AuditCut

    async def run(self) -> None:
        """One run, in a thread."""
        await asyncio.to_thread(self.once)

    def once(self) -> tuple[int, int]:
        """How many files and how many rows were removed. Raises a StateFault or an OSError; what is gone is gone, and
        the next run goes on. Raises Broken, when all else is swept, where old rows of the audit log were changed."""
        now = self.clock()
        files = self.blobs.sweep(SWEPT, self.references.blobs(), older_than=now - GRACE_MS)
        rows = self.runs.prune(done_before=now - DONE_MS, failed_before=now - FAILED_MS)
        rows += self.events.prune(before=now - TOLD_MS, most=MOST_TOLD)
        rows += self.audit.once(now)
        if files or rows:
            log.info("swept %d files, and %d runs of jobs, events and old rows of the audit log", files, rows)
        return files, rows
