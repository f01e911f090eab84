"""What is pushed in over HTTP: `POST /v1/market/bars`, `funding`, `open_interest`, `book`, `headlines`. Not MCP tools.

Batched, and idempotent: the same again changes nothing. What a reply counts as kept is on disk before it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from market.bar_table import BarTable, checked
from market.headline import headline
from market.headlines import Headlines
from market.history import History
from market.observations import Observations
from market.observed_table import ObservedTable, checked_observations
from market.receipt import SeriesReceipt
from market.refusal import Refusal
from ml.bars import Bars, Floats, Instant
from ml.observed import BOOK_LEVELS, FIELDS, Kind
from tools.principal import operating
from tools.pushed import (
    Kept,
    PushBars,
    PushBook,
    PushedBars,
    PushedBook,
    PushedFunding,
    PushedOpenInterest,
    PushFunding,
    PushHeadlines,
    PushOpenInterest,
    PushReceipt,
    Refusals,
)
from tools.refusal import Code, Refused
from tools.tool import Tool

T = TypeVar("T")


def push_desk(
    history: History, observations: Observations, headlines: Headlines, clock: Callable[[], Instant]
) -> tuple[Tool, ...]:
    """The tools that take data in."""

    def bars(asked: PushBars) -> PushReceipt:
        tables = [_bar_table(one, asked.origin) for one in asked.series]
        receipt = history.append(tables, received_at=clock(), live=asked.live)
        return _receipt([_of_bars(one) for one in receipt.series])

    def observed(tables: Sequence[ObservedTable], live: bool) -> PushReceipt:
        receipts = observations.append(_each_once(tables), received_at=clock(), live=live)
        return _receipt(
            [
                Kept(
                    name=one.symbol,
                    new=one.kept,
                    repeated=one.repeated,
                    refused=tuple(Refusals(why=str(bad.fault), n=bad.n) for bad in one.refused),
                )
                for one in receipts
            ]
        )

    def told(asked: PushHeadlines) -> PushReceipt:
        batch = [headline(asked.source, one.key, one.at, one.title, one.symbols) for one in asked.headlines]
        receipt = headlines.append(batch, received_at=clock(), live=asked.live)
        refused = tuple(Refusals(why=str(fault), n=n) for fault, n in receipt.refused)
        return _receipt([Kept(name=asked.source, new=receipt.kept, repeated=receipt.repeated, refused=refused)])

    async def push_bars(asked: PushBars, _: str) -> PushReceipt:
        return await _taken_in(lambda: bars(asked))

    async def push_funding(asked: PushFunding, _: str) -> PushReceipt:
        return await _taken_in(lambda: observed([_funding(one, asked.origin) for one in asked.series], asked.live))

    async def push_interest(asked: PushOpenInterest, _: str) -> PushReceipt:
        return await _taken_in(lambda: observed([_interest(one, asked.origin) for one in asked.series], asked.live))

    async def push_book(asked: PushBook, _: str) -> PushReceipt:
        return await _taken_in(lambda: observed([_book(one, asked.origin) for one in asked.books], asked.live))

    async def push_headlines(asked: PushHeadlines, _: str) -> PushReceipt:
        return await _taken_in(lambda: told(asked))

    return (
        _tool("bars", "Takes closed bars in.", PushBars, push_bars),
        _tool("funding", "Takes funding rates in.", PushFunding, push_funding),
        _tool("open_interest", "Takes open interest in.", PushOpenInterest, push_interest),
        _tool("book", "Takes order books in.", PushBook, push_book),
        _tool("headlines", "Takes headlines in.", PushHeadlines, push_headlines),
    )


def _tool(name: str, description: str, request: type[BaseModel], answer) -> Tool:  # type: ignore[no-untyped-def]  # noqa: ANN001 - made for each kind
    return Tool(name, f"Push {name}", description, request, PushReceipt, answer, read_only=False, needs=operating)


async def _taken_in(take: Callable[[], T]) -> T:
    """In a thread: it waits for the disk. What the market refuses is the caller's to mend."""
    try:
        return await asyncio.to_thread(take)
    except Refusal as refusal:
        raise Refused(Code.INVALID, refusal.wrong, accepted=[refusal.accepted]) from refusal


def _receipt(series: Sequence[Kept]) -> PushReceipt:
    return PushReceipt(
        kept=sum(one.new + one.late + one.revised for one in series),
        repeated=sum(one.repeated for one in series),
        refused=sum(bad.n for one in series for bad in one.refused),
        series=tuple(series),
    )


def _of_bars(one: SeriesReceipt) -> Kept:
    return Kept(
        name=f"{one.symbol} {one.timeframe}",
        new=one.new,
        late=one.late,
        revised=one.revised,
        repeated=one.repeated,
        refused=tuple(Refusals(why=str(bad.fault), n=bad.n, first_rows=bad.first_rows) for bad in one.refused),
    )


def _bar_table(one: PushedBars, origin: str) -> BarTable:
    columns = np.array([row[1:] for row in one.bars], dtype=np.float64).T
    open_at = np.array([row[0] for row in one.bars], dtype=np.int64)
    return checked(Bars(one.symbol, one.timeframe, open_at, *columns), origin, source=origin)


def _funding(one: PushedFunding, origin: str) -> ObservedTable:
    return _observed(Kind.FUNDING, one.symbol, origin, [row[0] for row in one.rates], [row[1:] for row in one.rates])


def _interest(one: PushedOpenInterest, origin: str) -> ObservedTable:
    values = [(row[1], np.nan if row[2] is None else row[2]) for row in one.interest]
    return _observed(Kind.OPEN_INTEREST, one.symbol, origin, [row[0] for row in one.interest], values)


def _book(one: PushedBook, origin: str) -> ObservedTable:
    row: Floats = np.full((BOOK_LEVELS, 2, 2), np.nan)
    for side, levels in enumerate((one.bids, one.asks)):
        some = levels[:BOOK_LEVELS]
        row[: len(some), side] = some
    return _observed(Kind.BOOK, one.symbol, origin, [one.at], [row.ravel()])


def _observed(
    kind: Kind, symbol: str, origin: str, at: Sequence[int], values: Sequence[Sequence[float] | Floats]
) -> ObservedTable:
    table = np.array(values, dtype=np.float64).reshape(len(at), len(FIELDS[kind]))
    return checked_observations(kind, symbol, origin, np.array(at, dtype=np.int64), table)


def _each_once(tables: Sequence[ObservedTable]) -> list[ObservedTable]:
    """One table for each symbol: a batch may name one again."""
    by_symbol: dict[str, list[ObservedTable]] = {}
    for table in tables:
        by_symbol.setdefault(table.symbol, []).append(table)
    return [some[0] if len(some) == 1 else _joined(some) for some in by_symbol.values()]


def _joined(some: Sequence[ObservedTable]) -> ObservedTable:
    first = some[0]
    at, values = np.concatenate([one.at for one in some]), np.concatenate([one.values for one in some])
    order = np.argsort(at, kind="stable")
    refused = tuple(bad for one in some for bad in one.refused)
    return ObservedTable(first.kind, first.symbol, first.origin, at[order], values[order], refused)
