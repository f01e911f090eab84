"""Parts of history: immutable Parquet files of records. The only place that knows DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from market.columns import from_numpy, repeated
from market.records import Records
from ml.bars import Bars, Timeframe

SUFFIX = ".parquet"
#: Version of the columns below. Another one is refused, never guessed at.
FORMAT = "barograph.bars/1"
_FORMAT_KEY, _TENANT_KEY = b"barograph.format", b"barograph.tenant"

SCHEMA = pa.schema(
    [
        ("symbol", pa.dictionary(pa.int32(), pa.string())),
        ("timeframe", pa.dictionary(pa.int32(), pa.string())),
        ("origin", pa.dictionary(pa.int32(), pa.string())),
        ("open_at", pa.int64()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("received_at", pa.int64()),
        ("revision", pa.int64()),
        ("quality", pa.float64()),
    ]
)
_SAME_FOR_A_SERIES = ("symbol", "timeframe", "origin")
_NUMBERS = tuple(name for name in SCHEMA.names if name not in _SAME_FOR_A_SERIES)
_ORDER = "symbol, timeframe, received_at, open_at, revision"


class DamagedPart(Exception):  # noqa: N818 - named for what it means
    """A part whose bytes are those that were written, and which cannot be read all the same, or is not ours."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a part says of itself."""

    n_rows: int
    tenant: str


def decoded(paths: Sequence[Path]) -> tuple[Records, ...]:
    """All records of these parts, one entry per series, by symbol and timeframe, each in the order of records.

    Raises DamagedPart.
    """
    if not paths:
        return ()
    series = selected(
        paths, "select symbol, timeframe, origin, count(*) from read_parquet($files) group by all order by all"
    )
    columns = selected_columns(
        paths,
        f"select {', '.join(_NUMBERS)} from read_parquet($files) order by {_ORDER}",  # noqa: S608 - our own names
    )
    stops = np.cumsum([n for *_, n in series]).tolist()
    return tuple(
        _cut(symbol, timeframe, origin, columns, slice(stop - n, stop))
        for (symbol, timeframe, origin, n), stop in zip(series, stops, strict=True)
    )


def encoded(series: Sequence[Records], tenant: str) -> bytes:
    """One part: the records of these series, zstd. The same records give the same bytes."""
    return stamped(
        pa.concat_tables([_table(one) for one in series]).unify_dictionaries(),
        FORMAT,
        tenant,
        few_values=(*_SAME_FOR_A_SERIES, "revision", "quality"),
        steps=("open_at", "received_at"),
    )


def stamped(table: pa.Table, form: str, tenant: str, *, few_values: Sequence[str], steps: Sequence[str]) -> bytes:
    """A part of any kind, zstd, that says its format and tenant. `few_values`: columns kept as dictionaries; `steps`:
    integers kept as differences. The same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    with pa.parquet.ParquetWriter(
        sink,
        table.schema.with_metadata({_FORMAT_KEY: form.encode(), _TENANT_KEY: tenant.encode()}),
        compression="zstd",
        use_dictionary=list(few_values),
        column_encoding=dict.fromkeys(steps, "DELTA_BINARY_PACKED"),
    ) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def selected(paths: Sequence[Path], query: str, **bound: object) -> list[tuple[Any, ...]]:
    """The rows of a query over these parts, `$files` in it, and of what is `bound` to its other names.

    Raises DamagedPart.
    """
    with _asked(paths, query, bound) as cursor:
        return cursor.fetchall()


def selected_columns(paths: Sequence[Path], query: str, **bound: object) -> dict[str, np.ndarray]:
    """As `selected`, by column; one that holds nulls comes as a masked array."""
    with _asked(paths, query, bound) as cursor:
        return cursor.fetchnumpy()


def stamp(path: Path, form: str = FORMAT) -> Stamp:
    """What the part says of itself. Raises DamagedPart where it is not a part of ours, or not of format `form`."""
    try:
        metadata = pa.parquet.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DamagedPart(f"{path.name} cannot be read as Parquet ({type(error).__name__})") from error
    said = metadata.metadata or {}
    if said.get(_FORMAT_KEY) != form.encode():
        raise DamagedPart(f"{path.name} is not of format {form}: a newer Barograph wrote it, or something else")
    return Stamp(metadata.num_rows, said.get(_TENANT_KEY, b"").decode())


@contextmanager
def _asked(paths: Sequence[Path], query: str, bound: Mapping[str, object]) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with _duckdb().cursor() as cursor:
            yield cursor.execute(query, {"files": [str(path) for path in paths], **bound})
    except duckdb.Error as error:
        raise DamagedPart(f"{len(paths)} parts of history cannot be read ({type(error).__name__})") from error


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    """One DuckDB in memory: no database file, nothing downloaded. It holds nothing, and takes 50 ms to start."""
    return duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )


def _table(records: Records) -> pa.Table:
    bars = records.bars
    same = [repeated(text, len(records)) for text in (bars.symbol, str(bars.timeframe), records.origin)]
    prices = [from_numpy(column) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    coming = [from_numpy(records.received_at), from_numpy(records.revision), from_numpy(records.quality)]
    return pa.Table.from_arrays([*same, from_numpy(bars.open_at), *prices, *coming], schema=SCHEMA)


def _cut(symbol: str, timeframe: str, origin: str, columns: dict[str, np.ndarray], here: slice) -> Records:
    open_at, open_, high, low, close, volume, received_at, revision, quality = (
        columns[name][here] for name in _NUMBERS
    )
    bars = Bars(symbol, Timeframe(timeframe), open_at, open_, high, low, close, volume)
    return Records(bars, origin, received_at, revision, quality)
