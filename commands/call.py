"""`barograph call TOOL --field value ...`: one question, from the shell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import place
from commands.terminal import as_json, err
from ml.timeframe import Timeframe

#: Fields that take several values, separated by commas.
LISTS = ("more_symbols",)


def call(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help="Name of the tool, e.g. forecast_volatility.")],
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
    bars: Annotated[Path | None, typer.Option(help="Ask at every bar of this file (Parquet or CSV) instead.")] = None,
    result: Annotated[
        Path | None, typer.Option("--out", help="With --bars: the file of answers, .parquet or .csv.")
    ] = None,
) -> None:
    """Ask a tool: fields of its request as options, e.g. --symbol BTCUSDT --horizon 24h. Lists: --more-symbols A,B."""
    if bars is not None or result is not None:
        _batch(context.args, tool, bars, result, config, data, json_wanted)
        return
    with Told(json_wanted):
        arguments = json.dumps(with_numbers(tool, fields(context.args)))
        where = place(config, data, {}, json_wanted=json_wanted)
        from commands.asking import ask

        served = ask(where, tool, arguments)
    wrong = served.code is not None
    typer.echo(served.body if json_wanted else served.text, err=wrong)
    raise typer.Exit(1 if wrong else 0)


def _batch(
    extra: Sequence[str],
    tool: str,
    bars: Path | None,
    result: Path | None,
    config: Path | None,
    data: Path | None,
    json_wanted: bool,
) -> None:
    """One row per bar of the file, into a file or onto standard output."""
    with Told(json_wanted):
        if bars is None:
            raise Unusable("--out belongs to --bars FILE")
        from commands.batch import as_csv, batch, write

        told = with_numbers(tool, fields(extra))
        timeframe = told.pop("timeframe", None)
        answers = batch(place(config, data, {}, json_wanted=json_wanted), tool, bars, told, _timeframe(timeframe))
        if result is not None:
            write(answers, result)
        text = as_csv(answers) if result is None and not json_wanted else ""
    answered = answers.num_rows - sum(one is not None for one in answers["why"].to_pylist())
    if json_wanted:
        for row in [] if result else answers.to_pylist():
            as_json(row)
    else:
        typer.echo(text, nl=False)
    counted = {"rows": answers.num_rows, "answered": answered, **({"file": str(result)} if result else {})}
    if json_wanted:
        as_json(counted, on_error=result is None)
    else:
        err.print(", ".join(f"{name} {value}" for name, value in counted.items()), markup=False)


def _timeframe(told: object) -> Timeframe | None:
    if told is None:
        return None
    try:
        return Timeframe(str(told))
    except ValueError as error:
        raise Unusable(f"no timeframe is called {told}; there are {', '.join(Timeframe)}") from error


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


def with_numbers(tool: str, told: dict[str, object]) -> dict[str, object]:
    """The same with numbers in the place of words, where the tool asks for a number: `--cost-bps 5`. A symbol may look
    like a number too, so the question has to say."""
    looks = {name: number for name, value in told.items() if (number := _number(value)) is not None}
    if not looks:
        return told
    from ml.catalogue import CATALOGUE

    asked = {name: field for one in CATALOGUE if one.tool == tool for name, field in one.question.model_fields.items()}
    return told | {name: looks[name] for name in looks if name in asked and _takes_numbers(asked[name].annotation)}


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _takes_numbers(kind: object) -> bool:
    return kind in (float, int) or any(one in (float, int) for one in get_args(kind))
