"""What a sample can show: how often would a score that is exactly right be seen within .7 and 1.5 times its rate?

Rare bars come in storms. So a threshold that late bars exceed exactly as often as a score says is asked of weeks drawn
from these bars with replacement, all symbols of a week together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.skill_table import Column, Figure, Line, Table
from ml.bars import Floats, Instants
from ml.evaluation.weeks import block_of

DRAWS = 4_000
RIGHT = (0.7, 1.5)


def chance_to_show(depth: Floats, closed: Instants, score: float) -> float:
    """Of draws of weeks, the share in which a score that is exactly right on `depth` (-log10 of chances, (n,)) is
    reached .7 to 1.5 times as often as it says."""
    nominal = 10.0 ** (-4.0 * score)
    often = max(round(nominal * len(depth)), 1)
    reached = (depth >= np.sort(depth)[-often]).astype(np.float64)
    _, member = np.unique(block_of(closed), return_inverse=True)
    count, total = np.bincount(member).astype(np.float64), np.bincount(member, reached)
    weeks = len(count)
    draws = np.random.default_rng(7).multinomial(weeks, np.full(weeks, 1.0 / weeks), size=DRAWS)
    rates = (draws @ total) / np.maximum(draws @ count, 1.0) / nominal
    return float(((rates >= RIGHT[0]) & (rates <= RIGHT[1])).mean())


def shown_table(sources: Sequence[tuple[str, Floats, Instants]], scores: Sequence[float]) -> Table:
    """A line per source: its name, depths and closes of its late bars."""
    lines = [
        Line(name, tuple(Figure(chance_to_show(depth, closed, score)) for score in scores))
        for name, depth, closed in sources
    ]
    return Table(
        "how often a score that is exactly right would be seen within .7 and 1.5 times its rate, on as many such weeks",
        tuple(Column(f"score >= {score}", 2) for score in scores),
        tuple(lines),
    )
