"""What is observed of one kind and symbol: its records in columns that grow."""

from __future__ import annotations

import numpy as np

from market.growing import fixed, with_room
from market.mapped import Mapped
from ml.bars import Floats, Instant, Instants
from ml.observed import FIELDS, Kind, Observed

_SMALLEST = 64
_AT, _RECEIVED, _NEWEST = range(3)


class ObservedSeries:
    """Records in the order of receipt; one more costs O(1) on average. With `mapped` their numbers lie in a file, and
    in memory are their times alone.

    What it hands out are read-only views: they stay as they are when the series grows.
    """

    def __init__(self, kind: Kind, symbol: str, origin: str, mapped: Mapped | None = None) -> None:
        self.kind, self.symbol, self.origin = kind, symbol, origin
        self._n = 0
        self._times: Instants = np.empty((3, 0), dtype=np.int64)
        self._values: Values = MappedValues(mapped) if mapped else HeldValues(len(FIELDS[kind]))
        self._records: Observed | None = None

    def __len__(self) -> int:
        return self._n

    @property
    def newest_at(self) -> Instant:
        """The newest time that is there, -1 for none."""
        return int(self._times[_AT, self._times[_NEWEST, self._n - 1]]) if self._n else -1

    @property
    def newest_received_at(self) -> Instant:
        """When the newest record came, -1 for none."""
        return int(self._times[_RECEIVED, self._n - 1]) if self._n else -1

    def just_told(self) -> Instants:
        """Times of the records that came last, all in one millisecond."""
        received = self._times[_RECEIVED, : self._n]
        return self._times[_AT, int(received.searchsorted(self.newest_received_at)) : self._n]

    def records(self) -> Observed:
        """All of it. Made when asked for, once per change."""
        if self._records is None:
            at, received, newest = (fixed(row[: self._n]) for row in self._times)
            self._records = Observed(self.kind, self.symbol, at, received, self._values.first(self._n), newest)
        return self._records

    def put(self, records: Observed) -> None:
        """Writes records behind those that are there, which nobody sees before `publish`. Raises OSError where a disk
        is full; then, and where they are not published, it is as if nothing had been put."""
        n, k = self._n, len(records)
        self._times = with_room(self._times, n, n + k)
        self._times[_AT, n : n + k] = records.at
        self._times[_RECEIVED, n : n + k] = records.received_at
        self._times[_NEWEST, n : n + k] = self._newest(records.at)
        self._values.put(n, records.values)

    def publish(self, n: int) -> None:
        """The first `n` of what was put are there from now on."""
        self._n += n
        self._records = None

    def _newest(self, at: Instants) -> Instants:
        """Position of the newest time up to each new record, in its newest word."""
        so_far = np.maximum.accumulate(np.append(self.newest_at, at))[1:]
        first = int(self._times[_NEWEST, self._n - 1]) if self._n else 0
        here = np.where(at == so_far, self._n + np.arange(len(at)), first)
        newest: Instants = np.maximum.accumulate(here)
        return newest


class HeldValues:
    """Rows of numbers in memory."""

    def __init__(self, width: int) -> None:
        self._rows: Floats = np.empty((0, width))

    def put(self, start: int, rows: Floats) -> None:
        """From row `start` on."""
        needed, room = start + len(rows), len(self._rows)
        if needed > room:
            larger = np.empty((max(needed, 2 * room, _SMALLEST), self._rows.shape[1]))
            larger[:start] = self._rows[:start]
            self._rows = larger
        self._rows[start:needed] = rows

    def first(self, n: int) -> Floats:
        """A read-only view."""
        return fixed(self._rows[:n])


class MappedValues:
    """Rows of numbers in a stretch of a file, or in one twice as long where it was too short."""

    def __init__(self, mapped: Mapped) -> None:
        self._mapped = mapped
        self._start = self._room = 0

    def put(self, start: int, rows: Floats) -> None:
        """From row `start` on. Raises OSError."""
        needed = start + len(rows)
        if needed > self._room:
            room = max(needed + needed // 4, 2 * self._room, _SMALLEST)
            moved = self._mapped.reserve(room)
            self._mapped.write(moved, self.first(start))
            self._start, self._room = moved, room
        self._mapped.write(self._start + start, rows)

    def first(self, n: int) -> Floats:
        """A read-only view."""
        return self._mapped.rows(self._start, n)


Values = HeldValues | MappedValues
