"""Files of bars: `SYMBOL_TIMEFRAME.parquet` or `.csv`, one series each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from market.bar_table import NO_TIME, BarTable, Fault, checked
from market.columns import floats, integers
from market.refusal import BadBarFile
from ml.bars import Bars, Floats, Instants, Timeframe
from ml.capability import SYMBOL_PATTERN

ORIGIN = "files"
TIME_NAMES = ("timestamp", "open_at", "time")
NUMBER_NAMES = ("open", "high", "low", "close", "volume")
SUFFIXES = (".parquet", ".csv")
#: Whole numbers are read as the unit in which they fall between 1973 and 5138, which no two units share.
UNITS = (("s", 1e8, 1e11), ("ms", 1e11, 1e14), ("us", 1e14, 1e17), ("ns", 1e17, 1e20))
ACCEPTED_NAME = "a name is SYMBOL_TIMEFRAME.parquet or .csv, e.g. BTCUSDT_1h.parquet"
ACCEPTED_COLUMNS = "columns are timestamp (or open_at, or time), open, high, low, close, volume"
ACCEPTED_TIMES = (
    "times are the opens of the bars: datetimes with a zone, datetimes in UTC, or whole numbers since 1970 in "
    "s, ms, us or ns"
)
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
    table = _table(path)
    columns = {name: _column(path, table, (name,)) for name in NUMBER_NAMES}
    times = _column(path, table, TIME_NAMES)
    open_at, notes = _times(path, times)
    open_, high, low, close, volume = (_numbers(path, name, columns[name]) for name in NUMBER_NAMES)
    rows = Bars(file.symbol, file.timeframe, open_at, open_, high, low, close, volume)
    result = checked(rows, ORIGIN, source=path.name, notes=(*notes, *_other_columns(table), *_disorder(open_at)))
    _must_fit_timeframe(path, result)
    return result


def _table(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pa.parquet.ParquetFile(path).read()
        return pa.csv.read_csv(path)
    except FileNotFoundError:
        raise BadBarFile(path.name, "there is no such file", "a path that exists") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise BadBarFile(
            path.name, f"it cannot be read as {path.suffix[1:]} ({kind})", "a whole Parquet file, or CSV with a header"
        ) from None


def _column(path: Path, table: pa.Table, names: tuple[str, ...]) -> pa.ChunkedArray:
    here = [at for at, name in enumerate(table.column_names) if name.strip().lower() in names]
    if len(here) == 1:
        return table.column(here[0])
    wanted = " or ".join(names)
    wrong = f"there is no column {wanted}" if not here else f"{len(here)} columns could be {wanted}"
    raise BadBarFile(path.name, wrong, ACCEPTED_COLUMNS)


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> Floats:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        if column.null_count == len(column):
            return np.full(len(column), np.nan)
        raise BadBarFile(path.name, f"column {name} holds {column.type}, not numbers", ACCEPTED_COLUMNS)
    return floats(column)


def _times(path: Path, column: pa.ChunkedArray) -> tuple[Instants, tuple[str, ...]]:
    """int64 ms, `NO_TIME` where missing, and what to note."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        notes = () if kind.tz is not None else ("times carry no zone: read as UTC",)
        return _to_ms(integers(column, NO_TIME), kind.unit), notes
    if pa.types.is_date(kind):
        return integers(column.cast(pa.date64()), NO_TIME), ("times are dates: read as 00:00 UTC",)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(path, column)
    if column.null_count == len(column):
        return np.full(len(column), NO_TIME, dtype=np.int64), ()
    raise BadBarFile(path.name, f"the times are of type {kind}", ACCEPTED_TIMES)


def _from_numbers(path: Path, column: pa.ChunkedArray) -> tuple[Instants, tuple[str, ...]]:
    # A column with a missing time arrives as floats, exact up to 2**53: milliseconds fit, nanoseconds lose their end.
    values = floats(column)
    there = values[np.isfinite(values)]
    if not len(there):
        return np.full(len(values), NO_TIME, dtype=np.int64), ()
    for unit, least, most in UNITS:
        if there.min() >= least and there.max() < most:
            whole = np.where(np.isfinite(values) & (values == np.rint(values)), values, 0.0).astype(np.int64)
            exact = integers(column, 0) if pa.types.is_integer(column.type) else whole
            result = np.where(whole == 0, NO_TIME, _to_ms(exact, unit))
            return result, (f"times are whole numbers: read as {unit} since 1970",)
    raise BadBarFile(path.name, "the numbers in the column of times are of no single unit", ACCEPTED_TIMES)


def _to_ms(values: Instants, unit: str) -> Instants:
    """Finer times that are no whole millisecond become odd ones, which are on no grid: refused, never rounded on it."""
    if unit == "s":
        return np.where(values == NO_TIME, NO_TIME, np.clip(values, -(10**12), 10**12) * 1_000)
    finer = {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    return np.where(values == NO_TIME, NO_TIME, values // finer + (values % finer != 0))


def _other_columns(table: pa.Table) -> tuple[str, ...]:
    known = {*TIME_NAMES, *NUMBER_NAMES}
    others = [name for name in table.column_names if name.strip().lower() not in known]
    return (f"columns ignored: {', '.join(others)}",) if others else ()


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
