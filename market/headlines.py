"""The history of headlines: kept once, known since they came, by source."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from market.columns import from_numpy, integers
from market.headline import Headline, HeadlineFault
from market.parquet import stamped, whole
from market.parts import Parts
from market.ports import Blobs, Manifest
from market.receiving import Standing, in_future, received_times
from ml.bars import Instant

#: Kind of part in the manifest, and version of its columns.
KIND = "headlines"
FORMAT = "barograph.headlines/1"
MOST_SMALL_PARTS = 64
LARGE_PART_ROWS = 100_000
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("source", "key")),
        ("published_at", pa.int64()),
        *((name, pa.string()) for name in ("title", "symbols")),
        ("received_at", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Known:
    """A headline, and since when it was known (ms UTC)."""

    headline: Headline
    received_at: Instant


@dataclass(frozen=True, slots=True)
class HeadlineReceipt:
    """What became of a batch. What it counts as kept is on disk."""

    kept: int
    repeated: int
    refused: tuple[tuple[HeadlineFault, int], ...]

    @property
    def n_refused(self) -> int:
        return sum(n for _, n in self.refused)


class Headlines:
    """One process owns it; threads may share it. All headlines are in memory, in the order of receipt.

    A headline is named by source and key; one that comes again with other words is a revision, known since it came.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, tenant: str) -> None:
        self._parts = Parts(KIND, FORMAT, manifest, blobs, tenant)
        self._tenant = tenant
        self._known: list[Known] = []
        self._newest: dict[tuple[str, str], Headline] = {}
        self._standing = Standing()
        self._changing = threading.RLock()

    def __len__(self) -> int:
        return len(self._known)

    def load(self) -> None:
        """Reads all parts that the manifest names. Raises DamagedPart, and what the blobs raise."""
        with self._changing:
            known = self._parts.load(_decoded)
            self._known, self._newest = [], {}
            self._standing = Standing(sealed_at=self._standing.sealed_at)
            self._remember(known)

    def seal(self, as_of: Instant) -> None:
        """Remembers that an answer on headlines was, or is about to be, given as of then."""
        with self._changing:
            was = self._standing
            self._standing = Standing(was.newest_at, was.newest_received_at, max(was.sealed_at, as_of))

    def known(self, as_of: Instant, since: Instant = 0) -> list[Known]:
        """What was known then of headlines published at `since` or later: the newest word of each, by publication."""
        with self._changing:
            upto = bisect_right(self._known, as_of, key=lambda one: one.received_at)
            newest = {(one.headline.source, one.headline.key): one for one in self._known[:upto]}
        found = [one for one in newest.values() if since <= one.headline.at <= as_of]
        return sorted(found, key=lambda one: (one.headline.at, one.received_at, one.headline.key))

    def sources(self) -> Counter[str]:
        """How many records there are of each source."""
        with self._changing:
            return Counter(one.headline.source for one in self._known)

    def append(self, batch: Sequence[Headline | HeadlineFault], *, received_at: Instant, live: bool) -> HeadlineReceipt:
        """Keeps what is new, as one part; on disk when it returns. `live`: they come now for the first time; else from
        an archive (`market.receiving`). Raises whatever blobs and manifest raise: then nothing was kept."""
        refused = Counter(one for one in batch if isinstance(one, HeadlineFault))
        good = [one for one in batch if isinstance(one, Headline)]
        late = in_future(np.array([one.at for one in good], dtype=np.int64), received_at)
        refused[HeadlineFault.IN_FUTURE] += int(late.sum())
        with self._changing:
            if self._parts.moved_on():
                self.load()
            self._parts.compact(self._rewritten, received_at, most_small=MOST_SMALL_PARTS, large_rows=LARGE_PART_ROWS)
            new = self._unknown([one for one, bad in zip(good, late, strict=True) if not bad])
            if new:
                at = np.array([one.at for one in new], dtype=np.int64)
                times = received_times(at, self._standing, received_at, live=live)
                known = sorted(map(Known, new, times.tolist()), key=lambda one: (one.received_at, one.headline.at))
                self._parts.add(_encoded(known, self._tenant), len(known), received_at)
                self._remember(known)
        repeated = len(good) - int(late.sum()) - len(new)
        return HeadlineReceipt(len(new), repeated, tuple(sorted((fault, n) for fault, n in refused.items() if n)))

    def _unknown(self, good: Sequence[Headline]) -> list[Headline]:
        newest = dict(self._newest)
        new = []
        for one in good:
            was = newest.get((one.source, one.key))
            if was is None or (was.title, was.symbols) != (one.title, one.symbols):  # another date is no other headline
                newest[one.source, one.key] = one
                new.append(one)
        return new

    def _rewritten(self, paths: Sequence[Path]) -> tuple[bytes, int]:
        known = _decoded(paths)
        return _encoded(known, self._tenant), len(known)

    def _remember(self, known: Sequence[Known]) -> None:
        for one in known:
            self._known.append(one)
            self._newest[one.headline.source, one.headline.key] = one.headline
        if known:
            was = self._standing
            newest = max(was.newest_at, *(one.headline.at for one in known))
            self._standing = Standing(newest, known[-1].received_at, was.sealed_at)


def _encoded(known: Sequence[Known], tenant: str) -> bytes:
    told = [one.headline for one in known]
    columns = {
        "source": pa.array([one.source for one in told], pa.string()),
        "key": pa.array([one.key for one in told], pa.string()),
        "published_at": from_numpy(np.array([one.at for one in told], dtype=np.int64)),
        "title": pa.array([one.title for one in told], pa.string()),
        "symbols": pa.array([" ".join(one.symbols) for one in told], pa.string()),
        "received_at": from_numpy(np.array([one.received_at for one in known], dtype=np.int64)),
    }
    return stamped(pa.table(columns), FORMAT, tenant, few_values=("source",), steps=("published_at", "received_at"))


def _decoded(paths: Sequence[Path]) -> list[Known]:
    """In the order of receipt; what was received at one time stays as it lies in the parts, for of two words on one
    headline the later one stands."""
    if not paths:
        return []
    table = whole(paths, _SCHEMA)
    order = np.argsort(integers(table.column("received_at"), 0), kind="stable")
    return [
        Known(
            Headline(row["source"], row["key"], row["published_at"], row["title"], tuple(row["symbols"].split())),
            row["received_at"],
        )
        for row in table.take(pa.array(order)).to_pylist()
    ]
