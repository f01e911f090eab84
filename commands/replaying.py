"""Runs a replay: a house of its own over the given files, asked in batches, answers written as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from commands.answers import AnswerFile, Replayed
from commands.faults import Unusable
from commands.place import Place, system_clock
from commands.replay_bars import Taken, take_in
from commands.replay_walk import Walk
from ml.bars import Instants, Timeframe
from ml.capability import AnyCapability
from registry.entry import Entry
from registry.ledger import Ledger
from server import House, build, replayed_time
from tools.chain import at_once
from workers.questions import QuestionFile, grid, read_questions
from workers.replay import schema
from workers.subjects import finer

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
        beside = () if retrain_ms is None else finer(capability, timeframe)
        taken = take_in(house, data, file.timeframes(), symbols, silent, beside)
        positions: list[Instants] = [np.array([], dtype=np.int64)]
        tables = [schema(capability).empty_table()]
        with Walk(house, capability, timeframe, retrain_ms, len(file), written=False, silent=silent) as walk:
            for stretch in walk.stretches(*file.span()):
                positions.append(file.between(stretch.begins, stretch.until))
                walk.ask(stretch.road, file.asked(capability, positions[-1]), tables.append)
        answers = _in_order(file, np.concatenate(positions), pa.concat_tables(tables))
    finally:
        house.close()
    with AnswerFile(result, answers.schema) as written:
        written.write(answers)
    return written.replayed((*taken.notes, *walk.notes()))


def replay_walk(
    where: Place, data: Sequence[Path], asked: Grid, result: Path, retrain_ms: int | None, *, silent: bool
) -> list[Replayed]:
    """Asks along history and writes `{capability}.parquet` for each; the ledger stays in the replay's data folder, and
    at the end it is settled. Models as for `replay_questions`."""
    house = _house(where, lambda ledger: Patient(ledger, where.config.ledger.capacity))
    try:
        wanted = _named(house, asked.capabilities)
        wanted_symbols = asked.symbols if retrain_ms is None else ()
        beside = () if retrain_ms is None else {one for of in wanted for one in finer(of, asked.timeframe)}
        taken = take_in(house, data, (asked.timeframe,), wanted_symbols, silent, beside)
        symbols = _symbols(house, asked, taken)
        instants = _instants(house, symbols, asked)
        told: list[Replayed] = []
        for capability in wanted:
            n = len(instants) * sum(len(capability.replayed(symbol, asked.timeframe)) for symbol in symbols)
            span = instants[0], instants[-1]
            with (
                AnswerFile(result / f"{capability.name}.parquet", schema(capability)) as written,
                Walk(house, capability, asked.timeframe, retrain_ms, n, written=True, silent=silent) as walk,
            ):
                for stretch in walk.stretches(*span):
                    here = [one for one in instants if stretch.begins <= one < stretch.until]
                    walk.ask(stretch.road, grid(capability, symbols, asked.timeframe, here), written.write)
            told.append(written.replayed((*(taken.notes if not told else ()), *walk.notes())))
        house.settle.settle(instants[-1], everything=True)
        return told
    finally:
        house.close()


def _house(where: Place, book: Callable[[Ledger], Any]) -> House:
    return build(where.config, where.folder, system_clock, now=replayed_time, run=at_once(), book=book)


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


def _in_order(file: QuestionFile, positions: Instants, answers: pa.Table) -> pa.Table:
    """Answers of the rows at `positions` in the order of the file, with its columns."""
    answers = answers.take(pa.array(np.argsort(positions, kind="stable")))
    for name in file.columns.column_names:
        if name not in answers.column_names:
            answers = answers.append_column(name, file.columns[name])
    return answers
