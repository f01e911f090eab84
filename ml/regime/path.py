"""Potts path: the sequence of labels that trades mismatches against switches, so that flicker goes and regimes stay.

It minimises 4 x (bars whose label differs from the raw one) + 3 x (switches). So a single bar amid another regime is
removed (4 against 6), and so are two single bars of different labels (8 against 9); two equal bars stay (8 against 6),
and so does a single bar between two regimes. Solved exactly by dynamic programming. Source: Potts (1952); Winkler and
Liebscher (2002), "Smoothers for discontinuous signals".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ml.regime.formula import LABELS, NO_LABEL, Codes

SWITCH_COST = 3
MISMATCH_COST = 4
"""The reference figures of the specification, which names the cost of a switch alone, are reproduced by 4 to 6, not by
3 or less, nor by 7 (docs/decisions/0002-regime-truth-mismatch-cost.md)."""
RENEWAL_RUN = -(-2 * SWITCH_COST // MISMATCH_COST) + 1
"""After so many equal labels in a row the path ahead no longer depends on anything before them: their label begins at
most a switch dearer than the cheapest and gains a mismatch a bar; once a switch cheaper, all others cost the same."""

_COUNT = len(LABELS)


def settled_path(raw: Codes) -> Codes:
    """The path through `raw` as far as it is final; NO_LABEL behind that. Shape (n,).

    Near the end the path still hangs on labels to come. A bar is final when the best paths of all five possible ends
    agree on it: then no later label can change it. A missing raw label (NO_LABEL) costs nothing whatever the path
    says. Ties: stay rather than switch, then the first label.
    """
    came_from = _forward(raw.tolist())
    ends = list(range(_COUNT))
    at = len(raw) - 1
    while at >= 0 and len(set(ends)) > 1:
        ends = [came_from[at][end] for end in ends]
        at -= 1
    path = [NO_LABEL] * len(raw)
    label = ends[0]
    while at >= 0:
        path[at] = label
        label = came_from[at][label]
        at -= 1
    return np.asarray(path, dtype=np.int64)


def is_renewed(raw: Codes) -> bool:
    """Whether `raw` holds a run long enough that what follows it has the same path whatever came before."""
    if len(raw) < RENEWAL_RUN:
        return False
    breaks = np.flatnonzero(raw[1:] != raw[:-1]) + 1
    edges = np.concatenate([[0], breaks, [len(raw)]])
    long = np.diff(edges) >= RENEWAL_RUN
    return bool((long & (raw[edges[:-1]] != NO_LABEL)).any())


def _forward(raw: Sequence[int]) -> list[tuple[int, ...]]:
    """For each bar and label there: the label at the bar before, on the cheapest path."""
    costs: tuple[int, ...] = (0,) * _COUNT
    came_from = []
    for label in raw:
        costs, back = _step(costs, label)
        came_from.append(back)
    return came_from


@cache
def _step(costs: tuple[int, ...], label: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """One bar. Costs are kept relative to the cheapest and never exceed 3 + 4, so few distinct steps exist."""
    best = costs.index(0)
    back = tuple(state if cost <= SWITCH_COST else best for state, cost in enumerate(costs))
    mismatch = (MISMATCH_COST if label not in (NO_LABEL, state) else 0 for state in range(_COUNT))
    after = [min(cost, SWITCH_COST) + more for cost, more in zip(costs, mismatch, strict=True)]
    cheapest = min(after)
    return tuple(cost - cheapest for cost in after), back
