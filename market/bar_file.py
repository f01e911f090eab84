"""Files of bars: `SYMBOL_TIMEFRAME.parquet` or `.csv`, one series each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from market.bar_table import NO_TIME, BarTable, Fault, checked
from market.refusal import BadBarFile
from market.table_file import ACCEPTED_TIMES, SUFFIXES, TableFile
from ml.bars import Bars, Instants, Timeframe
from ml.capability import SYMBOL_PATTERN

ORIGIN = "files"
NUMBER_NAMES = ("open", "high", "low", "close", "volume")
ACCEPTED_NAME = "a name is SYMBOL_TIMEFRAME.parquet or .csv, e.g. BTCUSDT_1h.parquet"
ACCEPTED_COLUMNS = "columns are timestamp (or open_at, or time), open, high, low, close, volume"
_ENOUGH_TO_JUDGE_SPACING = 10


@dataclass(frozen=True, slots=True)
class BarFile:
    """A file whose name says which series it holds."""

    path: Path
    symbol: str
    timeframe: Timeframe


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left alone, and why."""

    path: Path
    reason: str


def bar_files(folder_or_file: Path) -> tuple[tuple[BarFile, ...], tuple[SkippedFile, ...]]:
    """The files of bars at this path or anywhere below it, by path, and those that were skipped with the reason.

    Only names are looked at. Raises BadBarFile where there is nothing at that path.
    """
    if folder_or_file.is_dir():
        paths = sorted(path for path in folder_or_file.rglob("*") if path.is_file())
    elif folder_or_file.is_file():
        paths = [folder_or_file]
    else:
        raise BadBarFile(folder_or_file.name, "there is no such file or folder", "a path that exists")
    found: list[BarFile] = []
    skipped: list[SkippedFile] = []
    for path in paths:
        try:
            found.append(named(path))
        except BadBarFile as refusal:
            skipped.append(SkippedFile(path, f"{refusal.wrong.removeprefix(f'{path.name}: ')}; {refusal.accepted}"))
    return tuple(found), tuple(skipped)


def named(path: Path) -> BarFile:
    """Which series the file holds, by its name. Raises BadBarFile."""
    if path.suffix not in SUFFIXES:
        raise BadBarFile(path.name, "that is neither .parquet nor .csv", ACCEPTED_NAME)
    symbol, _, timeframe = path.stem.rpartition("_")
    if timeframe not in list(Timeframe):
        raise BadBarFile(path.name, f"the name does not end in one of {', '.join(Timeframe)}", ACCEPTED_NAME)
    if re.fullmatch(SYMBOL_PATTERN, symbol) is None:
        raise BadBarFile(path.name, f"what stands before the timeframe does not match {SYMBOL_PATTERN}", ACCEPTED_NAME)
    return BarFile(path, symbol, Timeframe(timeframe))


def read_bar_file(path: Path) -> BarTable:
    """The bars of one file, checked row by row; origin `files`.

    Columns are found by name (upper or lower case); others are ignored and named in the notes. The unit of whole-number
    times is told from their size and said in the notes. Raises BadBarFile for a name, a format, columns or times that
    cannot be read, or bars that are plainly of another timeframe.
    """
    file = named(path)
    table = TableFile.read(path, ACCEPTED_COLUMNS)
    columns = [table.numbers(name) for name in NUMBER_NAMES]
    open_at, notes = table.times()
    rows = Bars(file.symbol, file.timeframe, open_at, *columns)
    notes = (*notes, *table.others(NUMBER_NAMES), *_disorder(open_at))
    result = checked(rows, ORIGIN, source=path.name, notes=notes)
    _must_fit_timeframe(path, result)
    return result


def _disorder(open_at: Instants) -> tuple[str, ...]:
    back = int((np.diff(open_at[open_at != NO_TIME]) < 0).sum())
    return (f"rows were not in the order of time: {back} steps back",) if back else ()


def _must_fit_timeframe(path: Path, table: BarTable) -> None:
    """A file named 1d that holds hours, or the other way round, is a mistake of its name, not many bad rows."""
    close = sum(one.n for one in table.refused if one.fault in (Fault.TOO_CLOSE, Fault.OFF_GRID))
    if close > len(table) and close >= _ENOUGH_TO_JUDGE_SPACING:
        raise BadBarFile(
            path.name, f"{close} of {close + len(table)} bars lie off the grid of {table.timeframe}", ACCEPTED_TIMES
        )
    if len(table) >= _ENOUGH_TO_JUDGE_SPACING:
        nearest = int(np.diff(table.bars.open_at).min())
        if nearest >= 2 * table.timeframe.milliseconds:
            raise BadBarFile(
                path.name,
                f"the name says {table.timeframe}, but no two bars are nearer than {nearest // 60_000} minutes",
                ACCEPTED_NAME,
            )
