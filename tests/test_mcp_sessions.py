"""Sessions that are forgotten make room for others; those in use stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server import House, app
from tools.sessions import MOST_SESSIONS, Sessions

pytestmark = pytest.mark.anyio

ACCEPT = {"accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture
async def door(house: House) -> AsyncIterator[httpx.AsyncClient]:
    served = app(house)
    transport = httpx.ASGITransport(app=served)
    async with (
        served.router.lifespan_context(served),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=ACCEPT) as client,
    ):
        yield client


async def opened(door: httpx.AsyncClient) -> str:
    reply = await door.post("/mcp", json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO})
    return str(reply.headers["mcp-session-id"])


async def status(door: httpx.AsyncClient, session: str) -> int:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    return (await door.post("/mcp", json=ping, headers=headers)).status_code


async def test_the_session_that_was_used_longest_ago_is_closed_when_there_are_too_many(
    door: httpx.AsyncClient,
) -> None:
    first, second = await opened(door), await opened(door)
    rest = [await opened(door) for _ in range(MOST_SESSIONS - 2)]
    assert await status(door, first) == 200, "it is in use"
    newest = await opened(door)
    assert await status(door, second) == 404
    assert [await status(door, one) for one in (first, rest[1], newest)] == [200, 200, 200]


async def test_a_session_that_its_client_closed_is_forgotten(door: httpx.AsyncClient) -> None:
    session = await opened(door)
    headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    assert (await door.delete("/mcp", headers=headers)).status_code == 200
    assert await status(door, session) == 404


async def test_a_session_that_somebody_waits_in_is_not_closed() -> None:
    """Driven without the SDK: what counts is who is told DELETE."""
    closed: list[Any] = []
    names = iter([b"a", b"b", b"c"])
    waiting: list[Any] = []

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        named = dict(scope["headers"]).get(b"mcp-session-id")
        if scope["method"] == "DELETE":
            closed.append(named)
        elif scope["method"] == "GET":
            waiting.append(named)
            await call("POST")  # others come meanwhile
            await call("POST")
            waiting.append(list(closed))
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"mcp-session-id", next(names))]})

    sessions = Sessions(endpoint, 1)

    async def call(method: str, *headers: tuple[bytes, bytes]) -> None:
        async def nothing(*_: Any) -> Any:
            return {}

        await sessions({"method": method, "headers": list(headers)}, nothing, nothing)

    await call("POST")
    await call("GET", (b"mcp-session-id", b"a"))
    assert waiting == [b"a", [b"b"]], "not the one that is waited in, nor the newest"
    assert closed == [b"b", b"a"], "nobody waits in it any more"
