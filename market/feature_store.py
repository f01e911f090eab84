"""The feature store: rows of features as they were known, kept once and never changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from market.feature_part import FORMAT, Newest, decoded, decoded_of, encoded, keys_of, newest_of
from market.feature_row import FeatureRow
from market.feature_summary import FeatureSummary, summaries
from market.parts import Parts
from market.ports import Blobs, Manifest
from ml.bars import Instant, Timeframe

#: Kind of part in the manifest.
KIND = "features"
#: With more small parts than this, they are made one. Parts of LARGE_PART_ROWS and more stay as they are: a row of a
#: hundred features is twenty times as wide as a bar.
MOST_SMALL_PARTS = 64
LARGE_PART_ROWS = 20_000


class FeatureStore:
    """One process owns it; threads may share it. In memory are only the newest instants, rows are on disk.

    A row is named by symbol, timeframe and `as_of`; the first that comes under a name stays for ever.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, tenant: str) -> None:
        self._parts = Parts(KIND, FORMAT, manifest, blobs, tenant)
        self._tenant = tenant
        self._newest: dict[tuple[str, Timeframe], Newest] = {}
        self._changing = threading.Lock()

    def load(self) -> None:
        """Looks at all parts that the manifest names. Raises DamagedPart, and what the blobs raise."""
        with self._changing:
            self._newest = self._parts.load(newest_of)

    def append(self, rows: Sequence[FeatureRow], at: Instant) -> int:
        """Keeps the rows whose names are new, as one part; on disk when it returns how many that were.

        `at` is the clock's word (ms UTC). ValueError for a row of a later `as_of`: nobody knows it yet. Raises whatever
        blobs and manifest raise (a full disk, say): then nothing was kept, and the same call may be made again.
        """
        if any(row.as_of > at for row in rows):
            raise ValueError(f"a feature row is as of later than {at}, when it was to be kept")
        with self._changing:
            if self._parts.moved_on():
                self._newest = self._parts.load(newest_of)
            self._parts.compact(self._rewritten, at, most_small=MOST_SMALL_PARTS, large_rows=LARGE_PART_ROWS)
            new = self._unknown(rows)
            if not new:
                return 0
            self._parts.add(encoded(new, self._tenant), len(new), at)
            for row in new:
                known = self._newest.get(row.series)
                if known is None or row.as_of > known.as_of:
                    self._newest[row.series] = Newest(row.as_of, row.data_through)
            return len(new)

    def newest(self) -> Mapping[tuple[str, Timeframe], Newest]:
        """The newest row of every series that has one."""
        with self._changing:
            return dict(self._newest)

    def rows(self, symbol: str, timeframe: Timeframe, since: Instant, until: Instant) -> tuple[FeatureRow, ...]:
        """The rows of a series with `since` <= `as_of` <= `until`, oldest first. Reads files. Raises DamagedPart."""
        return decoded_of(self._files(), symbol, timeframe, since, until)

    def statistics(self, timeframe: Timeframe, until: Instant) -> tuple[FeatureSummary, ...]:
        """Every feature per symbol and over all, from the usable rows with `as_of` <= `until`. Reads all of them: for
        a job, not for a request. Raises DamagedPart."""
        return summaries(self._files(), timeframe, until)

    def _files(self) -> list[Path]:
        with self._changing:
            return self._parts.paths()

    def _unknown(self, rows: Sequence[FeatureRow]) -> list[FeatureRow]:
        """The first row of each name that is not there, in order."""
        named = {(*row.series, row.as_of): row for row in reversed(rows)}
        old = [row.as_of for row in rows if row.series in self._newest and row.as_of <= self._newest[row.series].as_of]
        known = keys_of(self._parts.paths(), min(old)) if old else set()
        return [row for name, row in reversed(named.items()) if name not in known]

    def _rewritten(self, paths: Sequence[Path]) -> tuple[bytes, int]:
        rows = decoded(paths)
        return encoded(rows, self._tenant), len(rows)
