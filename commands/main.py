"""`barograph`: all verbs. Each imports what it needs when it is called, so that none waits for the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from commands.audit import app as audit
from commands.call import call
from commands.doctor import doctor
from commands.importing import bars
from commands.keys import app as keys
from commands.models import app as models
from commands.replay import replay
from commands.serve import serve
from commands.status import status
from commands.stdio import stdio
from commands.terminal import as_json
from commands.train import train

app = typer.Typer(
    name="barograph",
    help="Instruments for LLM trading agents: regime, volatility and more, over MCP, HTTP and this command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
importing = typer.Typer(help="Take data in from files.", no_args_is_help=True)
importing.command("bars")(bars)

app.command()(serve)
app.command()(stdio)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(call)
app.command()(status)
app.add_typer(importing, name="import")
app.command()(replay)
app.command()(train)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")
app.add_typer(audit, name="audit")
app.command()(doctor)


def run(words: Sequence[str]) -> NoReturn:
    """Runs `barograph WORDS` and exits. With --json a mistake in the words themselves is told as JSON as well."""
    if "--json" not in words:
        app(words, prog_name="barograph")
        sys.exit(0)
    try:
        code = app(words, prog_name="barograph", standalone_mode=False)
    except typer.Abort:
        sys.exit(1)
    except TyperException as wrong:
        message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
        as_json({"error": {"message": message}}, on_error=True)
        sys.exit(getattr(wrong, "exit_code", 2))
    sys.exit(code or 0)
