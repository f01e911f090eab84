"""Parts of bars: the records of any number of series, a column for each of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from market.columns import floats, from_numpy, integers, repeated
from market.parquet import stamped, whole
from market.records import Records
from ml.bars import Bars, Instants, Timeframe

#: Version of the columns below. Another one is refused, never guessed at.
FORMAT = "barograph.bars/1"

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
_INTEGERS = ("open_at", "received_at", "revision")
_FLOATS = ("open", "high", "low", "close", "volume", "quality")

_Columns = Mapping[str, np.ndarray]


def encoded(series: Sequence[Records], tenant: str) -> bytes:
    """One part: the records of these series, zstd. The same records give the same bytes."""
    return stamped(
        pa.concat_tables([_table(one) for one in series]).unify_dictionaries(),
        FORMAT,
        tenant,
        few_values=(*_SAME_FOR_A_SERIES, "revision", "quality"),
        steps=("open_at", "received_at"),
    )


def decoded(paths: Sequence[Path]) -> tuple[Records, ...]:
    """All records of these parts, one entry per series, by symbol and timeframe, each in the order of records.

    Raises DamagedPart.
    """
    if not paths:
        return ()
    table = whole(paths, SCHEMA)
    symbols, of_symbol = _words(table, "symbol")
    timeframes, of_timeframe = _words(table, "timeframe")
    origins, of_origin = _words(table, "origin")
    series = of_symbol * len(timeframes) + of_timeframe
    columns: dict[str, np.ndarray] = {name: integers(table.column(name), 0) for name in _INTEGERS}
    columns |= {name: floats(table.column(name)) for name in _FLOATS}
    order = _order(series, columns)
    if order is not None:
        series, of_origin = series[order], of_origin[order]
        columns = {name: column[order] for name, column in columns.items()}
    starts = np.flatnonzero(np.append(True, np.diff(series) != 0)) if len(series) else np.zeros(0, dtype=np.int64)
    return tuple(
        _cut(
            symbols[series[start] // len(timeframes)],
            timeframes[series[start] % len(timeframes)],
            origins[of_origin[start]],
            columns,
            slice(start, stop),
        )
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(series)], strict=True)
    )


def _order(series: Instants, columns: _Columns) -> Instants | None:
    """Positions by series, and in the order of records within; None where they are in it, as parts mostly are."""
    received, opens, revisions = (columns[name] for name in ("received_at", "open_at", "revision"))
    if _sorted(series, received, opens, revisions):
        return None
    order = np.argsort(series, kind="stable")
    if _sorted(series[order], received[order], opens[order], revisions[order]):
        return order
    return np.lexsort((revisions, opens, received, series))


def _sorted(*keys: Instants) -> bool:
    """Whether rows are in the order of these keys, the first before the second, and so on."""
    undecided = np.ones(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in keys:
        step = np.diff(key)
        if (undecided & (step < 0)).any():
            return False
        undecided &= step == 0
    return True


def _words(table: pa.Table, name: str) -> tuple[list[str], Instants]:
    """What a column of words says, sorted, and which of it stands in each row."""
    column = table.column(name).combine_chunks()
    words = column.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.empty(len(words), dtype=np.int64)
    rank[order] = np.arange(len(words))
    return [words[at] for at in order], rank[integers(pa.chunked_array([column.indices]), 0)]


def _table(records: Records) -> pa.Table:
    bars = records.bars
    same = [repeated(text, len(records)) for text in (bars.symbol, str(bars.timeframe), records.origin)]
    prices = [from_numpy(column) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    coming = [from_numpy(records.received_at), from_numpy(records.revision), from_numpy(records.quality)]
    return pa.Table.from_arrays([*same, from_numpy(bars.open_at), *prices, *coming], schema=SCHEMA)


def _cut(symbol: str, timeframe: str, origin: str, columns: _Columns, here: slice) -> Records:
    some = {name: column[here] for name, column in columns.items()}
    prices = (some[name] for name in ("open", "high", "low", "close", "volume"))
    bars = Bars(symbol, Timeframe(timeframe), some["open_at"], *prices)
    return Records(bars, origin, some["received_at"], some["revision"], some["quality"])
