"""Files of columns, Parquet or CSV, read by the names of their columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from market.bar_table import NO_TIME
from market.columns import floats, integers
from market.refusal import BadBarFile
from ml.bars import Floats, Instants

SUFFIXES = (".parquet", ".csv")
TIME_NAMES = ("timestamp", "open_at", "time")
#: Whole numbers are read as the unit in which they fall between 1973 and 5138, which no two units share.
UNITS = (("s", 1e8, 1e11), ("ms", 1e11, 1e14), ("us", 1e14, 1e17), ("ns", 1e17, 1e20))
ACCEPTED_TIMES = (
    "times are the opens of the bars: datetimes with a zone, datetimes in UTC, or whole numbers since 1970 in "
    "s, ms, us or ns"
)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file that was read. `accepted` says which columns are, for those who are refused. All methods raise
    BadBarFile."""

    path: Path
    table: pa.Table
    accepted: str

    @staticmethod
    def read(path: Path, accepted: str) -> TableFile:
        """The whole file. Raises BadBarFile where it cannot be read."""
        return TableFile(path, _table(path), accepted)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column, in upper or lower case."""
        return any(one.strip().lower() == name for one in self.table.column_names)

    def numbers(self, name: str) -> Floats:
        """A column of numbers, NaN where missing."""
        return _numbers(self.path, name, self._column((name,)), self.accepted)

    def texts(self, name: str) -> list[str]:
        """A column of words, empty where missing."""
        column = self._column((name,))
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            if column.null_count == len(column):
                return [""] * len(column)
            column = column.cast(pa.string())
        return [one or "" for one in column.to_pylist()]

    def times(self) -> tuple[Instants, tuple[str, ...]]:
        """The column of times, ms UTC, and what to note of how it was read."""
        return _times(self.path, self._column(TIME_NAMES))

    def others(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """A note on the columns that are not `known`, if there are any."""
        names = {*TIME_NAMES, *known}
        found = [name for name in self.table.column_names if name.strip().lower() not in names]
        return (f"columns ignored: {', '.join(found)}",) if found else ()

    def _column(self, names: tuple[str, ...]) -> pa.ChunkedArray:
        here = [at for at, name in enumerate(self.table.column_names) if name.strip().lower() in names]
        if len(here) == 1:
            return self.table.column(here[0])
        wanted = " or ".join(names)
        wrong = f"there is no column {wanted}" if not here else f"{len(here)} columns could be {wanted}"
        raise BadBarFile(self.path.name, wrong, self.accepted)


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


def _numbers(path: Path, name: str, column: pa.ChunkedArray, accepted: str) -> Floats:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        if column.null_count == len(column):
            return np.full(len(column), np.nan)
        raise BadBarFile(path.name, f"column {name} holds {column.type}, not numbers", accepted)
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
