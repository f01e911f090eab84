"""What the command line says, to people and to programs: a table, or JSON on one line with `--json`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

#: Progress, notes and errors go to standard error, so that standard output can be piped.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(value: Any, *, on_error: bool = False) -> None:  # noqa: ANN401 - whatever json takes
    """One line of JSON on standard output, or on standard error."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str), err=on_error)


def note(message: str, *, json_wanted: bool) -> None:
    """Something that does not stop the command, said beside its result."""
    if json_wanted:
        as_json({"note": message}, on_error=True)
    else:
        err.print(f"[yellow]note:[/] {escape(message)}")


def stop(message: str, *, json_wanted: bool, code: int = 2) -> NoReturn:
    """Ends the command with an error: what was wrong and what to do."""
    if json_wanted:
        as_json({"error": {"message": message}}, on_error=True)
    else:
        err.print(f"[bold red]barograph:[/] {escape(message)}")
    raise typer.Exit(code)


def quiet(json_wanted: bool) -> bool:
    """Whether progress bars stay away: programs and files cannot use them."""
    return json_wanted or not err.is_terminal
