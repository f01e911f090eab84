"""Weeks are the sample: answers overlap and markets shake together, so rows depend on each other; weeks hardly do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import DAY_MS, WEEK_MS, Floats, Instants

#: 1970 began on a Thursday; calendar weeks begin on Monday 00:00Z, so week 0 began three days earlier.
_MONDAY_MS = 3 * DAY_MS


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Losses of two predictors on the same rows, summed by blocks of time, all symbols of a block together.

    `number` (increasing), `rows`, `mine` and `other` have shape (k,); `mine` and `other` are sums of losses, so that
    blocks may be added up. Block i covers [number * block_ms, (number + 1) * block_ms) counted from a Monday.
    """

    number: Instants
    rows: Instants
    mine: Floats
    other: Floats
    block_ms: int = WEEK_MS

    def __len__(self) -> int:
        return len(self.number)

    @property
    def n_rows(self) -> int:
        return int(self.rows.sum())

    @property
    def differences(self) -> Floats:
        """Mean loss of the other less mine, per block: positive where mine lost less."""
        return (self.other - self.mine) / self.rows


def block_of(instants: Instants, block_ms: int = WEEK_MS) -> Instants:
    """The number of the block that each instant (int64 ms) falls into. Blocks are counted from a Monday 00:00Z."""
    return np.asarray((np.asarray(instants, dtype=np.int64) + _MONDAY_MS) // block_ms, dtype=np.int64)


def begins_at(block: int, block_ms: int = WEEK_MS) -> int:
    """The first instant (ms) of a block."""
    return block * block_ms - _MONDAY_MS


def paired(
    instants: Instants,
    mine: Floats,
    other: Floats,
    *,
    block_ms: int = WEEK_MS,
    settled_through: int | None = None,
) -> Blocks:
    """Losses `mine` and `other` of rows asked at `instants` (int64 ms), all shape (n,), by blocks.

    A row where either is NaN counts for neither: only the same rows compare. With `settled_through` (ms), blocks that
    end after it are left out: half a block would be another sample.
    """
    both = ~(np.isnan(mine) | np.isnan(other))
    number, group = np.unique(block_of(instants[both], block_ms), return_inverse=True)
    k = len(number)
    blocks = Blocks(
        number,
        np.bincount(group, minlength=k).astype(np.int64),
        np.bincount(group, weights=mine[both], minlength=k).astype(np.float64),
        np.bincount(group, weights=other[both], minlength=k).astype(np.float64),
        block_ms,
    )
    if settled_through is None:
        return blocks
    return _at(blocks, np.array([begins_at(int(one) + 1, block_ms) <= settled_through for one in number], dtype=bool))


def added(parts: Sequence[Blocks]) -> Blocks:
    """Sums over several sets of rows, block by block. ValueError where there are none, or their blocks differ."""
    if len({one.block_ms for one in parts}) != 1:
        raise ValueError("only blocks of one length add up, and at least one set of them is needed")
    number, group = np.unique(np.concatenate([one.number for one in parts]), return_inverse=True)

    def total(of: Sequence[Floats] | Sequence[Instants]) -> Floats:
        return np.bincount(group, weights=np.concatenate(of), minlength=len(number)).astype(np.float64)

    return Blocks(
        number,
        total([one.rows for one in parts]).astype(np.int64),
        total([one.mine for one in parts]),
        total([one.other for one in parts]),
        parts[0].block_ms,
    )


def _at(blocks: Blocks, keep: NDArray[np.bool_]) -> Blocks:
    return Blocks(blocks.number[keep], blocks.rows[keep], blocks.mine[keep], blocks.other[keep], blocks.block_ms)
