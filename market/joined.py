"""Joins files of one series, so that several folders of history read like one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from market import bar_table
from market.bar_table import BarTable, Mask, RefusedRows, checked, picked
from ml.bars import Bars, Instant, Instants, Timeframe


def joined(tables: Iterable[BarTable]) -> tuple[BarTable, ...]:
    """One table per series and origin, in order of first appearance. Where two hold a bar of the same time, the one
    given first stands; the notes say how many there are, and how many of these differ.

    Row numbers are those in the file that the row came from.
    """
    by_series: dict[tuple[str, Timeframe, str], BarTable] = {}
    for table in tables:
        key = table.symbol, table.timeframe, table.origin
        by_series[key] = _one(by_series[key], table) if key in by_series else table
    return tuple(by_series.values())


def out_of_turn(known: Bars, added: Bars, asked_through: Instant) -> int:
    """How many of the bars `added` to a series that holds `known` would not count as received in time: they are not
    among those, and older than the newest of them, or closed by the latest as_of that was answered
    (`asked_through`); or they are among them with other numbers."""
    there, differ = _among(known, added)
    newest = int(known.open_at[-1]) if len(known) else -1
    late = ~there & ((added.open_at < newest) | (added.close_at <= asked_through))
    return int(late.sum() + differ.sum())


def _one(first: BarTable, second: BarTable) -> BarTable:
    there, differ = _among(first.bars, second.bars)
    together = first.bars.followed_by(picked(second.bars, ~there))
    rows = np.concatenate([first.row_numbers, second.row_numbers[~there]])
    source = f"{first.source} + {second.source}"
    told = checked(together, first.origin, source=source)
    notes = [f"{source}: {int(there.sum())} bars are in both"] if there.any() else []
    if differ.any():
        notes.append(f"{source}: {int(differ.sum())} of them differ: those of {first.source} stand")
    return replace(
        told,
        row_numbers=rows[told.row_numbers - 1],
        refused=_summed(*first.refused, *second.refused, *(_renumbered(one, rows) for one in told.refused)),
        notes=tuple(dict.fromkeys((*first.notes, *second.notes, *notes))),
    )


def _among(known: Bars, bars: Bars) -> tuple[Mask, Mask]:
    """Which of `bars` have the open of a known one, and which of these other numbers."""
    there: Mask = np.isin(bars.open_at, known.open_at)
    at = np.searchsorted(known.open_at, bars.open_at[there])
    same = np.ones(len(at), dtype=bool)
    for mine, theirs in (
        (bars.open, known.open),
        (bars.high, known.high),
        (bars.low, known.low),
        (bars.close, known.close),
        (bars.volume, known.volume),
    ):
        same &= mine[there] == theirs[at]
    differ = there.copy()
    differ[there] = ~same
    return there, differ


def _renumbered(refused: RefusedRows, rows: Instants) -> RefusedRows:
    return replace(refused, first_rows=tuple(int(rows[row - 1]) for row in refused.first_rows))


def _summed(*refused: RefusedRows) -> tuple[RefusedRows, ...]:
    by_fault: dict[bar_table.Fault, list[RefusedRows]] = defaultdict(list)
    for one in refused:
        by_fault[one.fault].append(one)
    return tuple(
        RefusedRows(
            fault,
            sum(one.n for one in members),
            tuple(row for one in members for row in one.first_rows)[: bar_table.NAMED_ROWS],
        )
        for fault, members in by_fault.items()
    )
