"""The history of what is observed beside bars: funding, open interest, books. Kept and known as bars are."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from market.bar_table import Mask
from market.mapped import Mapped
from market.observed_part import FORMAT, Feeding, decoded, encoded
from market.observed_reading import read_back
from market.observed_series import ObservedSeries
from market.observed_table import ObservedFault, ObservedTable, RefusedObservations
from market.parts import Parts
from market.ports import Blobs, Manifest
from market.receiving import Standing, in_future, received_times
from market.refusal import OriginConflict
from ml.bars import Floats, Instant, Instants
from ml.observed import FIELDS, Kind, Observed

#: With more small parts of a kind than this, they are made one. Parts of LARGE_PART_ROWS and more stay as they are.
MOST_SMALL_PARTS = 64
LARGE_PART_ROWS = 250_000
#: Kinds with so many numbers a record that memory would not hold years of them.
WIDE = frozenset({Kind.BOOK})


def kind_of_parts(kind: Kind) -> str:
    """What the manifest calls the parts of a kind."""
    return f"observed.{kind}"


@dataclass(frozen=True, slots=True)
class ObservedReceipt:
    """What became of one table: `kept` were new or revised, `repeated` were there already, or the same table overruled
    them. On disk."""

    kind: Kind
    symbol: str
    kept: int
    repeated: int
    refused: tuple[RefusedObservations, ...]

    @property
    def n_refused(self) -> int:
        return sum(one.n for one in self.refused)


class Observations:
    """One process owns it; threads may share it. What comes later never changes what an earlier `as_of` sees.

    Of wide kinds the times are in memory, and the numbers in a file without a name in the folder `scratch`: what a
    question looks at is read then. Without `scratch` all is in memory.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, tenant: str, scratch: Path | None = None) -> None:
        self._parts = {kind: Parts(kind_of_parts(kind), FORMAT, manifest, blobs, tenant) for kind in Kind}
        self._tenant = tenant
        self._series: dict[tuple[Kind, str], ObservedSeries] = {}
        self._scratch = scratch
        self._mapped: dict[Kind, Mapped] = {}
        self._seals: dict[str, Instant] = defaultdict(lambda: -1)
        self._writing = threading.Lock()
        self._memory = threading.RLock()

    def load(self) -> None:
        """Reads all parts that the manifest names. Raises DamagedPart, and what the blobs raise."""
        with self._writing:
            for kind in Kind:
                self._load(kind)

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        """All records of a kind and symbol, or None where nobody feeds them."""
        with self._memory:
            series = self._series.get((kind, symbol))
            return None if series is None else series.records()

    def symbols(self, kind: Kind) -> Sequence[str]:
        """Symbols of which a kind is fed, sorted."""
        with self._memory:
            return sorted(symbol for of, symbol in self._series if of is kind)

    def seal(self, symbol: str, as_of: Instant) -> None:
        """Remembers that an answer about the symbol was, or is about to be, given as of then."""
        with self._memory:
            self._seals[symbol] = max(self._seals[symbol], as_of)

    def append(self, tables: Sequence[ObservedTable], *, received_at: Instant, live: bool) -> list[ObservedReceipt]:
        """Keeps what is new in these tables, which hold each kind and symbol once; on disk when it returns.

        `live`: they come now for the first time; else from an archive, and those that continue a series count as
        received at their own time, unless an answer was given since. Raises OriginConflict, and whatever blobs and
        manifest raise: then nothing of the kind at hand was kept, and the same call may be made again.
        """
        receipts: dict[int, ObservedReceipt] = {}
        with self._writing:
            self._must_agree_on_origin(tables)
            for kind in Kind:
                mine = [i for i, table in enumerate(tables) if table.kind is kind]
                if mine:
                    receipts.update(self._append(kind, {i: tables[i] for i in mine}, received_at, live))
        return [receipts[i] for i in range(len(tables))]

    def _append(
        self, kind: Kind, tables: dict[int, ObservedTable], received_at: Instant, live: bool
    ) -> dict[int, ObservedReceipt]:
        parts = self._parts[kind]
        if parts.moved_on():
            self._load(kind)
        parts.compact(self._rewriter(kind), received_at, most_small=MOST_SMALL_PARTS, large_rows=LARGE_PART_ROWS)
        with self._memory:  # nobody is answered between the look at the seals and the moment when this is seen
            found = {
                i: _arrived(table, self._known(table), received_at, live, self._seals.get(table.symbol, -1))
                for i, table in tables.items()
            }
            self._keep([Feeding(records, tables[i].origin) for i, (records, _) in found.items()], parts, received_at)
        return {i: receipt for i, (_, receipt) in found.items()}

    def _keep(self, arrived: Sequence[Feeding], parts: Parts, at: Instant) -> None:
        """Room first, then the disk, then for all to see."""
        new = [(one, self._series_of(one)) for one in arrived if len(one.records)]
        if not new:
            return
        for one, series in new:
            series.put(one.records)
        parts.add(encoded([one for one, _ in new], self._tenant), sum(len(one.records) for one, _ in new), at)
        for one, series in new:
            series.publish(len(one.records))
            self._series[series.kind, series.symbol] = series

    def _known(self, table: ObservedTable) -> ObservedSeries:
        none = ObservedSeries(table.kind, table.symbol, table.origin)
        return self._series.get((table.kind, table.symbol), none)

    def _series_of(self, one: Feeding) -> ObservedSeries:
        kind, symbol = one.records.kind, one.records.symbol
        kept = self._series.get((kind, symbol))
        return kept or ObservedSeries(kind, symbol, one.origin, self._mapped.get(kind))

    def _load(self, kind: Kind) -> None:
        mapped = Mapped(self._scratch, len(FIELDS[kind])) if self._scratch and kind in WIDE else None

        series = self._parts[kind].load(lambda paths: read_back(kind, paths, mapped))
        with self._memory:
            if mapped:
                self._mapped[kind] = mapped
            others = {key: one for key, one in self._series.items() if key[0] is not kind}
            self._series = others | {(kind, symbol): one for symbol, one in series.items()}

    def _rewriter(self, kind: Kind) -> Callable[[Sequence[Path]], tuple[bytes, int]]:
        def rewritten(paths: Sequence[Path]) -> tuple[bytes, int]:
            feedings = decoded(kind, paths)
            return encoded(feedings, self._tenant), sum(len(one.records) for one in feedings)

        return rewritten

    def _must_agree_on_origin(self, tables: Sequence[ObservedTable]) -> None:
        for table in tables:
            kept = self._series.get((table.kind, table.symbol))
            if kept is not None and len(table) and kept.origin != table.origin:
                raise OriginConflict(table.symbol, str(table.kind), kept.origin, table.origin)


