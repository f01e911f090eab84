"""The bars that are wanted of an exchange, and one round of fetching them: many series at once, each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from market.bar_table import BarTable, Mask, checked, picked
from market.exchange.asking import Asking, Failure, Wish
from ml.bars import DAY_MS, HOUR_MS, Bars, Instant, Timeframe

#: A bar is taken this long after its close, or as soon as the exchange has begun the next one.
SETTLING_MS = 1_500
#: Each time a series is asked, so many bars that are known are asked for again: they may have been revised, or missed.
OVERLAP_BARS = 3
#: And this often, more of them.
LOOK_BACK_EVERY_MS = HOUR_MS
LOOK_BACK_BARS = 500


class BarSource(Protocol):
    """An exchange as `market.exchange.venue.Venue` is one."""

    @property
    def name(self) -> str: ...

    async def bars(self, symbol: str, timeframe: Timeframe, since: Instant) -> Bars: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is followed: symbols by our name, with the exchange's (`BTCUSDT` -> `BTC/USDT:USDT`)."""

    symbols: Mapping[str, str]
    timeframes: Sequence[Timeframe] = (Timeframe.H1,)
    history_days: int = 400


@dataclass(frozen=True, slots=True)
class Round:
    """What a round brought: `archive` are bars that should have come earlier, `live` those that closed just now."""

    archive: tuple[BarTable, ...] = ()
    live: tuple[BarTable, ...] = ()
    failures: tuple[Failure, ...] = ()


#: The newest open (ms) that is known of a series, or None.
Known = Callable[[str, Timeframe], "Instant | None"]
#: What is done with the bars of one series; may block, runs in a thread.
Keep = Callable[[BarTable], None]
#: Told as it goes on: a share in [0, 1], and a word.
Told = Callable[[float, str], None]


@dataclass(slots=True)
class Following:
    """The bars of one exchange, followed. Its only memory is when each series was last looked back on."""

    source: BarSource
    wanted: Wanted
    asking: Asking
    _looked_back_at: dict[tuple[str, Timeframe], Instant] = field(default_factory=dict)

    @property
    def series(self) -> list[tuple[str, Timeframe]]:
        """All series that are followed, in order."""
        return [(symbol, timeframe) for timeframe in self.wanted.timeframes for symbol in self.wanted.symbols]

    async def backfill(self, now: Instant, known: Known, keep: Keep, told: Told) -> list[Failure]:
        """All history that is wanted and not known, page by page, several series at once. What was kept of a series
        before a failure, or a kill, stays: the next call goes on from there."""
        since = now - self.wanted.history_days * DAY_MS
        done = 0

        async def one(symbol: str, timeframe: Timeframe) -> None:
            nonlocal done
            newest = known(symbol, timeframe)
            start = since if newest is None else newest + timeframe.milliseconds
            async for page in self._pages(symbol, timeframe, max(start, since), now):
                table = self._table(symbol, closed_by(page, now))
                if len(table) or table.n_refused:
                    await asyncio.to_thread(keep, table)
            done += 1
            told(done / len(self.series), f"{symbol} {timeframe}")

        return await self.asking.each(now, _wishes(one, self.series))

    async def round(self, now: Instant, known: Known) -> Round:
        """What closed since, of every series of which a bar is due. Series that fail do not hold up the others."""
        tables: list[BarTable] = []

        async def one(symbol: str, timeframe: Timeframe) -> None:
            tables.append(self._table(symbol, await self._newest(symbol, timeframe, now, known(symbol, timeframe))))

        due = [key for key in self.series if self._is_due(*key, now, known(*key))]
        failures = await self.asking.each(now, _wishes(one, due))
        parts = [_by_age(table, now) for table in tables]
        return Round(_some([old for old, _ in parts]), _some([new for _, new in parts]), tuple(failures))

    def _is_due(self, symbol: str, timeframe: Timeframe, now: Instant, newest: Instant | None) -> bool:
        if newest is None or self._must_look_back((symbol, timeframe), now):
            return True
        return now >= newest + 2 * timeframe.milliseconds

    def _must_look_back(self, key: tuple[str, Timeframe], now: Instant) -> bool:
        return now - self._looked_back_at.get(key, 0) >= max(LOOK_BACK_EVERY_MS, key[1].milliseconds)

    async def _newest(self, symbol: str, timeframe: Timeframe, now: Instant, newest: Instant | None) -> Bars:
        key, bar_ms = (symbol, timeframe), timeframe.milliseconds
        looks_back = self._must_look_back(key, now)
        again = LOOK_BACK_BARS if looks_back else OVERLAP_BARS
        since = now // bar_ms * bar_ms - again * bar_ms
        if newest is not None and newest < since:  # we were away: from where we stopped
            since = newest + bar_ms
        pages = [page async for page in self._pages(symbol, timeframe, since, now)]
        if looks_back:
            self._looked_back_at[key] = now
        whole = pages[0]
        for page in pages[1:]:
            whole = whole.followed_by(page)
        return closed_by(whole, now)

    async def _pages(self, symbol: str, timeframe: Timeframe, since: Instant, now: Instant) -> AsyncIterator[Bars]:
        """Pages from `since` to now; at least one. A page that brings nothing newer is the last."""
        while True:
            page = await self.source.bars(self.wanted.symbols[symbol], timeframe, since)
            yield page
            newest = int(page.open_at.max()) if len(page) else -1
            if newest < since or newest + 2 * timeframe.milliseconds > now:
                return
            since = newest + timeframe.milliseconds

    def _table(self, symbol: str, bars: Bars) -> BarTable:
        """The bars under our name of the symbol, checked."""
        ours = Bars(symbol, bars.timeframe, bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume)
        return checked(ours, self.source.name, source=self.source.name)


def closed_by(bars: Bars, now: Instant) -> Bars:
    """The bars that are complete at `now`. Our clock and the exchange's differ: a bar counts once it has settled, or
    once the next one has begun; never before its close by our clock."""
    if not len(bars):
        return bars
    begun = bars.open_at < bars.open_at.max()
    settled = bars.close_at + SETTLING_MS <= now
    return picked(bars, (bars.close_at <= now) & (begun | settled))


def _wishes(ask: Callable[[str, Timeframe], Awaitable[None]], series: Sequence[tuple[str, Timeframe]]) -> list[Wish]:
    return [Wish(symbol, str(timeframe), partial(ask, symbol, timeframe)) for symbol, timeframe in series]


def _by_age(table: BarTable, now: Instant) -> tuple[BarTable, BarTable]:
    """Bars that should have come earlier, and those that closed within the last two."""
    recent = table.bars.close_at > now - 2 * table.timeframe.milliseconds
    return _part(table, ~recent, refused=True), _part(table, recent, refused=False)


def _part(table: BarTable, here: Mask, *, refused: bool) -> BarTable:
    kept = table.refused if refused else ()
    return BarTable(picked(table.bars, here), table.origin, table.row_numbers[here], kept, table.source, table.notes)


def _some(tables: Sequence[BarTable]) -> tuple[BarTable, ...]:
    return tuple(table for table in tables if len(table) or table.n_refused)
