"""Puts what an operator wants to whoever can do it: the owner of the data folder, or, where none runs, this process."""

from __future__ import annotations

import asyncio
import os

from commands.faults import Unusable
from commands.place import Place, process_id, system_clock
from tools.tool import Served


def operate(where: Place, name: str, arguments: str) -> Served:
    """What an operator's tool says. Raises NoOwner, FolderOwned, StateFault, OSError, and Unusable for its refusal."""
    from commands.owner_client import serving

    owner = serving(where.folder)
    doing = _at_owner(where, str(owner.url), name, arguments) if owner else _here(where, name, arguments)
    served = asyncio.run(doing)
    if served.code is not None:
        raise Unusable(served.text)
    return served


async def _at_owner(where: Place, url: str, name: str, arguments: str) -> Served:
    from commands.owner_client import Remote, to_owner

    async with to_owner() as client:
        return await Remote(client, url, where.folder, None).operate(name, arguments)


async def _here(where: Place, name: str, arguments: str) -> Served:
    from registry.keys import Keys
    from registry.owner import Ownership
    from registry.secret import Secret
    from registry.store import migrate, open_store
    from tools.key_desk import key_desk
    from tools.principal import operator, speaking
    from tools.tool import serve

    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        store = open_store(where.folder / "state.sqlite")
        try:
            migrate(store)
            keys = Keys(store, where.config.tenant, Secret(where.folder, os.urandom), os.urandom)
            (tool,) = (one for one in key_desk(keys, system_clock) if one.name == name)
            with speaking(operator(where.config.tenant)):
                return await serve(tool, arguments, "cli")
        finally:
            store.close()
    finally:
        ownership.release()
