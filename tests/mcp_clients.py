"""SDK clients of one house over each transport, in both protocol eras, with no process and no port but our own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp import Client
from mcp.client._memory import InMemoryTransport
from starlette.types import ASGIApp

from barograph import __version__
from server import PROMPTS, House, app
from tools.offer import Offer
from tools.over_mcp import McpServer, mcp_server

#: The handshake with sessions, and the stateless one.
ERAS = {"2025-11-25": "legacy", "2026-07-28": "auto"}
TRANSPORTS = ("stdio", "http")


def offered(house: House) -> Offer:
    return Offer.of(__version__, house.tools, house.catalogue, PROMPTS)


def served(house: House) -> McpServer:
    return mcp_server(offered(house), house.call)


@asynccontextmanager
async def client(house: House, transport: str, era: str) -> AsyncIterator[Client]:
    """A client that speaks this era, over the loop that stdio runs, or over a port of this machine."""
    if transport == "stdio":
        async with Client(InMemoryTransport(served(house)), mode=ERAS[era]) as connected:
            yield connected
        return
    async with loopback(app(house)) as url, Client(f"{url}/mcp", mode=ERAS[era]) as connected:
        yield connected


@asynccontextmanager
async def loopback(application: ASGIApp) -> AsyncIterator[str]:
    """The application on a port of its own; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="on"))
        running = asyncio.create_task(server.serve([listening]))
        try:
            while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
