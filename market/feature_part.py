"""Parts of the feature store: one column per feature. Null: the row does not have it; NaN: it is missing there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from market.columns import coded, from_numpy, nullable
from market.feature_row import KEY_COLUMNS, FeatureRow
from market.parquet import selected, selected_columns, stamped
from ml.bars import Instant, Timeframe

#: Version of the columns. Another one is refused, never guessed at.
FORMAT = "barograph.features/1"

_EVERY = "select * from read_parquet($files, union_by_name = true)"
_ORDER = "order by symbol, timeframe, as_of"


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest row of a series: as of when, and through which close (ms UTC)."""

    as_of: Instant
    data_through: Instant


def encoded(rows: Sequence[FeatureRow], tenant: str) -> bytes:
    """One part with these rows."""
    names = tuple(dict.fromkeys(name for names in dict.fromkeys(row.names for row in rows) for name in names))
    values = np.full((len(names), len(rows)), np.nan)
    there = np.zeros((len(names), len(rows)), dtype=bool)
    place = {name: k for k, name in enumerate(names)}
    places = {said: [place[name] for name in said] for said in {row.names for row in rows}}
    for i, row in enumerate(rows):
        values[places[row.names], i] = row.values
        there[places[row.names], i] = True
    columns = [
        coded([row.symbol for row in rows]),
        coded([str(row.timeframe) for row in rows]),
        from_numpy(np.array([row.as_of for row in rows], dtype=np.int64)),
        from_numpy(np.array([row.data_through for row in rows], dtype=np.int64)),
        from_numpy(np.array([row.quality for row in rows], dtype=np.float64)),
        *(nullable(values[k], there[k]) for k in range(len(names))),
    ]
    table = pa.Table.from_arrays(columns, names=[*KEY_COLUMNS, *names])
    return stamped(
        table, FORMAT, tenant, few_values=("symbol", "timeframe", "quality"), steps=("as_of", "data_through")
    )


def decoded(paths: Sequence[Path]) -> tuple[FeatureRow, ...]:
    """All rows of these parts, by symbol, timeframe and `as_of`. Raises DamagedPart."""
    return _rows(selected_columns(paths, f"{_EVERY} {_ORDER}")) if paths else ()


def decoded_of(
    paths: Sequence[Path], symbol: str, timeframe: Timeframe, since: Instant, until: Instant
) -> tuple[FeatureRow, ...]:
    """The rows of one series with `since` <= `as_of` <= `until`, oldest first. Raises DamagedPart."""
    if not paths:
        return ()
    mine = "where symbol = $symbol and timeframe = $timeframe and as_of between $since and $until"
    bound = {"symbol": symbol, "timeframe": str(timeframe), "since": since, "until": until}
    return _rows(selected_columns(paths, f"{_EVERY} {mine} {_ORDER}", **bound))


def newest_of(paths: Sequence[Path]) -> dict[tuple[str, Timeframe], Newest]:
    """The newest row of every series. Raises DamagedPart."""
    if not paths:
        return {}
    found = selected(
        paths,
        "select symbol, timeframe, max(as_of), arg_max(data_through, as_of) from read_parquet($files) group by all",
    )
    return {(symbol, Timeframe(timeframe)): Newest(as_of, through) for symbol, timeframe, as_of, through in found}


def keys_of(paths: Sequence[Path], since: Instant) -> set[tuple[str, Timeframe, Instant]]:
    """What names the rows with `since` <= `as_of`. Raises DamagedPart."""
    if not paths:
        return set()
    found = selected(
        paths, "select symbol, timeframe, as_of from read_parquet($files) where as_of >= $since", since=since
    )
    return {(symbol, Timeframe(timeframe), as_of) for symbol, timeframe, as_of in found}


def _rows(columns: dict[str, np.ndarray]) -> tuple[FeatureRow, ...]:
    symbol, timeframe, as_of, through, quality = (columns[name].tolist() for name in KEY_COLUMNS)
    names = np.array([name for name in columns if name not in KEY_COLUMNS])
    values = np.stack([np.ma.filled(columns[name], np.nan) for name in names], axis=1)
    there = np.stack([~np.ma.getmaskarray(columns[name]) for name in names], axis=1)
    return tuple(
        FeatureRow(
            symbol[i], Timeframe(timeframe[i]), as_of[i], through[i], _named(names, had), values[i, had], quality[i]
        )
        for i, had in enumerate(there)
    )


def _named(names: np.ndarray, had: np.ndarray) -> tuple[str, ...]:
    return tuple(names[had].tolist())
