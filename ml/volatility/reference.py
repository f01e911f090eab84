"""The last 90 days of realised variance, as quantiles: what a forecast is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import DAY_MS, Floats, Instants

DAYS = 90
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
REFERENCE_NAMES = tuple(f"rv90_{round(100 * share):02d}" for share in SHARES)
#: Fewer windows than this make no distribution.
FEWEST = 30
#: Under a 10,000th of the level a window is silent.
_FLOOR = 1e-4
_BARS_OF_A_DAY = 24


@dataclass(frozen=True, slots=True)
class Reference:
    """How the past is sampled: a window ending at every `every`-th bar, `samples` of them, none older than 90 days.

    `daily` draws the sample once a UTC day, at the last bar of the day before: 24 times fewer sorts. A step that does
    not divide 24 (11, say) takes all hours of the day alike.
    """

    every: int
    samples: int
    daily: bool


def reference(
    open_at: Instants, realised: Floats, usual: Floats, how: Reference, at: Instants | None = None
) -> list[Floats]:
    """ln of the quantiles (`SHARES`) of `realised` over the last 90 days against each row's `usual`, for the rows at
    positions `at` (all where None), shape (len(at),) each.

    NaN where fewer than 30 windows are known. Nearest-rank quantiles.
    """
    anchors, owner = _anchors(open_at, how.daily)
    if at is not None:
        anchors, owner = _looked_at(anchors, owner[at])
    quantiles = _quantiles(open_at, realised, anchors, how)
    ratio = np.full((len(SHARES), len(owner)), np.nan)
    ratio[:, owner >= 0] = quantiles[:, owner[owner >= 0]]
    return [np.log(one / usual + _FLOOR) for one in ratio]


def _looked_at(anchors: NDArray[np.int64], owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The anchors that some row needs, and each row's among them."""
    needed, again = np.unique(owner[owner >= 0], return_inverse=True)
    of_needed = np.full(len(owner), -1)
    of_needed[owner >= 0] = again
    return anchors[needed], of_needed


def _anchors(open_at: Instants, daily: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions where samples are drawn, and for each bar the number of its sample (-1 where it has none)."""
    here = np.arange(len(open_at))
    if not daily:
        return here, here
    day = open_at // DAY_MS
    anchors = np.flatnonzero(day[1:] != day[:-1])
    owner = np.searchsorted(anchors, here, side="left") - 1
    near = (owner >= 0) & (here - anchors[np.maximum(owner, 0)] <= _BARS_OF_A_DAY) if len(anchors) else owner >= 0
    return anchors, np.where(near, owner, -1)


def _quantiles(open_at: Instants, realised: Floats, anchors: NDArray[np.int64], how: Reference) -> Floats:
    """Quantiles at each anchor, shape (len(SHARES), len(anchors))."""
    at = anchors[:, None] - how.every * np.arange(how.samples)[None, :]
    inside = np.maximum(at, 0)
    sample = np.where(at >= 0, realised[inside], np.nan)
    sample[open_at[inside] <= open_at[anchors][:, None] - DAYS * DAY_MS] = np.nan
    sample.sort(axis=1)  # NaN go last
    known = how.samples - np.isnan(sample).sum(axis=1)
    rows = np.arange(len(anchors))
    ranks = [np.maximum(np.rint(share * (known - 1)).astype(np.int64), 0) for share in SHARES]
    result = np.stack([sample[rows, rank] for rank in ranks])
    result[:, known < FEWEST] = np.nan
    return result
