"""Parts of observations: one kind each, a column for each of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from market.columns import from_numpy, repeated
from market.parquet import selected, selected_columns, stamped
from ml.observed import FIELDS, Kind, Observed

#: Version of the columns. Another one is refused, never guessed at.
FORMAT = "barograph.observed/1"
#: When an observation holds: `at` is a word of SQL.
_HELD = "held_at"
_ORDER = f"order by symbol, received_at, {_HELD}"


@dataclass(frozen=True, slots=True, eq=False)
class Feeding:
    """Records of one kind and symbol, and where they come from."""

    records: Observed
    origin: str


def encoded(feedings: Sequence[Feeding], tenant: str) -> bytes:
    """One part with the records of these symbols, all of one kind. The same records give the same bytes."""
    tables = [_table(one) for one in feedings]
    return stamped(
        pa.concat_tables(tables).unify_dictionaries(),
        FORMAT,
        tenant,
        few_values=("symbol", "origin"),
        steps=(_HELD, "received_at"),
    )


def decoded(kind: Kind, paths: Sequence[Path], symbol: str | None = None) -> tuple[Feeding, ...]:
    """All records of these parts, or those of one symbol, one entry per symbol, in the order of receipt. Raises
    DamagedPart."""
    if not paths:
        return ()
    asked = "from read_parquet($files)" + ("" if symbol is None else " where symbol = $symbol")
    bound = {} if symbol is None else {"symbol": symbol}
    there = selected(
        paths, f"select symbol, any_value(origin), count(*) {asked} group by symbol order by symbol", **bound
    )
    names = (_HELD, "received_at", *FIELDS[kind])
    columns = selected_columns(paths, f"select {', '.join(names)} {asked} {_ORDER}", **bound)
    values = np.stack([np.ma.filled(columns[name], np.nan) for name in FIELDS[kind]], axis=1)
    stops = np.cumsum([n for *_, n in there]).tolist()
    return tuple(
        Feeding(
            Observed(
                kind,
                one,
                columns[_HELD][stop - n : stop],
                columns["received_at"][stop - n : stop],
                values[stop - n : stop],
            ),
            origin,
        )
        for (one, origin, n), stop in zip(there, stops, strict=True)
    )


def _table(one: Feeding) -> pa.Table:
    records = one.records
    columns = {
        "symbol": repeated(records.symbol, len(records)),
        "origin": repeated(one.origin, len(records)),
        _HELD: from_numpy(records.at),
        "received_at": from_numpy(records.received_at),
        **{name: from_numpy(records.values[:, k]) for k, name in enumerate(FIELDS[records.kind])},
    }
    return pa.table(columns)
