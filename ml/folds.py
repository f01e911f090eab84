"""Which lessons are shown, and to whom: chosen by instants and by blocks of time, because lessons of one moment are
alike.

An ensemble is fitted so that each member leaves out its share of the blocks of time. So every lesson has a forecast by
a member that has not seen it, nor its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import WEEK_MS, Floats, Instants

MEMBERS = 3
BLOCK_MS = 8 * WEEK_MS
#: Of the lessons left out, one in so many is enough to choose an epoch by.
_JUDGED_EVERY = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What one member of an ensemble sees of n lessons: those it leaves `out`, and those it is `shown`, (n,) each. Some
    are neither."""

    out: NDArray[np.bool_]
    shown: NDArray[np.bool_]

    @staticmethod
    def of(member: int, as_of: Instants, purged_ms: int) -> Fold:
        """That of a member 0 .. `MEMBERS` - 1, for lessons asked at `as_of` (int64 ms).

        Lessons within `purged_ms` of a block that is left out are not shown either: their truths and features reach
        into it.
        """
        out, before, after = (_block(as_of + shift) == member for shift in (0, purged_ms, -purged_ms))
        return Fold(out, ~(out | before | after))

    @property
    def judged(self) -> Instants:
        """Positions of some lessons that are left out, evenly taken."""
        return np.flatnonzero(self.out)[::_JUDGED_EVERY]


def drawn(as_of: Instants, random: np.random.Generator) -> Floats:
    """A number in [0, 1) for each lesson, the same for all of one instant (int64 ms); shape (n,)."""
    times, of_time = np.unique(as_of, return_inverse=True)
    return np.asarray(random.random(len(times))[of_time])


def kept(as_of: Instants, most: int, seed: int) -> NDArray[np.bool_]:
    """Which lessons are kept, (n,): all, or where they are over `most` about so many, by instants."""
    if len(as_of) <= most:
        return np.ones(len(as_of), dtype=np.bool_)
    return drawn(as_of, np.random.default_rng(seed)) < most / len(as_of)


def _block(as_of: Instants) -> Instants:
    return (as_of // BLOCK_MS) % MEMBERS
