"""What the market as a whole shows at each instant: columns of the panel's members, as they were known then.

A member's row comes from its own bars by a kernel under the same contract as `ml.rows.Kernel`: causal, and dependent on
its last `warmup` bars alone. So the row of one question, from a tail of every member, equals its row among many from
full history, bit for bit; and members are added up in the panel's own order, one after another, for the same reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.rows import last_rows
from ml.timeline import Market, Timeline


class MemberKernel(Protocol):
    """Rows of bars at positions `at` (ascending; all where None), shape (len(at), k); a row depends on the last
    `warmup` bars that end there."""

    def __call__(self, bars: Bars, at: Instants | None = None) -> Floats: ...


#: A member whose newest bar closed longer than this before the symbol's own does not count.
LATEST_MS = 6 * HOUR_MS
#: Bits of a panel's mark: a float64 holds them exactly.
_MARK_BITS = 48
#: The last bits of a logarithm differ between machines.
_DECIMALS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One member at n instants: `values` (n, k), NaN where it was not known, and `data_through` (int64 ms, (n,)), the
    close of the newest bar that it had then; 0 where it had none."""

    symbol: str
    values: Floats
    data_through: Instants


@dataclass(frozen=True, slots=True)
class PanelColumns:
    """How members are read: `kernel` with `n_columns` columns, from `warmup` bars; nothing with fewer than `at_least`
    bars known."""

    kernel: MemberKernel
    n_columns: int
    warmup: int
    at_least: int

    def members(self, market: Market, timeframe: Timeframe, as_of: Instants) -> Iterator[Member]:
        """Each member of the market's panel at the instants `as_of` (int64 ms, shape (n,), best without repeats), in
        the panel's order. Members that nobody feeds are left out."""
        fed = [market.timeline(symbol, timeframe) for symbol in market.panel(timeframe)]
        timelines = [one for one in fed if one is not None]
        if len(as_of) == 1 and len(timelines) > 1:
            return iter(self._at_once(timelines, as_of))
        return (self.member(timeline, as_of) for timeline in timelines)

    def _at_once(self, timelines: Sequence[Timeline], as_of: Instants) -> list[Member]:
        """All members at one instant: their tails go through the kernel together."""
        tails: dict[int, Bars] = {}
        through: dict[int, int] = {}
        for number, timeline in enumerate(timelines):
            seen = timeline.locate(as_of)
            last, bars = int(seen.last[0]), timeline.edition(int(seen.edition[0]))
            if last + 1 >= self.warmup:
                tails[number] = bars.between(last + 1 - self.warmup, last + 1)
                through[number] = int(bars.open_at[last]) + timeline.timeframe.milliseconds
        rows = dict(zip(tails, last_rows(self.kernel, list(tails.values()), self.warmup), strict=True))
        return [
            Member(timeline.symbol, rows[number][None, :], np.array([through[number]]))
            if number in tails
            else self.member(timeline, as_of)
            for number, timeline in enumerate(timelines)
        ]

    def member(self, timeline: Timeline, as_of: Instants) -> Member:
        """One series at the instants `as_of` (int64 ms, shape (n,)), a member or not."""
        values = np.full((len(as_of), self.n_columns), np.nan)
        through = np.zeros(len(as_of), dtype=np.int64)
        seen = timeline.locate(as_of)
        for edition in np.unique(seen.edition[seen.last >= 0]).tolist():
            bars = timeline.edition(edition)
            here = np.flatnonzero((seen.edition == edition) & (seen.last >= 0))
            through[here] = bars.open_at[seen.last[here]] + timeline.timeframe.milliseconds
            here = here[seen.last[here] + 1 >= self.at_least]
            if len(here):
                values[here] = self._at(bars, seen.last[here])
        return Member(timeline.symbol, values, through)

    def _at(self, bars: Bars, positions: Instants) -> Floats:
        """Kernel rows at `positions`: each stretch of them at once, and a stretch ends where a tail is cheaper."""
        distinct, of_distinct = np.unique(positions, return_inverse=True)
        breaks = np.flatnonzero(np.diff(distinct) > self.warmup) + 1
        found = []
        for part in np.split(distinct, breaks):
            start = max(int(part[0]) - self.warmup + 1, 0)
            found.append(self.kernel(bars.between(start, int(part[-1]) + 1), part - start))
        return np.concatenate(found)[of_distinct]


@dataclass(frozen=True, slots=True)
class PanelMeans:
    """Means over the members that count, and how far they are apart.

    The first column of `members` tells of which kind a member is and has no mean: `counts` says, of it (n,) and of what
    was asked (n,), whether it stands for the market then. `spread_at` are the columns whose standard deviation over
    members is told.
    """

    members: PanelColumns
    spread_at: tuple[int, ...]
    counts: Callable[[Floats, Floats], NDArray[np.bool_]]

    def columns(self, market: Market, timeframe: Timeframe, as_of: Instants, through: Instants, kind: Floats) -> Floats:
        """For n questions asked at `as_of`, on bars up to `through` (int64 ms), of symbols of a `kind`, (n,) each: the
        means, the standard deviations, and the panel's `mark`, shape (n, n_columns - 1 + len(spread_at) + 1). NaN where
        no member counts."""
        times, of_time = np.unique(as_of, return_inverse=True)
        distinct = np.stack([of_time, through, kind.astype(np.int64)])
        asked, of_asked = np.unique(distinct, axis=1, return_inverse=True)
        at, newest, of_kind = asked[0], asked[1], asked[2].astype(np.float64)
        spread_at = list(self.spread_at)
        mean, square = Mean.of(len(at), self.members.n_columns), Mean.of(len(at), len(spread_at))
        for member in self.members.members(market, timeframe, times):
            values = member.values[at]
            usable = self.counts(values[:, 0], of_kind) & (member.data_through[at] >= newest - LATEST_MS)
            mean.add(values, usable)
            square.add(np.square(values[:, spread_at]), usable)
        average = mean.values
        spread = np.sqrt(np.maximum(square.values - np.square(average[:, spread_at]), 0.0))
        found = np.round(np.column_stack([average[:, 1:], spread]), _DECIMALS)[of_asked]
        return np.column_stack([found, np.full(len(as_of), mark(market.panel(timeframe)))])


@dataclass(slots=True)
class Mean:
    """A mean over members, column by column, added up in the order in which they come; NaN where none was known."""

    total: Floats
    count: Instants

    @staticmethod
    def of(n: int, n_columns: int) -> Mean:
        return Mean(np.zeros((n, n_columns)), np.zeros((n, n_columns), dtype=np.int64))

    def add(self, values: Floats, usable: NDArray[np.bool_]) -> None:
        """Adds a member's `values` (n, k) where it is `usable` (n,) and the value is known."""
        known = usable[:, None] & ~np.isnan(values)
        self.total += np.where(known, values, 0.0)
        self.count += known

    @property
    def values(self) -> Floats:
        """Shape (n, k)."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)


def mark(members: Sequence[str]) -> float:
    """A number that stands for the panel's members, by name: two panels differ in it. 0 for an empty panel.

    Exact in float64, so that a row says whose means it carries.
    """
    if not members:
        return 0.0
    digest = hashlib.sha256("\n".join(members).encode()).digest()
    return float(int.from_bytes(digest[: _MARK_BITS // 8], "big"))
