"""MCP over streamable HTTP in memory, request by request, as whoever holds a credential sends them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@asynccontextmanager
async def opened(served: FastAPI, client: tuple[str, int] = ("127.0.0.1", 5000)) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that is up; it comes from the address `client`."""
    async with served.router.lifespan_context(served):
        transport = httpx.ASGITransport(app=served, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield http


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def session(http: httpx.AsyncClient, headers: Mapping[str, str]) -> dict[str, str]:
    """Opens a session of the era with handshakes; the headers of its requests."""
    reply = await rpc(http, "initialize", HELLO, headers)
    assert reply.status_code == 200, reply.text
    return {**headers, "Mcp-Session-Id": reply.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}


async def rpc(http: httpx.AsyncClient, method: str, params: Any, headers: Mapping[str, str]) -> httpx.Response:
    accept = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await http.post("/mcp", json=body, headers={**headers, **accept})


async def called(http: httpx.AsyncClient, tool: str, arguments: Any, headers: Mapping[str, str]) -> Any:
    """The result of a tool call."""
    return result(await rpc(http, "tools/call", {"name": tool, "arguments": arguments}, headers))


def result(reply: httpx.Response) -> Any:
    """What a JSON-RPC reply holds, sent as JSON or as an event."""
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1] if lines else reply.text)["result"]
