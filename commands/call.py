"""`barograph call TOOL --field value ...`: one question, from the shell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import place

#: Fields that take several values, separated by commas.
LISTS = ("more_symbols",)


def call(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help="Name of the tool, e.g. forecast_volatility.")],
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """Ask a tool: fields of its request as options, e.g. --symbol BTCUSDT --horizon 24h. Lists: --more-symbols A,B."""
    with Told(json_wanted):
        arguments = json.dumps(fields(context.args))
        where = place(config, data, {}, json_wanted=json_wanted)
        from commands.asking import ask

        served = ask(where, tool, arguments)
    wrong = served.code is not None
    typer.echo(served.body if json_wanted else served.text, err=wrong)
    raise typer.Exit(1 if wrong else 0)


def fields(extra: Sequence[str]) -> dict[str, object]:
    """`--more-symbols A,B --horizon=24h` as {"more_symbols": ["A", "B"], "horizon": "24h"}. Raises Unusable."""
    found: dict[str, object] = {}
    words = iter(extra)
    for word in words:
        option, equals, value = word.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or not name:
            raise Unusable(f"'{word}' is no field: they are given as --name value")
        if not equals:
            value = next(words, "--")
            if value.startswith("--"):
                raise Unusable(f"{option} needs a value")
        found[name] = [part.strip() for part in value.split(",") if part.strip()] if name in LISTS else value
    return found
