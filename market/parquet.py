"""Parts of history: immutable Parquet files of any kind. The only place that knows DuckDB."""

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

SUFFIX = ".parquet"
_FORMAT_KEY, _TENANT_KEY = b"barograph.format", b"barograph.tenant"


class DamagedPart(Exception):  # noqa: N818 - named for what it means
    """A part whose bytes are those that were written, and which cannot be read all the same, or is not ours."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a part says of itself."""

    n_rows: int
    tenant: str


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


def stamp(path: Path, form: str) -> Stamp:
    """What the part says of itself. Raises DamagedPart where it is not a part of ours, or not of format `form`."""
    try:
        metadata = pa.parquet.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DamagedPart(f"{path.name} cannot be read as Parquet ({type(error).__name__})") from error
    said = metadata.metadata or {}
    if said.get(_FORMAT_KEY) != form.encode():
        raise DamagedPart(f"{path.name} is not of format {form}: a newer Barograph wrote it, or something else")
    return Stamp(metadata.num_rows, said.get(_TENANT_KEY, b"").decode())


def whole(paths: Sequence[Path], schema: pa.Schema) -> pa.Table:
    """All rows of these parts, in their order, by the columns of `schema`. Where all is wanted this takes a fifth of
    the time of a query. Raises DamagedPart."""
    try:
        tables = [pa.parquet.ParquetFile(path).read() for path in paths]
        return pa.concat_tables([table.select(schema.names).cast(schema) for table in tables]).unify_dictionaries()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DamagedPart(f"{len(paths)} parts of history cannot be read ({type(error).__name__})") from error


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
