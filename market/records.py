"""Records of one series: bars with what is known about their coming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.bar_table import Mask, picked
from ml.bars import Bars, Floats, Instants, Timeframe


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Columns of one length, in the order (`received_at`, open, `revision`), which is that of every part on disk.

    `bars` holds the numbers; its opens may repeat and step back. `received_at` is int64 ms UTC, never before the bar's
    close. `revision` (int64) counts the versions of one bar from 0. `quality` is the score it had when it came, [0, 1].
    """

    bars: Bars
    origin: str
    received_at: Instants
    revision: Instants
    quality: Floats

    def __len__(self) -> int:
        return len(self.bars)

    @property
    def key(self) -> tuple[str, Timeframe]:
        return self.bars.symbol, self.bars.timeframe

    def at(self, positions: Instants | Mask) -> Records:
        """The records at these positions (or where the mask is set), copied, in that order."""
        return Records(
            picked(self.bars, positions),
            self.origin,
            self.received_at[positions],
            self.revision[positions],
            self.quality[positions],
        )

    def in_order(self) -> Records:
        """The same records, in the order of records."""
        return self.at(np.lexsort((self.revision, self.bars.open_at, self.received_at)))
