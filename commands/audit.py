"""`barograph audit verify`: whether the log of who did what is as it was written."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, out, stop

app = typer.Typer(help="The log of who did what.", no_args_is_help=True)

Known = Annotated[str | None, typer.Option("--head", help="A head that verify printed before, ROWS:HASH.")]


@app.command()
def verify(head: Known = None, config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """Read the whole log. Finds rows that were changed, removed, added or swapped. Note the head that it prints: with
    it, a later run also finds a log that was cut or written anew by somebody who has this folder."""
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted):
        from registry.audit_chain import Broken

        try:
            found, rows = _verified(where, head)
        except Broken as broken:
            stop(str(broken), json_wanted=json_wanted, code=1)
    if json_wanted:
        as_json({"well": True, "rows": rows, "head": found})
        return
    out.print(f"{rows:,} rows, whole. Head: {found}", markup=False)


def _verified(where: Place, known: str | None) -> tuple[str, int]:
    """To look is allowed beside a running server."""
    from registry.audit import Note, parsed, verified
    from registry.owner import FolderOwned, Ownership
    from registry.secret import Secret
    from registry.store import migrate, open_store

    path = where.folder / "state.sqlite"
    if not path.is_file():
        raise Unusable(f"{where.folder} holds no state yet: nothing was logged")
    try:
        noted = parsed(known) if known else None
    except ValueError as wrong:
        raise Unusable(f"--head: {wrong}") from wrong
    try:
        ownership: Ownership | None = Ownership.claim(where.folder, process_id(), system_clock())
    except FolderOwned:
        ownership = None
    store = open_store(path)
    try:
        migrate(store)
        tenant = where.config.tenant
        head = verified(store, tenant, Note(where.folder, tenant, Secret(where.folder, os.urandom)), noted)
        return str(head), head.rows
    finally:
        store.close()
        if ownership is not None:
            ownership.release()