def _arrived(
    table: ObservedTable, known: ObservedSeries, received_at: Instant, live: bool, sealed_at: Instant
) -> tuple[Observed, ObservedReceipt]:
    """What the table adds, in the order of receipt, and what to say of it."""
    early = in_future(table.at, received_at)
    at, values = table.at[~early], table.values[~early]
    standing = Standing(known.newest_at, known.newest_received_at, sealed_at)
    repeated = _repeated(known, at, values)
    at, values = at[~repeated], values[~repeated]
    received = _after_its_like(known, at, received_times(at, standing, received_at, live=live))
    order = _last_words(at, received)
    overruled = len(at) - len(order)
    records = Observed(table.kind, table.symbol, at[order], received[order], values[order])
    refused = table.refused
    if early.any():
        refused = (*refused, RefusedObservations(ObservedFault.IN_FUTURE, int(early.sum())))
    return records, ObservedReceipt(table.kind, table.symbol, len(records), int(repeated.sum()) + overruled, refused)


def _after_its_like(known: ObservedSeries, at: Instants, received: Instants) -> Instants:
    """Another word on a time that was told in this very millisecond counts as received in the next: what is read back
    is ordered by receipt and time, and two words of one receipt would have no order."""
    return np.where((received == known.newest_received_at) & np.isin(at, known.just_told()), received + 1, received)


def _last_words(at: Instants, received: Instants) -> Instants:
    """Positions in the order of receipt, then of time; of several words on one time at one receipt the last alone."""
    order = np.lexsort((at, received))
    same = (at[order][1:] == at[order][:-1]) & (received[order][1:] == received[order][:-1])
    return order[np.append(~same, True)] if len(order) else order


def _repeated(series: ObservedSeries, at: Instants, values: Floats) -> Mask:
    """Which rows say what is known, or what a row before them says."""
    newest: dict[int, Floats] = {}
    if len(at) and at[0] <= series.newest_at:
        known = series.records()  # in the order of receipt: of several words on one time the last stays
        again = np.flatnonzero(np.isin(known.at, at))
        newest = dict(zip(known.at[again].tolist(), known.values[again], strict=True))
    result = np.zeros(len(at), dtype=bool)
    for i, (one, row) in enumerate(zip(at.tolist(), values, strict=True)):
        said = newest.get(one)
        result[i] = said is not None and np.array_equal(said, row, equal_nan=True)
        newest[one] = row
    return result
