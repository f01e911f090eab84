"""The parts of one kind of history: which are in force, and how many small ones become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from market.parquet import SUFFIX, DamagedPart, stamp
from market.ports import Blobs, Manifest
from ml.bars import Instant

T = TypeVar("T")


class Parts:
    """Immutable files of one `kind`, as the manifest names them. Who holds it lets one thread at a time change it.

    Files of parts that were replaced stay until somebody sweeps old blobs that no manifest names; they are made young
    before they are replaced, so that whoever reads them may finish.
    """

    def __init__(self, kind: str, form: str, manifest: Manifest, blobs: Blobs, tenant: str) -> None:
        self._kind = kind
        self._form = form
        self._manifest = manifest
        self._blobs = blobs
        self._tenant = tenant
        self._rows_of: dict[str, int] = {}
        self._paths: dict[str, Path] = {}
        self._unsure = False

    def load(self, read: Callable[[Sequence[Path]], T]) -> T:
        """What `read` makes of the files of all parts that the manifest names now. Where it raises, nothing changed.

        Raises DamagedPart, and what the blobs raise for a part that is missing or damaged.
        """
        paths = {sha256: self._blobs.path(sha256, SUFFIX) for sha256 in self._manifest.parts(self._kind)}
        stamps = {sha256: stamp(path, self._form) for sha256, path in paths.items()}
        for sha256, said in stamps.items():
            if said.tenant != self._tenant:
                raise DamagedPart(f"part {sha256} belongs to another tenant than '{self._tenant}'")
        found = read(list(paths.values()))
        self._rows_of = {sha256: said.n_rows for sha256, said in stamps.items()}
        self._paths = paths
        self._unsure = False
        return found

    def paths(self) -> list[Path]:
        """Files of all parts in force. Each was found whole when it was first asked for."""
        for sha256 in self._rows_of:
            if sha256 not in self._paths:
                self._paths[sha256] = self._blobs.path(sha256, SUFFIX)
        return [self._paths[sha256] for sha256 in self._rows_of]

    def add(self, content: bytes, n_rows: int, at: Instant) -> str:
        """Puts a part in force; on disk when its sha256 is returned."""
        return self._put(content, n_rows, (), at)

    def compact(
        self,
        rewritten: Callable[[Sequence[Path]], tuple[bytes, int]],
        at: Instant,
        *,
        most_small: int,
        large_rows: int,
    ) -> None:
        """Where there are more than `most_small` parts below `large_rows`, makes the newer of them one: `rewritten`
        gives its bytes and rows. Before an append rather than after, so that a failure is nobody's lost rows."""
        small = {sha256: n_rows for sha256, n_rows in self._rows_of.items() if n_rows < large_rows}
        if len(small) <= most_small:
            return
        small = _worth_merging(small)
        content, n_rows = rewritten([self._blobs.path(sha256, SUFFIX) for sha256 in small])
        expected = sum(self._rows_of[sha256] for sha256 in small)
        if n_rows != expected:
            raise DamagedPart(f"{len(small)} parts hold {n_rows} rows, not the {expected} that they were written with")
        self._put(content, n_rows, tuple(small), at)

    def moved_on(self) -> bool:
        """Whether a change that raised was committed all the same: then `load` again before building on it."""
        if self._unsure and set(self._manifest.parts(self._kind)) != set(self._rows_of):
            return True
        self._unsure = False
        return False

    def _put(self, content: bytes, n_rows: int, remove: Sequence[str], at: Instant) -> str:
        sha256 = self._blobs.put(content, SUFFIX)
        for gone in remove:
            self._blobs.renew(gone, SUFFIX)
        self._unsure = True
        self._manifest.swap(self._kind, add=sha256, n_rows=n_rows, remove=remove, at=at)
        self._unsure = False
        for gone in remove:
            del self._rows_of[gone]
            self._paths.pop(gone, None)
        self._rows_of[sha256] = n_rows
        return sha256


def _worth_merging(parts: Mapping[str, int]) -> dict[str, int]:
    """The parts (rows of each, oldest first) but for the first ones that have more rows than all that came after; two
    at least. A year of history is not written again for the sake of some bars. A row is rewritten as often as its part
    doubles. What is left stands together: in some kinds the order of parts counts.
    """
    names, rows = list(parts), list(parts.values())
    first = 0
    while len(names) - first > 2 and rows[first] > sum(rows[first + 1 :]):
        first += 1
    return {name: parts[name] for name in names[first:]}
