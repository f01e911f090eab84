"""Statistics of features, dated: what scaling at an instant may know is what had been found out by then."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from market.columns import coded, from_numpy, repeated
from market.feature_summary import FeatureSummary
from market.parquet import selected, stamped
from market.parts import Parts
from market.ports import Blobs, Manifest
from ml.bars import Instant, Timeframe

#: Kind of part in the manifest, and version of its columns.
KIND = "feature_statistics"
FORMAT = "barograph.feature_statistics/1"
#: With more small parts than this, they are made one; parts of LARGE_PART_ROWS and more stay as they are.
MOST_SMALL_PARTS = 64
LARGE_PART_ROWS = 1_000_000
#: Stands for all symbols in a part: no symbol is empty.
_ALL = ""

_NUMBERS = ("mean", "sd", "low", "high", "median", "iqr")
_COLUMNS = ("as_of", "timeframe", "symbol", "feature", "n", *_NUMBERS)


class SummaryStore:
    """One process owns it; threads may share it. Nothing is changed, and nothing is dated back.

    Summaries recorded at an instant are in force from then until the next of their timeframe.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, tenant: str) -> None:
        self._parts = Parts(KIND, FORMAT, manifest, blobs, tenant)
        self._tenant = tenant
        self._dated: dict[Timeframe, Instant] = {}
        self._changing = threading.Lock()

    def load(self) -> None:
        """Looks at all parts that the manifest names. Raises DamagedPart, and what the blobs raise."""
        with self._changing:
            self._dated = self._parts.load(_newest)

    def record(self, timeframe: Timeframe, summaries: Sequence[FeatureSummary], at: Instant) -> None:
        """Puts these summaries in force from `at` (ms UTC) on; on disk when it returns. None change nothing.

        ValueError where `at` is not later than what was recorded last: what was in force then has been used.
        """
        with self._changing:
            if self._parts.moved_on():
                self._dated = self._parts.load(_newest)
            last = self._dated.get(timeframe)
            if last is not None and at <= last:
                raise ValueError(f"statistics of {timeframe} features were recorded at {last}, these are of {at}")
            self._parts.compact(self._rewritten, at, most_small=MOST_SMALL_PARTS, large_rows=LARGE_PART_ROWS)
            if summaries:
                self._parts.add(self._encoded(_table(timeframe, summaries, at)), len(summaries), at)
                self._dated[timeframe] = at

    def in_force(self, timeframe: Timeframe, as_of: Instant, symbol: str | None = None) -> dict[str, FeatureSummary]:
        """By feature, the summaries of `symbol` (None: over all symbols) in force at `as_of`; empty where there were
        none yet. Raises DamagedPart."""
        with self._changing:
            paths = self._parts.paths()
        if not paths:
            return {}
        found = selected(
            paths,
            f"select feature, n, {', '.join(_NUMBERS)} from read_parquet($files) "  # noqa: S608 - our own names
            "where timeframe = $timeframe and symbol = $symbol and as_of = "
            "(select max(as_of) from read_parquet($files) where timeframe = $timeframe and as_of <= $as_of)",
            timeframe=str(timeframe),
            symbol=_ALL if symbol is None else symbol,
            as_of=as_of,
        )
        return {row[0]: FeatureSummary(symbol, *row) for row in found}

    def _encoded(self, table: pa.Table) -> bytes:
        return stamped(table, FORMAT, self._tenant, few_values=("timeframe", "symbol", "feature"), steps=("as_of",))

    def _rewritten(self, paths: Sequence[Path]) -> tuple[bytes, int]:
        table = pa.concat_tables([pa.parquet.read_table(path) for path in paths]).unify_dictionaries()
        return self._encoded(table), len(table)


def _newest(paths: Sequence[Path]) -> dict[Timeframe, Instant]:
    if not paths:
        return {}
    found = selected(paths, "select timeframe, max(as_of) from read_parquet($files) group by all")
    return {Timeframe(timeframe): as_of for timeframe, as_of in found}


def _table(timeframe: Timeframe, summaries: Sequence[FeatureSummary], at: Instant) -> pa.Table:
    return pa.Table.from_arrays(
        [
            from_numpy(np.full(len(summaries), at, dtype=np.int64)),
            repeated(str(timeframe), len(summaries)),
            coded([_ALL if one.symbol is None else one.symbol for one in summaries]),
            coded([one.feature for one in summaries]),
            from_numpy(np.array([one.n for one in summaries], dtype=np.int64)),
            *(from_numpy(np.array([getattr(one, name) for one in summaries], dtype=np.float64)) for name in _NUMBERS),
        ],
        names=_COLUMNS,
    )
