"""`barograph stdio`: what a desktop agent starts. A thin proxy to the owner; where none runs, it starts one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.faults import Told
from commands.options import ConfigFile, DataFolder
from commands.place import Place, place

if TYPE_CHECKING:
    from tools.tool import Call


def stdio(
    config: ConfigFile = None,
    data: DataFolder = None,
    sample: Annotated[bool, typer.Option("--sample", help="If it starts a server: feed the sample market.")] = False,
) -> None:
    """Serve MCP over standard input and output. Nothing else is written there."""
    where = place(config, data, {"market": {"sample": True}} if sample else {}, json_wanted=False)
    import asyncio

    arguments = [
        *(["--config", str(where.config_file.resolve())] if where.config_file else []),
        *(["--sample"] if sample else []),
    ]
    with Told(json_wanted=False):
        asyncio.run(_proxy(where, arguments))


async def _proxy(where: Place, arguments: list[str]) -> None:
    import asyncio

    from commands.owner_client import Remote, start_owner, to_owner

    # While the owner starts, or is looked for, the slow imports go on here.
    owner_found = asyncio.get_running_loop().run_in_executor(None, start_owner, where.folder, arguments)
    from mcp.server.stdio import stdio_server

    from commands.owner_events import OwnerEvents
    from tools.over_mcp import mcp_server
    from tools.subscriptions import Subscriptions

    owner = await owner_found
    async with to_owner() as client:
        remote = Remote(client, str(owner.url), where.folder, arguments)
        offer = await remote.offer()
        subscriptions = Subscriptions(offer.resources, lambda: events.begin())
        events = OwnerEvents(remote, subscriptions.tell)
        server = mcp_server(offer, _told(remote.call), subscriptions)
        try:
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())
        finally:
            await events.end()


def _told(call: Call) -> Call:
    """An owner that is gone for good is an error of this call, not the end of the proxy."""
    from commands.owner_client import NoOwner
    from tools.refusal import Code, Refused
    from tools.tool import Served, refusal

    async def told(name: str, arguments: bytes | str, asked_by: str) -> Served:
        try:
            return await call(name, arguments, asked_by)
        except NoOwner as gone:
            return refusal(Refused(Code.FAULT, str(gone), retryable=True))

    return told
