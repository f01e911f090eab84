"""`barograph keys ...`: who may come in with a key. Works beside a running server, and without one."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import place
from commands.terminal import as_json, out

app = typer.Typer(help="Keys of callers: add, list, revoke.", no_args_is_help=True)

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="read, trade (vetoes) or operate; may be given several times. Default: read."),
]
Ends = Annotated[int | None, typer.Option("--expires-in-days", help="1 to 3650. Default: it does not expire.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is, for people: desk-bot, say.")],
    scope: Scopes = None,
    expires_in_days: Ends = None,
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """Make a key. Its token is shown now and never again."""
    asked = {"name": name, "scopes": scope or ["read"], "expires_in_days": expires_in_days}
    said = _done("add_key", asked, config, data, json_wanted)
    if json_wanted:
        as_json(said)
        return
    typer.echo(said["token"])
    key = said["key"]
    typer.echo(f"The key {key['key_id']} may {', '.join(key['scopes'])}. Its token is not shown again.", err=True)
    typer.echo("Callers send it as the header `Authorization: Bearer TOKEN`.", err=True)


@app.command("list")
def list_(config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """All keys, without their tokens."""
    said = _done("list_keys", {}, config, data, json_wanted)
    if json_wanted:
        as_json(said)
        return
    table = Table("key", "name", "scopes", "state", "made", "expires", "last used", box=None)
    for one in said["keys"]:
        made, ends, used = (_minute(one.get(name)) for name in ("created_at", "expires_at", "last_used_at"))
        table.add_row(one["key_id"], one["name"], " ".join(one["scopes"]), one["state"], made, ends, used)
    out.print(table)


@app.command()
def revoke(
    key_id: Annotated[str | None, typer.Argument(help="The id of the key, as `barograph keys list` shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every key there is.")] = False,
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """End a key at once, for good."""
    said = _done("revoke_keys", {"key_id": key_id, "every": every}, config, data, json_wanted)
    if json_wanted:
        as_json(said)
        return
    for one in said["keys"]:
        out.print(f"revoked {one['key_id']} ({one['name']})", markup=False)
    if not said["keys"]:
        out.print("there was none")


def _minute(at: str | None) -> str:
    return "never" if at is None else at[:16].replace("T", " ")


def _done(tool: str, asked: dict[str, Any], config: ConfigFile, data: DataFolder, json_wanted: bool) -> Any:  # noqa: ANN401 - the reply of any tool
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted):
        try:
            arguments = json.dumps(asked)
            arguments.encode()
        except UnicodeEncodeError:
            raise Unusable("the name is no text") from None
        from commands.operating import operate

        return json.loads(operate(where, tool, arguments).body)
