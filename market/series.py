"""One series in memory: all its records, and which of them is the newest word on each bar."""

from __future__ import annotations

import numpy as np

from market.bar_table import Mask, picked
from market.growing import fixed, with_room
from market.records import Records
from ml.bars import Bars, Floats, Instants, Timeframe
from ml.timeline import Timeline

_FLOATS = ("open", "high", "low", "close", "volume", "quality")
_INTEGERS = ("open_at", "received_at", "revision")


class Series:
    """Records in growable columns: a bar more costs O(1) on average, a late or revised one a copy of the index.

    What it hands out are read-only views: they stay as they are when the series grows.
    """

    def __init__(self, symbol: str, timeframe: Timeframe, origin: str) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.origin = origin
        self._n = 0
        self._floats: Floats = np.empty((len(_FLOATS), 0))
        self._integers: Instants = np.empty((len(_INTEGERS), 0), dtype=np.int64)
        self._n_bars = 0
        self._opens: Instants = np.empty(0, dtype=np.int64)
        self._newest: Instants = np.empty(0, dtype=np.int64)
        self._timeline: Timeline | None = None

    @staticmethod
    def of(records: Records) -> Series:
        """A series of these records alone, which must be in order."""
        series = Series(*records.key, records.origin)
        series.extend(records)
        return series

    def __len__(self) -> int:
        return self._n

    @property
    def opens(self) -> Instants:
        """Opens of all known bars, strictly increasing."""
        return fixed(self._opens[: self._n_bars])

    @property
    def newest_received_at(self) -> int:
        """When the newest record came, ms UTC; 0 where there is none."""
        return int(self._integers[1, self._n - 1]) if self._n else 0

    @property
    def quality(self) -> Floats:
        """Score of each record, as long as the timeline's records."""
        return fixed(self._floats[5, : self._n])

    def revisions(self, bars_at: Instants | Mask) -> Instants:
        """Newest revision of the bars at these positions of `opens`."""
        newest: Instants = self._integers[2, self._newest[: self._n_bars][bars_at]]
        return newest

    def settled(self, start: int = 0) -> Bars:
        """The newest word on every bar from position `start` of `opens` on."""
        if self._n == self._n_bars:  # nothing was ever late or revised: records are bars, and in their order
            return self._bars(max(start, 0), self._n)
        return self.settled_at(np.arange(max(start, 0), self._n_bars))

    def settled_at(self, bars_at: Instants | Mask) -> Bars:
        """The newest word on the bars at these positions of `opens`."""
        return picked(self._bars(0, self._n), self._newest[: self._n_bars][bars_at])

    def timeline(self) -> Timeline:
        """Records as answers see them. Built when asked for, once per change."""
        if self._timeline is None:
            received = fixed(self._integers[1, : self._n])
            self._timeline = Timeline(self._bars(0, self._n), received, self.origin)
        return self._timeline

    def extend(self, records: Records) -> None:
        """Adds records, which must come after all that are there in the order of records."""
        if not len(records):
            return
        first, self._n = self._n, self._n + len(records)
        self._floats = with_room(self._floats, first, self._n)
        self._integers = with_room(self._integers, first, self._n)
        bars = records.bars
        here = slice(first, self._n)
        for row, values in enumerate((bars.open, bars.high, bars.low, bars.close, bars.volume, records.quality)):
            self._floats[row, here] = values
        for row, instants in enumerate((bars.open_at, records.received_at, records.revision)):
            self._integers[row, here] = instants
        self._index(bars.open_at, first)
        self._timeline = None

    def _index(self, opens: Instants, first_row: int) -> None:
        rows = np.arange(first_row, first_row + len(opens))
        last = self._opens[self._n_bars - 1] if self._n_bars else -1
        if opens[0] > last and (np.diff(opens) > 0).all():
            n_bars = self._n_bars + len(opens)
            self._opens = with_room(self._opens, self._n_bars, n_bars)
            self._newest = with_room(self._newest, self._n_bars, n_bars)
            self._opens[self._n_bars : n_bars] = opens
            self._newest[self._n_bars : n_bars] = rows
            self._n_bars = n_bars
            return
        every = np.concatenate([self._opens[: self._n_bars], opens])
        of_row = np.concatenate([self._newest[: self._n_bars], rows])
        order = np.argsort(every, kind="stable")  # stable: of equal opens the newer record stands last
        is_last = np.append(np.diff(every[order]) > 0, True)
        self._opens, self._newest = every[order][is_last], of_row[order][is_last]
        self._n_bars = len(self._opens)

    def _bars(self, start: int, stop: int) -> Bars:
        here = slice(start, stop)
        open_, high, low, close, volume = (fixed(self._floats[row, here]) for row in range(5))
        return Bars(self.symbol, self.timeframe, fixed(self._integers[0, here]), open_, high, low, close, volume)
