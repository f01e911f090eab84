"""What a replay is given beside bars: funding, open interest, books and headlines, from the same folders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from commands.faults import Unusable
from market.observed_table import ObservedTable
from market.other_file import HEADLINES, OtherFile, other_named, read_headline_file, read_observed_file
from market.refusal import Refusal
from server import House


def other_files(data: Sequence[Path]) -> list[OtherFile]:
    """Files of `data`, folders or files, whose names say that they hold something else than bars; each once."""
    paths = [path for one in data for path in (sorted(one.rglob("*")) if one.is_dir() else [one])]
    named = {path: other_named(path) for path in paths if path.is_file()}
    return [other for other in named.values() if other is not None]


def take_in_observed(house: House, files: Sequence[OtherFile], symbols: Collection[str]) -> tuple[str, ...]:
    """Feeds what is observed of these symbols (none: of all) to the house, each as known at its own time. Notes of what
    could not be read.

    Raises Unusable where an earlier replay into the folder has answered at a time at which it did not know what is
    given now: its answers would not be those of a server that had it in time.
    """
    notes: list[str] = []
    tables: list[ObservedTable] = []
    for file in files:
        try:
            if file.what == HEADLINES:
                house.headlines.append(read_headline_file(file), received_at=house.clock(), live=False)
            elif not symbols or file.of.upper() in symbols:
                tables.append(read_observed_file(file))
        except Refusal as refusal:
            notes.append(f"left out: {refusal}")
    _must_go_on(house, tables)
    for table in tables:  # one by one: two files may hold the same kind and symbol
        house.observations.append([table], received_at=house.clock(), live=False)
    notes += [_of_rows(one) for one in tables if one.refused]
    return tuple(notes)


def _of_rows(table: ObservedTable) -> str:
    faults = "; ".join(f"{one.n:,} x {one.fault}" for one in table.refused)
    return f"{table.kind} of {table.symbol}: rows were refused: {faults}"


def _must_go_on(house: House, tables: Sequence[ObservedTable]) -> None:
    answered = {symbol: as_of for (symbol, _), as_of in house.ledger.asked_through_all().items()}
    for table in tables:
        through = answered.get(table.symbol, -1)
        known = house.observations.observed(table.kind, table.symbol)
        late = table.at[table.at <= through]
        unknown = len(late) if known is None else int((~np.isin(late, known.at)).sum())
        if unknown:
            raise Unusable(
                f"an earlier replay into this folder did not have {unknown:,} records of {table.kind} of "
                f"{table.symbol} that are given now, from times that it answered about. Remove the folder data in "
                "--out, or name another --out"
            )
