"""`barograph status`: how the server is."""

from __future__ import annotations

import json

import typer
from rich.table import Table

from commands.faults import Told
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import place
from commands.terminal import out, stop


def status(config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """What is fed, how fresh it is, who answers, and whether anything is wrong."""
    where = place(config, data, {}, json_wanted=json_wanted)
    from commands.asking import ask

    with Told(json_wanted):
        served = ask(where, "get_server_status", '{"detail": "full"}')
    if served.code is not None:
        stop(served.text, json_wanted=json_wanted, code=1)
    if json_wanted:
        typer.echo(served.body)
        return
    told = json.loads(served.body)
    out.print(told["summary"], markup=False)
    table = Table("symbol", "bars", "origin", "through", "missing", "gaps", "revisions", "quality", box=None)
    for one in told["series"]:
        late = f"[red]{one['expected_missing']} stale[/]" if one["stale"] else str(one["expected_missing"])
        table.add_row(
            f"{one['symbol']} {one['timeframe']}",
            f"{one['n_bars']:,}",
            one["origin"],
            one["data_through"][:16].replace("T", " "),
            late,
            str(one["gaps"]),
            str(one["revisions"]),
            f"{one['quality']:.2f}",
        )
    out.print(table)
    for one in told["instruments"]:
        out.print(
            f"{one['tool']}: answered by {', then '.join(one['answered_by'])} on {', '.join(one['timeframes'])}",
            markup=False,
        )
