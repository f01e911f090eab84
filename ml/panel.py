"""What the market as a whole shows at each instant: columns of the panel's members, as they were known then.

A member's row comes from its own bars by a kernel under the same contract as `ml.rows.Kernel`: causal, and dependent on
its last `warmup` bars alone. So the row of one question, from a tail of every member, equals its row among many from
full history, bit for bit; and members are added up in the panel's own order, one after another, for the same reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.timeline import Market, Timeline

#: bars -> one row per bar, shape (len(bars), k); row i depends on the last `warmup` bars that end at i.
MemberKernel: TypeAlias = Callable[[Bars], Floats]
#: Bits of a panel's mark: a float64 holds them exactly.
_MARK_BITS = 48


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
        """All members at one instant: their tails laid end to end go through the kernel together. A row depends on its
        own last `warmup` bars alone, so what lies before them may be another member."""
        tails: dict[int, Bars] = {}
        through: dict[int, int] = {}
        for number, timeline in enumerate(timelines):
            seen = timeline.locate(as_of)
            last = int(seen.last[0])
            if last + 1 >= self.warmup:
                tails[number] = timeline.edition(int(seen.edition[0])).between(last + 1 - self.warmup, last + 1)
                through[number] = int(tails[number].open_at[-1]) + timeline.timeframe.milliseconds
        if not tails:
            return [self.member(timeline, as_of) for timeline in timelines]
        values = self.kernel(_end_to_end(list(tails.values())))[self.warmup - 1 :: self.warmup]
        row_of = {number: values[k : k + 1] for k, number in enumerate(tails)}
        return [
            Member(timeline.symbol, row_of[number], np.array([through[number]]))
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
        order = np.argsort(positions, kind="stable")
        sorted_ = positions[order]
        breaks = np.flatnonzero(np.diff(sorted_) > self.warmup) + 1
        result = np.empty((len(positions), self.n_columns))
        for part in np.split(order, breaks):
            first, last = int(positions[part[0]]), int(positions[part[-1]])
            start = max(first - self.warmup + 1, 0)
            result[part] = self.kernel(bars.between(start, last + 1))[positions[part] - start]
        return result


def _end_to_end(parts: Sequence[Bars]) -> Bars:
    first = parts[0]
    return Bars(
        first.symbol,
        first.timeframe,
        np.concatenate([one.open_at for one in parts]),
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("open", "high", "low", "close", "volume")),
    )


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
