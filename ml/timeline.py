"""What was known of a market, and when: the point-in-time view that every feature is computed on.

A series is a list of records in the order in which they were received. A record that continues the series is *in
order*; a late bar (older than one already known) and a revised bar (same open, other numbers) are not, and each of them
starts a new *edition* of the series. A question at `as_of` sees the edition in force then, up to the newest bar
received by then. So nothing that arrives later changes what an earlier `as_of` sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ml.bars import Bars, Instants, Timeframe
from ml.economic_calendar import EconomicCalendar
from ml.observed import Kind, Observed


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where questions stand in a timeline, one entry per `as_of` (int64): how many records were `known`, the `edition`
    that they make, and the position `last` of its newest known bar (-1 where nothing was known)."""

    known: Instants
    edition: Instants
    last: Instants


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """All records of one series, sorted by `received_at` (int64 ms, not decreasing, never before the bar's close).

    `records` holds them as columns, in that order; unlike elsewhere its `open_at` may repeat and step back.
    `origin` says where they come from (`simulated`, `files`, `exchange`, ...) and travels into every reply.
    """

    records: Bars
    received_at: Instants
    origin: str
    newest_open: Instants = field(init=False, repr=False)
    edition_of: Instants = field(init=False, repr=False)
    _editions: dict[int, Bars] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        opens = self.records.open_at
        newest = np.maximum.accumulate(opens) if len(opens) else opens
        in_order = np.ones(len(opens), dtype=bool)
        in_order[1:] = opens[1:] > newest[:-1]
        object.__setattr__(self, "newest_open", newest)
        object.__setattr__(self, "edition_of", np.cumsum(~in_order))

    @staticmethod
    def of(bars: Bars, origin: str = "files") -> Timeline:
        """A clean history: every bar was received at its close."""
        return Timeline(bars, bars.close_at, origin)

    @property
    def symbol(self) -> str:
        return self.records.symbol

    @property
    def timeframe(self) -> Timeframe:
        return self.records.timeframe

    def known_at(self, as_of: int) -> int:
        """How many records were known then: mostly all, so the newest is looked at first."""
        times = self.received_at
        if len(times) and times[-1] <= as_of:
            return len(times)
        return int(times.searchsorted(as_of, side="right"))

    def locate(self, as_of: Instants) -> Located:
        """Edition and newest bar seen by each `as_of` (shape (n,))."""
        known = np.searchsorted(self.received_at, as_of, side="right")
        edition = np.where(known > 0, self.edition_of[known - 1], 0) if len(self.records) else np.zeros_like(as_of)
        last = np.full(len(as_of), -1, dtype=np.int64)
        for number in np.unique(edition[known > 0]):
            here = (edition == number) & (known > 0)
            opens = self.edition(int(number)).open_at
            last[here] = np.searchsorted(opens, self.newest_open[known[here] - 1])
        return Located(known, edition, last)

    def edition(self, number: int) -> Bars:
        """The series as the records of editions 0 .. `number` leave it, sorted by open, newest revision of each bar."""
        if number not in self._editions:
            upto = int(np.searchsorted(self.edition_of, number, side="right"))
            self._editions[number] = _settled(self.records.between(0, upto), number)
        return self._editions[number]

    def latest(self) -> Bars:
        """Everything known by now: for truths and reports, never for features."""
        return self.edition(int(self.edition_of[-1]) if len(self.edition_of) else 0)


class Market(Protocol):
    """Where features and truths find their bars. History implements it; so does a test with two lines."""

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        """The series, or None where nobody feeds it."""

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        """The symbols that stand for the market as a whole, sorted. Fixed by whoever runs the house, never by what
        happens to be fed: or an answer given today would change with a symbol that is added tomorrow."""

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        """What is observed of a symbol beside its bars, or None where nobody feeds it. A capability reads the kinds
        that it declares (`Capability.observes`), and of them what was known at its `as_of`."""

    def calendar(self) -> EconomicCalendar:
        """Which releases are scheduled, and since when that is known."""


@dataclass(frozen=True, slots=True)
class StillMarket:
    """A market that no longer moves: timelines by (symbol, timeframe), observations by (kind, symbol). Its panel is all
    of it."""

    timelines: Mapping[tuple[str, Timeframe], Timeline]
    observations: Mapping[tuple[Kind, str], Observed] = field(default_factory=dict)
    scheduled: EconomicCalendar = field(default_factory=EconomicCalendar)

    @staticmethod
    def of(*bars: Bars, observed: Sequence[Observed] = ()) -> StillMarket:
        return StillMarket(
            {(one.symbol, one.timeframe): Timeline.of(one) for one in bars},
            {(one.kind, one.symbol): one for one in observed},
        )

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        return self.timelines.get((symbol, timeframe))

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        return sorted(symbol for symbol, one in self.timelines if one is timeframe)

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        return self.observations.get((kind, symbol))

    def calendar(self) -> EconomicCalendar:
        return self.scheduled


def _settled(records: Bars, number: int) -> Bars:
    if number == 0:
        return records
    order = np.argsort(records.open_at, kind="stable")
    opens = records.open_at[order]
    newest = np.append(opens[1:] != opens[:-1], True)
    keep = order[newest]
    return Bars(
        records.symbol,
        records.timeframe,
        records.open_at[keep],
        records.open[keep],
        records.high[keep],
        records.low[keep],
        records.close[keep],
        records.volume[keep],
    )
