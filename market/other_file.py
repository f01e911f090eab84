"""Files of what is observed beside bars: funding rates, open interest, books, headlines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from market.headline import Headline, HeadlineFault, headline
from market.observed_table import ObservedTable, checked_observations
from market.table_file import SUFFIXES, TableFile
from ml.capability import SYMBOL_PATTERN
from ml.observed import BOOK_LEVELS, FIELDS, Kind

ORIGIN = "files"
HEADLINES = "headlines"
ACCEPTED_NAME = (
    "a name is SYMBOL_funding, SYMBOL_open_interest, SYMBOL_book or SOURCE_headlines, .parquet or .csv, e.g. "
    "BTCUSDT_funding.csv"
)


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file whose name says what it holds: of whom (a symbol, or a source of headlines), and what."""

    path: Path
    of: str
    what: str


def other_named(path: Path) -> OtherFile | None:
    """What the file holds, by its name; None where the name says nothing to us."""
    for what in (*Kind, HEADLINES):
        of = path.stem.removesuffix(f"_{what}")
        if path.suffix in SUFFIXES and of != path.stem and re.fullmatch(SYMBOL_PATTERN, of.upper()):
            return OtherFile(path, of, str(what))
    return None


def read_observed_file(file: OtherFile) -> ObservedTable:
    """The observations of a file: `timestamp`, and a column for each number of the kind. What may be missing (the value
    of open interest, levels of a book) may be left out. Raises BadBarFile."""
    kind = Kind(file.what)
    table = TableFile.read(file.path, _accepted(kind))
    at, _ = table.times()
    needed = FIELDS[kind][:4] if kind is Kind.BOOK else FIELDS[kind][:1]
    columns = [
        table.numbers(name) if name in needed or table.has(name) else np.full(len(table), np.nan)
        for name in FIELDS[kind]
    ]
    return checked_observations(kind, file.of, ORIGIN, at, np.stack(columns, axis=1))


def read_headline_file(file: OtherFile) -> list[Headline | HeadlineFault]:
    """The headlines of a file: `timestamp` (of publication), `title`, and if there are any `key` and `symbols` (apart
    by spaces). Raises BadBarFile."""
    table = TableFile.read(file.path, "columns are timestamp, title, and if there are any key, symbols")
    at, _ = table.times()
    titles = table.texts("title")
    keys = table.texts("key") if table.has("key") else [""] * len(table)
    symbols = table.texts("symbols") if table.has("symbols") else [""] * len(table)
    return [
        headline(file.of.lower(), key, when, title, tuple(named.split()))
        for when, title, key, named in zip(at.tolist(), titles, keys, symbols, strict=True)
    ]


def _accepted(kind: Kind) -> str:
    if kind is Kind.BOOK:
        return f"columns are timestamp, {', '.join(FIELDS[kind][:4])}, ... up to level {BOOK_LEVELS}"
    return f"columns are timestamp, {', '.join(FIELDS[kind])}"
