"""Bars as they came in, checked row by row: what may enter history, and what was refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from market.refusal import BadSymbol
from ml.bars import DAY_MS, HOUR_MS, Bars, Instants, Timeframe
from ml.capability import SYMBOL_PATTERN

#: Stands for a time that is missing or cannot be represented in a column of times.
NO_TIME = int(np.iinfo(np.int64).min)
#: Bars are dated within these: 1970-01-02 .. 2100-01-01.
EARLIEST, LATEST = DAY_MS, 4_102_444_800_000
#: high may be below close by this fraction: decimals that went through binary floats do that.
ROUNDING = 1e-9
#: Rows named per fault.
NAMED_ROWS = 5

Mask = NDArray[np.bool_]


class Fault(StrEnum):
    """Why a row was refused."""

    NO_TIME = "no time, or one outside 1970..2100"
    OFF_GRID = "the time is not where a bar of this timeframe can open"
    NOT_FINITE = "a price or the volume is missing, NaN or infinite"
    NOT_POSITIVE = "a price is zero or negative"
    NEGATIVE_VOLUME = "the volume is negative"
    INCONSISTENT = "open, low and close do not lie within low..high"
    DUPLICATE_TIME = "the time is that of an earlier row"
    TOO_CLOSE = "the bar overlaps another by more than half"
    NOT_CLOSED = "the bar was not closed yet when it was received"


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """How many rows were refused for one `fault`, and the numbers of the first of them (from 1, no header)."""

    fault: Fault
    n: int
    first_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BarTable:
    """Bars of one series that passed the checks of `checked`, oldest first, and a note of those that did not.

    `row_numbers` (int64, as long as `bars`) says which row of the source each bar was. `source` is the name of a file
    or feed, `origin` what every reply says of these numbers (`simulated`, `files`, ...), `notes` what the reader of a
    report should know.
    """

    bars: Bars
    origin: str
    row_numbers: Instants
    refused: tuple[RefusedRows, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (np.diff(self.bars.open_at) > 0).all() or len(self.row_numbers) != len(self.bars):
            raise ValueError("a table of bars is made by `checked`: times strictly increasing, one number per row")

    def __len__(self) -> int:
        return len(self.bars)

    @property
    def symbol(self) -> str:
        return self.bars.symbol

    @property
    def timeframe(self) -> Timeframe:
        return self.bars.timeframe

    @property
    def n_refused(self) -> int:
        return sum(one.n for one in self.refused)


def checked(rows: Bars, origin: str, *, source: str = "", notes: tuple[str, ...] = ()) -> BarTable:
    """The good rows, sorted by time, and counts of the others.

    `rows` may come in any order and hold anything; a missing time is `NO_TIME`. Of rows with one time the first is
    kept. Raises BadSymbol for a symbol that no question could name, ValueError where columns differ in length.
    """
    if re.fullmatch(SYMBOL_PATTERN, rows.symbol) is None:
        raise BadSymbol("that is no symbol", f"a symbol matches {SYMBOL_PATTERN}")
    columns = (rows.open, rows.high, rows.low, rows.close, rows.volume)
    if any(len(column) != len(rows) for column in columns):
        raise ValueError("columns of bars differ in length")
    faults: dict[Fault, Mask] = {}
    good = np.ones(len(rows), dtype=bool)
    for fault, bad in _faults_of_rows(rows):
        faults[fault] = good & bad
        good = good & ~bad
    order = np.flatnonzero(good)[np.argsort(rows.open_at[good], kind="stable")]
    order = _without(faults, Fault.DUPLICATE_TIME, order, _apart(rows, order) == 0)
    order = _without(faults, Fault.TOO_CLOSE, order, 2 * _apart(rows, order) < rows.timeframe.milliseconds)
    refused = tuple(_refused(fault, np.flatnonzero(bad) + 1) for fault, bad in faults.items() if bad.any())
    return BarTable(picked(rows, order), origin, order + 1, refused, source, notes)


def picked(bars: Bars, at: Instants | Mask) -> Bars:
    """The rows at positions `at` (or where the mask is set), copied, in that order."""
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.open_at[at],
        bars.open[at],
        bars.high[at],
        bars.low[at],
        bars.close[at],
        bars.volume[at],
    )


def refused_where(table: BarTable, fault: Fault, bad: Mask) -> tuple[RefusedRows, ...]:
    """What a table of which the rows `bad` are refused as well has to say of them; empty where there are none."""
    return (_refused(fault, np.sort(table.row_numbers[bad])),) if bad.any() else ()


def consistent(bars: Bars) -> Mask:
    """Where open, low and close lie within low .. high, up to rounding; shape (n,)."""
    slack = ROUNDING * np.abs(bars.high)
    top = np.maximum(np.maximum(bars.open, bars.close), bars.low)
    bottom = np.minimum(np.minimum(bars.open, bars.close), bars.high)
    return (bars.high >= top - slack) & (bars.low <= bottom + slack)


def _faults_of_rows(rows: Bars) -> list[tuple[Fault, Mask]]:
    """Faults that a row has on its own, gravest first: it is counted under the first that it has."""
    prices = np.stack([rows.open, rows.high, rows.low, rows.close])
    grid = min(rows.timeframe.milliseconds, HOUR_MS)  # 4h and 1d bars open at any whole hour: sessions shift with DST
    with np.errstate(invalid="ignore"):
        return [
            (Fault.NO_TIME, (rows.open_at < EARLIEST) | (rows.open_at > LATEST)),
            (Fault.OFF_GRID, rows.open_at % grid != 0),
            (Fault.NOT_FINITE, ~(np.isfinite(prices).all(axis=0) & np.isfinite(rows.volume))),
            (Fault.NOT_POSITIVE, (prices <= 0).any(axis=0)),
            (Fault.NEGATIVE_VOLUME, rows.volume < 0),
            (Fault.INCONSISTENT, ~consistent(rows)),
        ]


def _apart(rows: Bars, order: Instants) -> Instants:
    """Milliseconds from the open before, in this order; the first bar is far from anything."""
    opens = rows.open_at[order]
    return np.diff(opens, prepend=opens[:1] - DAY_MS)


def _without(faults: dict[Fault, Mask], fault: Fault, order: Instants, bad: Mask) -> Instants:
    marked = np.zeros(len(next(iter(faults.values()))), dtype=bool)
    marked[order[bad]] = True
    faults[fault] = marked
    return order[~bad]


def _refused(fault: Fault, rows: Instants) -> RefusedRows:
    return RefusedRows(fault, len(rows), tuple(int(row) for row in rows[:NAMED_ROWS]))
