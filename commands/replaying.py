"""Runs a replay: a house of its own over the given files, asked in batches, answers written as Parquet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.progress import Progress

from commands.answers import AnswerFile, Replayed
from commands.faults import Unusable
from commands.place import Place, system_clock
from commands.replay_bars import Taken, take_in
from commands.replay_models import retrained
from commands.terminal import err
from ml.bars import Timeframe
from ml.capability import AnyCapability, Question
from registry.entry import Entry
from registry.ledger import Ledger
from registry.record import REPLAY
from server import House, build, replayed_time
from tools.ask import Ask
from tools.chain import at_once
from workers.questions import Asked, QuestionFile, grid, read_questions
from workers.replay import AskMany, replayed, schema

#: How many symbols an error names.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Grid:
    """What a walk asks: capabilities and symbols (none given: all), from `start` to `end` (ms; None: all there is)."""

    capabilities: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: int | None
    end: int | None
    every_ms: int


class Unwritten:
    """A book for answers that are only wanted in a file."""

    def __init__(self, ledger: Ledger) -> None:
        del ledger  # it stays empty

    def record(self, entries: Sequence[Entry], *, urgent: bool = False) -> Future[None]:  # noqa: ARG002 - the port's words
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
        """Nobody will ask again."""


class Patient:
    """The ledger for a replay, which is faster than the disk: waits rather than being turned away, and hears at once
    of a disk that is full rather than waiting for somebody to make room."""

    def __init__(self, ledger: Ledger, capacity: int) -> None:
        self._ledger = ledger
        self._capacity = capacity

    def record(self, entries: Sequence[Entry], *, urgent: bool = False) -> Future[None]:  # noqa: ARG002 - the port's words
        written: Future[None] = Future()
        for start in range(0, len(entries), self._capacity):
            written = self._ledger.record(entries[start : start + self._capacity], urgent=True)
            written.result()
        return written

    def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
        self._ledger.asked(symbol, timeframe, as_of)


def replay_questions(
    where: Place,
    data: Sequence[Path],
    name: str,
    timeframe: Timeframe,
    questions: Path,
    result: Path,
    retrain_ms: int | None,
    *,
    silent: bool,
) -> Replayed:
    """Answers the questions of a file: one row each, in order, request fields echoed. With `retrain_ms`, by models that
    are refitted so often, where the gate lets them. Raises Unusable, BadQuestions."""
    house = _house(where, Unwritten)
    try:
        capability = _named(house, [name])[0]
        file = read_questions(questions, capability, timeframe)
        symbols = file.symbols() if retrain_ms is None else ()  # whatever there is teaches
        taken = take_in(house, data, file.timeframes(), symbols, silent)
        road, notes = _road(house, capability, timeframe, file.span(), retrain_ms, silent)
        answers = _in_order(road, capability, file, silent)
    finally:
        house.close()
    with AnswerFile(result, answers.schema) as written:
        written.write(answers)
    return written.replayed((*taken.notes, *notes))


def replay_walk(
    where: Place, data: Sequence[Path], asked: Grid, result: Path, retrain_ms: int | None, *, silent: bool
) -> list[Replayed]:
    """Asks along history and writes `{capability}.parquet` for each; the ledger stays in the replay's data folder, and
    at the end it is settled. Models as for `replay_questions`."""
    house = _house(where, lambda ledger: Patient(ledger, where.config.ledger.capacity))
    try:
        wanted = _named(house, asked.capabilities)
        wanted_symbols = asked.symbols if retrain_ms is None else ()
        taken = take_in(house, data, (asked.timeframe,), wanted_symbols, silent)
        symbols = _symbols(house, asked, taken)
        instants = _instants(house, symbols, asked)
        told: list[Replayed] = []
        for capability in wanted:
            n = len(instants) * sum(len(capability.replayed(symbol, asked.timeframe)) for symbol in symbols)
            span = instants[0], instants[-1]
            road, notes = _road(house, capability, asked.timeframe, span, retrain_ms, silent)
            with AnswerFile(result / f"{capability.name}.parquet", schema(capability)) as written:
                _ask(road, capability, grid(capability, symbols, asked.timeframe, instants), n, written.write, silent)
            told.append(written.replayed((*(taken.notes if not told else ()), *notes)))
        house.settle.settle(instants[-1], everything=True)
        return told
    finally:
        house.close()


def _house(where: Place, book: Callable[[Ledger], Any]) -> House:
    return build(where.config, where.folder, system_clock, now=replayed_time, run=at_once(), book=book)


def _road(
    house: House,
    capability: AnyCapability,
    timeframe: Timeframe,
    span: tuple[int, int],
    retrain_ms: int | None,
    silent: bool,
) -> tuple[Ask, tuple[str, ...]]:
    if retrain_ms is None:
        return house.ask, ()
    return retrained(house, capability, timeframe, *span, retrain_ms, silent=silent)


def _named(house: House, names: Sequence[str]) -> list[AnyCapability]:
    by_name = {one.name: one for one in house.catalogue}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise Unusable(f"there is no capability {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


def _symbols(house: House, asked: Grid, taken: Taken) -> list[str]:
    fed = [one.symbol for one in house.history.series() if one.timeframe is asked.timeframe]
    wanted = list(asked.symbols) or fed
    unknown = [symbol for symbol in wanted if symbol not in fed]
    if unknown or not wanted:
        more = f" and {len(taken.symbols) - NAMED} more" if len(taken.symbols) > NAMED else ""
        raise Unusable(
            f"no {asked.timeframe} bars of {', '.join(unknown) or 'any symbol'} can be read from --data; there are "
            f"files of {', '.join(taken.symbols[:NAMED])}{more}{''.join(f'; {note}' for note in taken.notes)}"
        )
    return wanted


def _instants(house: House, symbols: Sequence[str], asked: Grid) -> range:
    """Instants from the first to the last (by default closes of bars), ms."""
    infos = [one for one in house.history.series() if one.symbol in symbols and one.timeframe is asked.timeframe]
    first = min(one.first_open for one in infos) + asked.timeframe.milliseconds
    last = max(one.last_close for one in infos)
    found = range(asked.start or first, (asked.end or last) + 1, asked.every_ms)
    if not found:
        of = f"{np.datetime64(first, 'ms')}Z to {np.datetime64(last, 'ms')}Z"
        raise Unusable(f"--end lies before --start, which by default are those of the bars: {of}")
    return found


def _in_order(road: Ask, capability: AnyCapability, file: QuestionFile, silent: bool) -> pa.Table:
    """Answers in the order of the file, with its columns."""
    positions = file.by_symbol()
    tables = [schema(capability).empty_table()]
    _ask(road, capability, file.asked(capability, positions), len(file), tables.append, silent)
    answers = pa.concat_tables(tables).take(pa.array(np.argsort(positions, kind="stable")))
    for name in file.columns.column_names:
        if name not in answers.column_names:
            answers = answers.append_column(name, file.columns[name])
    return answers


def _ask(
    road: Ask,
    capability: AnyCapability,
    asked: Iterable[Asked],
    n: int,
    take: Callable[[pa.Table], object],
    silent: bool,
) -> None:
    async def many(of: AnyCapability, questions: Sequence[Question]) -> Sequence[Any]:
        return await road.many(of, questions, REPLAY)

    async def all_of_them() -> None:
        ask: AskMany = many
        with Progress(console=err, transient=True, disable=silent) as bar:
            task = bar.add_task(capability.name, total=n)
            async for table in replayed(ask, capability, asked, road.market):
                take(table)
                bar.advance(task, len(table))

    asyncio.run(all_of_them())
