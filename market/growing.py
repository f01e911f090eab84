"""Columns that grow by doubling, and read-only views of them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ml.bars import Floats, Instants

_SMALLEST = 256

Column = TypeVar("Column", Floats, Instants)


def fixed(column: Column) -> Column:
    """A read-only view."""
    view = column[:]
    view.flags.writeable = False
    return view


def with_room(columns: Column, used: int, needed: int) -> Column:
    """Columns (along the last axis) with room for `needed` entries, the first `used` as they were."""
    room = columns.shape[-1]
    if needed <= room:
        return columns
    larger = np.empty((*columns.shape[:-1], max(needed, 2 * room, _SMALLEST)), dtype=columns.dtype)
    larger[..., :used] = columns[..., :used]
    return larger
