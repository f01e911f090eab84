"""Rows of numbers that only grow, in a file of this process alone: in memory is what was looked at last, no more."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path

import numpy as np

from ml.bars import Floats

_ITEM_BYTES = 8
#: Rows are copied so many at a time.
_BLOCK_ROWS = 8_192


class Mapped:
    """One file for the rows of many series, each in a stretch of its own. It has no name, and ends with the process.

    Views that were handed out stay as they are: a stretch is never given to anybody else.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self._folder = folder
        self._file: int | None = None
        self._width = width
        self._reserved = 0
        self._mapped: Floats = np.empty((0, width))

    def reserve(self, n_rows: int) -> int:
        """Where a stretch of so many rows begins. Raises OSError."""
        start = self._reserved
        needed = start + n_rows
        if needed > len(self._mapped):
            self._map(max(needed, 2 * len(self._mapped)))
        self._reserved = needed
        return start

    def write(self, start: int, rows: Floats) -> None:
        """Puts rows (float64, shape (n, width)) from row `start` on, which must be reserved. Raises OSError where the
        disk is full."""
        file, at = self._opened(), start * self._width * _ITEM_BYTES
        for block in range(0, len(rows), _BLOCK_ROWS):
            rest = np.ascontiguousarray(rows[block : block + _BLOCK_ROWS], dtype=np.float64).tobytes()
            while rest:
                written = os.pwrite(file, rest, at)
                rest, at = rest[written:], at + written

    def rows(self, start: int, n_rows: int) -> Floats:
        """A read-only view."""
        return self._mapped[start : start + n_rows]

    def _opened(self) -> int:
        if self._file is None:
            self._file, name = tempfile.mkstemp(prefix="scratch-", dir=self._folder)
            weakref.finalize(self, os.close, self._file)
            Path(name).unlink()
        return self._file

    def _map(self, n_rows: int) -> None:
        file, size = self._opened(), n_rows * self._width * _ITEM_BYTES
        os.ftruncate(file, size)
        whole = mmap.mmap(file, size, access=mmap.ACCESS_READ)
        self._mapped = np.frombuffer(whole, dtype=np.float64).reshape(n_rows, self._width)
