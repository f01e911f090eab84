"""What was seen of the market as it was: numbers without a truth, for a learner that must know what is usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats, Instants


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """n numbers, each of a kind: `values` (n,), that at i of kind `kinds[codes[i]]`, known since `known_at` (int64 ms,
    (n,), never falling)."""

    kinds: tuple[str, ...]
    codes: NDArray[np.int64]
    known_at: Instants
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    @staticmethod
    def of(parts: Iterable[tuple[str, Instants, Floats]]) -> Background:
        """Of parts of one kind each: its name, when its numbers were known (int64 ms, (k,)), and the numbers (k,)."""
        found = [part for part in parts if len(part[1])]
        kinds = tuple(sorted({kind for kind, _, _ in found}))
        codes = [np.full(len(known_at), kinds.index(kind)) for kind, known_at, _ in found]
        known_at = np.concatenate([np.zeros(0, dtype=np.int64), *(part[1] for part in found)])
        values = np.concatenate([np.zeros(0), *(part[2] for part in found)])
        order = np.argsort(known_at, kind="stable")
        together = np.concatenate([np.zeros(0, dtype=np.int64), *codes])
        return Background(kinds, together[order], known_at[order], values[order])

    def between(self, after: int, until: int) -> Background:
        """What became known after `after` and by `until` (ms). A view, not a copy."""
        start, stop = np.searchsorted(self.known_at, (after, until), side="right").tolist()
        some = slice(start, max(start, stop))
        return Background(self.kinds, self.codes[some], self.known_at[some], self.values[some])

    def by_kind(self) -> dict[str, Floats]:
        """The numbers of each kind that has any, in order of time."""
        told = {kind: self.values[self.codes == code] for code, kind in enumerate(self.kinds)}
        return {kind: values for kind, values in told.items() if len(values)}
