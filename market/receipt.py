"""What became of bars that were fed."""

from __future__ import annotations

from dataclasses import dataclass

from market.bar_table import RefusedRows
from ml.bars import Timeframe


@dataclass(frozen=True, slots=True)
class SeriesReceipt:
    """Counts of one table. `new` continued the series; `late` were unknown and cannot count as received in time (older
    than a bar already there, or than an answer already given); `revised` gave other numbers for a known bar;
    `repeated` were there already and changed nothing. `refused` says which rows were kept out, and why.

    `through` is the newest close among the rows of the table (ms UTC; 0 where there were none).
    `clock_behind_ms` is how far the given time of receipt lay before one already recorded: above 0, a clock stepped
    back.
    """

    symbol: str
    timeframe: Timeframe
    source: str
    new: int
    late: int
    revised: int
    repeated: int
    refused: tuple[RefusedRows, ...]
    notes: tuple[str, ...]
    clock_behind_ms: int
    through: int = 0

    @property
    def kept(self) -> int:
        return self.new + self.late + self.revised

    @property
    def n_refused(self) -> int:
        return sum(one.n for one in self.refused)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: one entry per table, in the order in which they were given. What it counts as kept is on
    disk; `parts` are the sha256 of the Parquet parts that hold it (none where nothing was new)."""

    series: tuple[SeriesReceipt, ...]
    parts: tuple[str, ...]

    @property
    def kept(self) -> int:
        return sum(one.kept for one in self.series)

    @property
    def new(self) -> int:
        return sum(one.new for one in self.series)

    @property
    def late(self) -> int:
        return sum(one.late for one in self.series)

    @property
    def revised(self) -> int:
        return sum(one.revised for one in self.series)

    @property
    def repeated(self) -> int:
        return sum(one.repeated for one in self.series)

    @property
    def n_refused(self) -> int:
        return sum(one.n_refused for one in self.series)
