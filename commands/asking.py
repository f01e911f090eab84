"""Puts a call to whoever can answer it: the owner of the data folder, or, where none runs, this process."""

from __future__ import annotations

import asyncio

from commands.place import Place, process_id, system_clock
from tools.tool import Served


def ask(where: Place, tool: str, arguments: str) -> Served:
    """What a door would serve. Raises NoOwner, FolderOwned, StateFault, DamagedPart and OSError."""
    from commands.owner_client import serving

    owner = serving(where.folder)
    return asyncio.run(_at_owner(where, str(owner.url), tool, arguments) if owner else _here(where, tool, arguments))


async def _at_owner(where: Place, url: str, tool: str, arguments: str) -> Served:
    from commands.owner_client import Remote, to_owner

    async with to_owner() as client:
        return await Remote(client, url, where.folder, None).call(tool, arguments, "cli")


async def _here(where: Place, tool: str, arguments: str) -> Served:
    from registry.owner import Ownership
    from server import build
    from tools.principal import operator, speaking

    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        house = build(where.config, where.folder, system_clock)
        try:
            with speaking(operator(where.config.tenant)):
                return await house.guard.call(tool, arguments, "cli")
        finally:
            house.close()
    finally:
        ownership.release()
