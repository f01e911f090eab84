"""The history of bars: immutable parts on disk, and all of it in memory as point-in-time timelines."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from market.arrival import Arrival, Receiving, arrive
from market.bar_part import FORMAT, decoded, encoded
from market.bar_table import BarTable
from market.parts import Parts
from market.ports import Blobs, Manifest
from market.receipt import Receipt, SeriesReceipt
from market.refusal import ImplausibleClock, OriginConflict
from market.series import Series
from market.series_info import SeriesInfo, described
from ml.bars import DAY_MS, Floats, Instant, Timeframe
from ml.timeline import Timeline

#: Kind of part in the manifest.
KIND = "bars"
#: With more small parts than this, they are made one. Parts of LARGE_PART_ROWS and more stay as they are.
MOST_SMALL_PARTS = 64
LARGE_PART_ROWS = 250_000
#: A live batch whose newest bar is older than this is an archive, or the clock has jumped ahead.
LIVE_WITHIN_MS = 31 * DAY_MS

Key: TypeAlias = tuple[str, Timeframe]


class History:
    """Implements `ml.timeline.Market`. One process owns it; threads may share it.

    A question is answered in this order: `seal`, then `timeline`. Then nothing that is appended later changes the
    answer. Seals live in memory: after a restart whoever kept the answers must seal again what was answered.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, tenant: str) -> None:
        self._ears: list[Callable[[Receipt], None]] = []
        self._parts = Parts(KIND, FORMAT, manifest, blobs, tenant)
        self._tenant = tenant
        self._series: dict[Key, Series] = {}
        self._seals: dict[Key, Instant] = defaultdict(lambda: -1)
        self._infos: dict[Key, SeriesInfo] = {}
        self._writing = threading.Lock()
        self._memory = threading.RLock()

    def load(self) -> None:
        """Reads all parts that the manifest names; what was in memory is forgotten, seals are kept.

        Raises DamagedPart, and what the blobs raise for a part that is missing or damaged.
        """
        series = self._parts.load(lambda paths: {one.key: Series.of(one) for one in decoded(paths)})
        with self._memory:
            self._series = series
            self._infos.clear()

    def hear(self, ear: Callable[[Receipt], None]) -> None:
        """`ear` is told of every batch of which something was kept, in the thread that brought it."""
        self._ears.append(ear)

    def append(
        self,
        tables: BarTable | Sequence[BarTable],
        *,
        received_at: Instant,
        live: bool,
        origin: str | None = None,
    ) -> Receipt:
        """Keeps what is new in these tables; on disk when it returns, and then seen by `timeline`.

        `received_at` is the clock's word (ms UTC). `live`: the bars come now for the first time; else they come from an
        archive, and those that continue a series count as received at their close (`market.arrival`). `origin` stands
        for that of the tables, where given. A batch becomes one part; a series that it holds twice, one more.

        Raises OriginConflict and ImplausibleClock, and whatever blobs and manifest raise (a full disk, say): then
        nothing of the part at hand was kept, and the same call may be made again.
        """
        batch = (tables,) if isinstance(tables, BarTable) else tuple(tables)
        _must_be_plausible(batch, received_at, live)
        with self._writing:
            if self._parts.moved_on():
                self.load()
            self._parts.compact(self._rewritten, received_at, most_small=MOST_SMALL_PARTS, large_rows=LARGE_PART_ROWS)
            with self._memory:
                self._must_agree_on_origin(batch, origin)
                receipts: dict[int, SeriesReceipt] = {}
                parts: list[str] = []
                for positions in _rounds(batch):
                    arrivals = {i: self._arrival(batch[i], received_at, live, origin) for i in positions}
                    parts += self._keep([arrivals[i] for i in positions], received_at)
                    receipts.update({i: arrival.receipt for i, arrival in arrivals.items()})
        receipt = Receipt(tuple(receipts[i] for i in range(len(batch))), tuple(parts))
        if receipt.kept:
            for ear in self._ears:
                ear(receipt)
        return receipt

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        """The series, or None where nobody feeds it."""
        with self._memory:
            series = self._series.get((symbol, timeframe))
            return None if series is None else series.timeline()

    def qualities(self, symbol: str, timeframe: Timeframe) -> Floats | None:
        """Score of each record of the timeline when it came, shape (n_records,), in [0, 1] (`market.quality`)."""
        with self._memory:
            series = self._series.get((symbol, timeframe))
            return None if series is None else series.quality

    def series(self) -> tuple[SeriesInfo, ...]:
        """What there is, by symbol and timeframe."""
        with self._memory:
            for key, series in self._series.items():
                if key not in self._infos:
                    self._infos[key] = described(series)
            return tuple(self._infos[key] for key in sorted(self._series))

    def seal(self, symbol: str, timeframe: Timeframe, as_of: Instant) -> None:
        """Remembers that an answer was, or is about to be, given as of then: what comes later comes after it.

        A series that nobody feeds is not sealed: that nobody feeds it is no answer that has to stand.
        """
        key = symbol, timeframe
        with self._memory:
            if key in self._series and as_of > self._seals[key]:
                self._seals[key] = as_of

    def _arrival(self, table: BarTable, received_at: Instant, live: bool, origin: str | None) -> Arrival:
        key = table.symbol, table.timeframe
        series = self._series.get(key) or Series(*key, origin or table.origin)
        return arrive(series, table, Receiving(received_at, live, self._seals.get(key, -1)))

    def _keep(self, arrivals: Sequence[Arrival], at: Instant) -> list[str]:
        """Disk first, then memory. The sha256 of the part, if there was anything to keep."""
        every = [arrival.records for arrival in arrivals if len(arrival.records)]
        if not every:
            return []
        sha256 = self._parts.add(encoded(every, self._tenant), sum(len(records) for records in every), at)
        for records in every:
            if records.key not in self._series:
                self._series[records.key] = Series(*records.key, records.origin)
            self._series[records.key].extend(records)
            self._infos.pop(records.key, None)
        return [sha256]

    def _rewritten(self, paths: Sequence[Path]) -> tuple[bytes, int]:
        records = decoded(paths)
        return encoded(records, self._tenant), sum(len(one) for one in records)

    def _must_agree_on_origin(self, batch: Sequence[BarTable], origin: str | None) -> None:
        kept = {key: series.origin for key, series in self._series.items()}
        for table in batch:
            fed = origin or table.origin
            if len(table) and kept.setdefault((table.symbol, table.timeframe), fed) != fed:
                raise OriginConflict(table.symbol, table.timeframe, kept[table.symbol, table.timeframe], fed)


def _must_be_plausible(batch: Sequence[BarTable], received_at: Instant, live: bool) -> None:
    newest = max((int(table.bars.close_at[-1]) for table in batch if len(table)), default=None)
    if live and newest is not None and received_at - newest > LIVE_WITHIN_MS:
        raise ImplausibleClock(
            f"the newest of these live bars closed {(received_at - newest) // DAY_MS} days before it was received",
            "bars of the last 31 days, older ones as files; if they are new, the clock is wrong",
        )


def _rounds(batch: Sequence[BarTable]) -> list[list[int]]:
    """Positions in the batch, in groups that hold each series once."""
    seen: dict[Key, int] = defaultdict(int)
    rounds: list[list[int]] = []
    for i, table in enumerate(batch):
        nth = seen[table.symbol, table.timeframe]
        seen[table.symbol, table.timeframe] += 1
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(i)
    return rounds
