"""`barograph import bars PATH`: takes bars in from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import track

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, err, out, quiet

if TYPE_CHECKING:
    from market.bar_file import BarFile
    from market.bar_table import BarTable
    from market.receipt import SeriesReceipt


@dataclass(slots=True)
class Imported:
    """What became of the files: per series what was kept, per file why it was not read."""

    series: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def well(self) -> bool:
        """Something was read, nothing was refused whole."""
        return bool(self.series) and not self.refused and all(one["bars"] for one in self.series)


def bars(
    path: Annotated[Path, typer.Argument(help="A file SYMBOL_TIMEFRAME.parquet or .csv, or a folder of such files.")],
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """Take in bars. Files of one series are joined. Doing it twice changes nothing; late and revised bars are kept
    beside what was known before."""
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted):
        told = _import(where, path, quiet(json_wanted))
    if json_wanted:
        as_json({"series": told.series, "refused": told.refused, "skipped": told.skipped})
    else:
        _tell(told)
    raise typer.Exit(0 if told.well() else 1)


def _import(where: Place, path: Path, silent: bool) -> Imported:
    from market.bar_file import bar_files
    from registry.owner import FolderOwned, Ownership

    files, skipped = bar_files(path)
    told = Imported(skipped=[{"file": one.path.name, "why": one.reason} for one in skipped])
    if not files:
        return told
    try:
        ownership = Ownership.claim(where.folder, process_id(), system_clock())
    except FolderOwned as owned:
        stop_it = f"stop it (kill {owned.owner.pid})" if owned.owner.pid else "stop it"
        raise Unusable(
            f"{where.folder} is in use by {owned.owner}, and only one process may write to it: {stop_it}, import, and "
            "start it again; nothing was imported"
        ) from owned
    try:
        _take_in(where, _read(files, told, silent), told, silent)
    finally:
        ownership.release()
    return told


def _read(files: Sequence[BarFile], told: Imported, silent: bool) -> Sequence[BarTable]:
    """One table per series; a file that is no file of bars is noted, and does not keep the others out."""
    from market.bar_file import read_bar_file
    from market.joined import joined
    from market.refusal import Refusal

    tables = []
    for file in track(files, "reading", console=err, disable=silent, transient=True):
        try:
            tables.append(read_bar_file(file.path))
        except Refusal as refusal:
            told.refused.append({"file": file.path.name, "why": str(refusal)})
    return joined(tables)


def _take_in(where: Place, tables: Sequence[BarTable], told: Imported, silent: bool) -> None:
    from market.refusal import Refusal
    from server import build

    house = build(where.config, where.folder, system_clock)
    try:
        for table in track(tables, "importing", console=err, disable=silent, transient=True):
            try:
                receipt = house.history.append(table, received_at=house.clock(), live=False)
            except Refusal as refusal:
                told.refused.append({"file": table.source, "why": str(refusal)})
            else:
                told.series += [_counts(one) for one in receipt.series]
    finally:
        house.close()


def _counts(one: SeriesReceipt) -> dict[str, Any]:
    refused = {str(rows.fault): {"rows": rows.n, "first": list(rows.first_rows)} for rows in one.refused}
    counts = {name: getattr(one, name) for name in ("symbol", "timeframe", "new", "late", "revised", "repeated")}
    whole = {"files": one.source, "bars": one.kept + one.repeated}
    return {**counts, **whole, "refused_rows": refused, "notes": list(one.notes)}


def _tell(told: Imported) -> None:
    for skipped in told.skipped:
        out.print(f"[yellow]skipped[/] {escape(skipped['file'])}: {escape(skipped['why'])}")
    for refused in told.refused:
        out.print(f"[red]refused[/] {escape(refused['why'])}")
    for one in told.series:
        rows = ", ".join(f"{one[name]:,} {name}" for name in ("new", "late", "revised", "repeated") if one[name])
        out.print(f"{one['symbol']} {one['timeframe']}: {rows or 'no bars'}")
        for fault, where in one["refused_rows"].items():
            out.print(f"  [yellow]{where['rows']:,} rows refused[/]: {fault} (rows {escape(str(where['first']))})")
        for said in one["notes"]:
            out.print(f"  {escape(said)}")
    if not told.series and not told.refused:
        out.print("[red]nothing was imported[/]: there is no file of bars at this path")
