"""The bars of a replay: from files, joined by series, into the house of the replay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from commands.faults import Unusable
from commands.replay_observed import other_files, take_in_observed
from commands.terminal import err
from market.bar_file import BarFile, bar_files, read_bar_file
from market.bar_table import BarTable
from market.joined import joined, out_of_turn
from market.other_file import other_named
from market.refusal import Refusal
from server import House


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be noted of the files that were read, and the symbols of all that there are."""

    notes: tuple[str, ...]
    symbols: tuple[str, ...]


def take_in(
    house: House,
    data: Sequence[Path],
    timeframes: Collection[str],
    symbols: Collection[str],
    silent: bool,
    beside: Collection[str] = (),
) -> Taken:
    """Feeds the bars of these timeframes and symbols (none: all) to the house, those of `beside` where there are any,
    and what else the folders hold of them: funding, open interest, books, headlines.

    Raises Unusable where there are no such files, and where the house was filled before and these bars do not simply
    continue that: the answers would not be those of a server that had them in time.
    """
    every = [file for path in data for file in _files(path)]
    files = [file for file in every if file.timeframe in timeframes]
    if not files:
        there = ", ".join(sorted(timeframes))
        raise Unusable(f"there are no files of {there} bars in --data; they are named SYMBOL_{there}.parquet or .csv")
    tables: list[BarTable] = []
    notes: list[str] = []
    read = {*timeframes, *beside}
    wanted = [file for file in every if file.timeframe in read and (not symbols or file.symbol in symbols)]
    for file in track(wanted, "bars", console=err, disable=silent, transient=True):
        try:
            tables.append(read_bar_file(file.path))
        except Refusal as refusal:
            notes.append(f"left out: {refusal}")
    series = joined(tables)
    _must_continue(house, series)
    notes += take_in_observed(house, other_files(data), symbols)
    house.history.append(series, received_at=house.clock(), live=False)
    notes += [_of_rows(table) for table in series if table.n_refused]
    return Taken(tuple(notes), tuple(dict.fromkeys(file.symbol for file in files)))


def _files(path: Path) -> Sequence[BarFile]:
    found, skipped = bar_files(path)
    if path.is_file() and skipped and other_named(path) is None:
        raise Unusable(f"{path.name}: {skipped[0].reason}")
    return found


def _must_continue(house: House, series: Sequence[BarTable]) -> None:
    asked = house.ledger.asked_through_all()
    for table in series:
        timeline = house.history.timeline(table.symbol, table.timeframe)
        if timeline is None:
            continue
        n = out_of_turn(timeline.latest(), table.bars, asked.get((table.symbol, table.timeframe), -1))
        if n:
            raise Unusable(
                f"an earlier replay into this folder was given other {table.timeframe} bars of {table.symbol}: {n:,} "
                "of those given now are older than what was answered, or have other numbers. Remove the folder data in "
                "--out, or name another --out"
            )


def _of_rows(table: BarTable) -> str:
    faults = "; ".join(f"{one.n:,} x {one.fault}" for one in table.refused)
    return f"{table.source}: {table.n_refused:,} rows were refused: {faults}"
