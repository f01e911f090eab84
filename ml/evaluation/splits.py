"""Walk-forward splits: learn from what had closed, be judged on what came next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml.bars import Instants

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One step of the walk: fit on the rows at `train`, judge on the rows at `test`, whose `as_of` lie in
    [begins, ends), ms. Positions are int64, increasing."""

    train: Positions
    test: Positions
    begins: int
    ends: int


def walk_forward(
    as_of: Instants,
    label_closed_at: Instants,
    begins: Sequence[int],
    ends: int,
    *,
    embargo_ms: int,
    window_ms: int | None = None,
) -> tuple[Fold, ...]:
    """One fold from each instant of `begins` (ms, increasing) to the next, the last to `ends`.

    `as_of` and `label_closed_at` (when the label's last bar had closed) are int64 ms, shape (n,), in any order. Purged
    and embargoed: no label of `train` closes after the fold begins less `embargo_ms`. With `window_ms` rows asked
    longer before the fold are left out too. A fold may be empty on either side. Raises ValueError where a label closes
    before it was asked for, an embargo is negative, or the folds are not in order.

    Source: López de Prado (2018), "Advances in Financial Machine Learning", ch. 7; in a walk forward nothing trains
    after the test, so purging the front is all there is to purge.
    """
    edges = [*begins, ends]
    if any(later <= earlier for earlier, later in pairwise(edges)):
        raise ValueError("folds must begin one after the other, the last before `ends`")
    if embargo_ms < 0:
        raise ValueError(f"an embargo of {embargo_ms} ms would let labels of the fold into its training")
    if len(as_of) != len(label_closed_at) or bool((label_closed_at < as_of).any()):
        raise ValueError("every row has one label, and it closes no earlier than it was asked for")
    return tuple(_fold(as_of, label_closed_at, first, end, embargo_ms, window_ms) for first, end in pairwise(edges))


def _fold(as_of: Instants, closed: Instants, begins: int, ends: int, embargo_ms: int, window_ms: int | None) -> Fold:
    known = closed <= begins - embargo_ms
    recent = as_of >= begins - window_ms if window_ms is not None else np.ones(len(as_of), dtype=bool)
    train = np.flatnonzero(known & recent & (as_of < begins))
    test = np.flatnonzero((as_of >= begins) & (as_of < ends))
    return Fold(train, test, begins, ends)
