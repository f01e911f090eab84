"""What is observed beside bars: order books, a few levels a side, evenly spaced; and single numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.observed_table import ObservedTable, checked_observations
from ml.bars import Floats, Instants
from ml.observed import FIELDS, Kind, Observed


def levels(mid: float = 100.0, half_bps: float = 1.0, size: float = 10.0, n: int = 5) -> Floats:
    """One record: `n` levels a side, `half_bps` from the mid and from each other, `size` base units each."""
    row = np.full(len(FIELDS[Kind.BOOK]), np.nan)
    for level in range(n):
        away = mid * half_bps * 1e-4 * (1 + level)
        row[4 * level : 4 * level + 4] = mid - away, size, mid + away, size
    return row


def books(symbol: str, *told: tuple[int, Floats], after_ms: int = 0) -> Observed:
    """Books of the given times (ms), each received `after_ms` later."""
    at = np.array([one for one, _ in told], dtype=np.int64)
    values = np.array([row for _, row in told]).reshape(len(told), len(FIELDS[Kind.BOOK]))
    return Observed(Kind.BOOK, symbol, at, at + after_ms, values)


def book_table(symbol: str, at: Sequence[int], rows: Sequence[Floats]) -> ObservedTable:
    """The same as they come in."""
    values = np.array(rows).reshape(len(at), len(FIELDS[Kind.BOOK]))
    return checked_observations(Kind.BOOK, symbol, "files", np.array(at, dtype=np.int64), values)


def numbers(kind: Kind, symbol: str, at: Instants, values: Floats, after_ms: int = 0) -> Observed:
    """Funding rates, or open interest in base units, at the times `at` (ms), each received `after_ms` later."""
    columns = np.full((len(at), len(FIELDS[kind])), np.nan)
    columns[:, 0] = values
    return Observed(kind, symbol, at, at + after_ms, columns)
