"""Since when a record counts as known. One rule for all that is observed: what comes later never changes an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.bars import Instant, Instants

#: Clocks of others may be ahead of ours by this much.
CLOCK_SLACK_MS = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a series stands (ms, -1 for nothing): its newest record by time and by receipt, and the latest `as_of`
    that was answered on it."""

    newest_at: Instant = -1
    newest_received_at: Instant = -1
    sealed_at: Instant = -1


def received_times(at: Instants, standing: Standing, received_at: Instant, *, live: bool) -> Instants:
    """When records dated `at` (int64 ms, shape (n,)) count as received. `live`: now, they come for the first time.
    From an archive those that continue the series count at their own time, where no answer was given since; all
    others after every record and every answer there is."""
    later = max(received_at, standing.sealed_at + 1, standing.newest_received_at + (0 if live else 1))
    if live:
        return np.maximum(later, at)
    continues = (at > standing.newest_at) & (at > standing.sealed_at) & (at >= standing.newest_received_at)
    return np.maximum(np.where(continues, at, later), at)


def in_future(at: Instants, received_at: Instant) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which lie in the future of their receipt, by more than clocks differ."""
    later: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = at > received_at + CLOCK_SLACK_MS
    return later
