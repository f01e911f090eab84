"""Intervals by bootstrap over blocks: whole weeks are drawn, with all that happened in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats
from ml.evaluation.weeks import Blocks

#: A bootstrap over fewer blocks is too narrow to be told.
FEWEST_BLOCKS = 8
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Within these bounds, at the level that was asked for."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Loss of one predictor over the loss of another on the same rows: below 1 it loses less. `interval` is None under
    `FEWEST_BLOCKS` blocks."""

    point: float
    interval: Interval | None
    blocks: int
    rows: int


def resampled(blocks: int, draws: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each block is drawn, shape (draws, blocks); every row sums to `blocks`."""
    return random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=draws)


def ratio_of_losses(
    blocks: Blocks, random: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Ratio | None:
    """Mean loss of `mine` over mean loss of `other`, with its block-bootstrap percentile interval; None where there are
    no rows, or the other loses nothing, so that there is nothing to divide by."""
    if not len(blocks) or blocks.other.sum() <= 0.0:
        return None
    point = float(blocks.mine.sum() / blocks.other.sum())
    interval = None
    if len(blocks) >= FEWEST_BLOCKS:
        times = resampled(len(blocks), draws, random).astype(np.float64)
        above, below = times @ blocks.mine, times @ blocks.other
        interval = _percentiles(above[below > 0.0] / below[below > 0.0], level)
    return Ratio(point, interval, len(blocks), blocks.n_rows)


def mean_of_blocks(
    sums: Floats, rows: Floats, random: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> tuple[float, Interval | None]:
    """Mean over all rows of blocks with these sums and counts, shape (k,), and its interval. ValueError on no rows."""
    if not rows.sum() > 0:
        raise ValueError("there are no rows to take the mean of")
    point = float(sums.sum() / rows.sum())
    if len(rows) < FEWEST_BLOCKS:
        return point, None
    times = resampled(len(rows), draws, random).astype(np.float64)
    counts = times @ rows
    return point, _percentiles((times @ sums)[counts > 0] / counts[counts > 0], level)


def _percentiles(values: Floats, level: float) -> Interval:
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high))
