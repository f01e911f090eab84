"""What an operator wants of an exchange beside bars: funding rates, open interest, and its books on a schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from market.exchange.asking import Asking, Failure, Wish
from market.exchange.venue import Points
from market.observed_table import ObservedTable, checked_observations
from ml.bars import DAY_MS, HOUR_MS, MINUTE_MS, Instant, Timeframe
from ml.observed import Kind

#: Funding rates and open interest are asked for this often.
ASK_EVERY_MS = HOUR_MS
#: Exchanges keep open interest for a month.
OPEN_INTEREST_DAYS = 29
#: An observation may be dated later than our clock by this much, and counts as now.
SLACK_MS = MINUTE_MS


class PointSource(Protocol):
    """An exchange as `market.exchange.venue.Venue` is one."""

    @property
    def name(self) -> str: ...

    def offers(self, kind: Kind) -> bool: ...

    async def points(self, kind: Kind, symbol: str, since: Instant, every: Timeframe = Timeframe.H1) -> Points: ...


@dataclass(frozen=True, slots=True)
class WantedPoints:
    """Symbols by our name, with the exchange's; the kinds that are wanted, and how often books are looked at."""

    symbols: Mapping[str, str]
    kinds: frozenset[Kind]
    history_days: int = 400
    books_every_ms: int = 5 * MINUTE_MS


#: When the newest observation of a kind and symbol that is known holds (ms), or None.
KnownPoint = Callable[[Kind, str], "Instant | None"]


@dataclass(slots=True)
class Observing:
    """The observations of one exchange, followed. Its only memory is when each was last asked for."""

    source: PointSource
    wanted: WantedPoints
    asking: Asking
    _asked_at: dict[tuple[Kind, str], Instant] = field(default_factory=dict)

    async def round(self, now: Instant, known: KnownPoint) -> tuple[list[ObservedTable], list[Failure]]:
        """What is new of all that is due, and what failed. What the exchange does not offer is left out."""
        tables: list[ObservedTable] = []

        async def one(kind: Kind, symbol: str) -> None:
            tables.append(await self._new(kind, symbol, now, known(kind, symbol)))
            self._asked_at[kind, symbol] = now

        kinds = [kind for kind in sorted(self.wanted.kinds) if self.source.offers(kind)]
        due = [(kind, symbol) for kind in kinds for symbol in self.wanted.symbols if self._is_due(kind, symbol, now)]
        wishes = [Wish(symbol, str(kind), partial(one, kind, symbol)) for kind, symbol in due]
        failures = await self.asking.each(now, wishes)
        return [table for table in tables if len(table) or table.refused], failures

    def _is_due(self, kind: Kind, symbol: str, now: Instant) -> bool:
        every = self.wanted.books_every_ms if kind is Kind.BOOK else ASK_EVERY_MS
        return now // every > self._asked_at.get((kind, symbol), -1) // every

    async def _new(self, kind: Kind, symbol: str, now: Instant, newest: Instant | None) -> ObservedTable:
        """All that is new of one, page by page."""
        days = self.wanted.history_days
        if kind is Kind.OPEN_INTEREST:
            days = min(days, OPEN_INTEREST_DAYS)
        since = now - days * DAY_MS if newest is None else newest + 1
        at, values = [], []
        while True:
            page = await self.source.points(kind, self.wanted.symbols[symbol], since)
            at.append(page.at)
            values.append(page.values)
            latest = int(page.at.max()) if len(page.at) else -1
            if kind is Kind.BOOK or latest < since:
                break
            since = latest + 1
        instants = np.concatenate(at)
        if kind is Kind.BOOK:  # some exchanges do not date their books
            instants = np.where(instants < 0, now, instants)
        instants = np.where((instants > now) & (instants <= now + SLACK_MS), now, instants)
        return checked_observations(kind, symbol, self.source.name, instants, np.concatenate(values))
