"""Whether a process goes on growing: its memory, a sample a second, once it has warmed up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: The first part of a run fills caches and loads libraries, up to this long.
WARM_SHARE, WARM_MOST_SECONDS = 1 / 3, 600.0
#: What the warm process holds is the median of so much of the rest, at its begin; what it holds now, at its end.
WINDOW_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Grown:
    """Bytes after the warm-up and at the end, and the slope of a line through all between, per hour; fractions of the
    bytes after the warm-up."""

    warm_bytes: float
    end_bytes: float
    by: float
    per_hour: float


def grown(samples: Sequence[float], every_seconds: float = 1.0) -> Grown:
    """Of resident bytes, evenly spaced, from the begin of the load. Medians: what is held for a moment (a training that
    is prepared) is no growth. Raises ValueError for fewer than 10 samples."""
    if len(samples) < 10:
        raise ValueError(f"{len(samples)} samples are too few to tell")
    warm = int(min(len(samples) * WARM_SHARE, WARM_MOST_SECONDS / every_seconds))
    rest = np.asarray(samples[warm:], dtype=np.float64)
    window = max(int(len(rest) * WINDOW_SHARE), 1)
    before, after = float(np.median(rest[:window])), float(np.median(rest[-window:]))
    hours = np.arange(len(rest)) * every_seconds / 3_600.0
    slope = float(np.polyfit(hours, rest, 1)[0])
    return Grown(before, after, after / before - 1.0, slope / before)


async def watched(pid: int, found: list[float]) -> None:
    """Adds the resident bytes of a process to `found`, every second, until it is cancelled."""
    while True:
        found.append(resident(pid))
        await asyncio.sleep(1.0)


def resident(pid: int) -> float:
    """Bytes of memory that a process holds now, from Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * 4_096.0
