"""What is observed of a market beside its bars: dated numbers of a kind, and what was known of them when."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field

import numpy as np

from ml.bars import Floats, Instant, Instants
from ml.observed_kind import Kind as Kind

#: Levels of each side of a book that are kept.
BOOK_LEVELS = 10


_BOOK = tuple(
    f"{side}_{what}_{level}"
    for level in range(1, BOOK_LEVELS + 1)
    for side in ("bid", "ask")
    for what in ("price", "size")
)
#: Numbers of one observation, in order. `rate`: funding per interval, a fraction; longs pay shorts where it is above 0.
#: `contracts`: open interest in base units, `value` in quote currency; NaN where it is not told. Books: price and size
#: (base units) of each level, best first; NaN where the book ends before.
FIELDS: dict[Kind, tuple[str, ...]] = {
    Kind.FUNDING: ("rate",),
    Kind.OPEN_INTEREST: ("contracts", "value"),
    Kind.BOOK: _BOOK,
}


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Records of one kind and symbol, in the order of receipt.

    `at` (int64 ms UTC) is when each holds, `received_at` (not decreasing, never before `at`) when it was known;
    `values` (float64, shape (n, len(FIELDS[kind]))). A record of a time that is there already stands in its place.
    """

    kind: Kind
    symbol: str
    at: Instants
    received_at: Instants
    values: Floats
    newest_place: InitVar[Instants | None] = None
    """For whoever knows it already: position of the newest time, in its newest word, among the records up to each."""
    _newest: Instants = field(init=False, repr=False)

    def __post_init__(self, newest_place: Instants | None) -> None:
        if newest_place is None:
            newest = self.at == np.maximum.accumulate(self.at) if len(self.at) else np.zeros(0, dtype=np.bool_)
            places = np.where(newest, np.arange(len(self.at)), 0)
            newest_place = np.maximum.accumulate(places) if len(self.at) else self.at
        object.__setattr__(self, "_newest", newest_place)

    def __len__(self) -> int:
        return len(self.at)

    def n_known(self, as_of: Instants) -> Instants:
        """How many records had been received at each `as_of` (int64 ms, shape (n,)), revised ones among them."""
        return np.searchsorted(self.received_at, as_of, side="right")

    def newest(self, as_of: Instants, most_ms: int) -> Instants:
        """Position of the record of the newest time known at each `as_of` (int64 ms, shape (n,)), in its newest word;
        -1 where nothing was known, and where its time is more than `most_ms` before."""
        known = self.n_known(as_of)
        if not len(self):
            return np.full(len(as_of), -1)
        place = self._newest[np.maximum(known - 1, 0)]
        return np.where((known > 0) & (self.at[place] >= as_of - most_ms), place, -1)

    def known(self, as_of: Instant) -> Observed:
        """What was known then: oldest first, one record for each time, its newest word."""
        upto = int(self.n_known(np.array([as_of]))[0])
        order = np.argsort(self.at[:upto], kind="stable")
        times = self.at[:upto][order]
        keep = order[np.append(times[1:] != times[:-1], True)] if upto else order
        return Observed(self.kind, self.symbol, self.at[keep], self.received_at[keep], self.values[keep])
