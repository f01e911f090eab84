"""Two thousand bent requests through both doors: no 5xx, no echo, no growth. `make proof` sends sixty times as many."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from server import House, app
from tests.mutations import Sent, questions, requests, wrong

REQUESTS = 2_000
#: So much may stay, in bytes.
MOST_GROWTH = 50 * 1024 * 1024
SEED = 20_260_728
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}},
}


def resident_bytes() -> int:
    """What this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is Linux's")
async def test_no_request_makes_a_door_fail_repeat_it_or_grow(house: House) -> None:
    door = app(house)
    transport = httpx.ASGITransport(app=door, raise_app_exceptions=True)
    async with (
        door.router.lifespan_context(door),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=30) as client,
    ):
        accept = {"accept": "application/json, text/event-stream"}
        session = (await client.post("/mcp", json=HELLO, headers=accept)).headers["mcp-session-id"]
        stream = requests(Random(SEED), questions("AAA", "BBB"), session)
        await sent(client, islice(stream, 200))
        before = resident_bytes()
        seen = await sent(client, islice(stream, REQUESTS - 200))
        grown = resident_bytes() - before
    assert grown < MOST_GROWTH, f"{grown / 2**20:.0f} MB"
    assert seen["http", 200] > 100, "many must be right still, or nothing behind the door was tried"
    assert seen["2025-11-25", 200] > 50
    assert seen["2026-07-28", 200] > 50
    assert {status for _, status in seen} >= {200, 400, 404, 405, 413, 422}


async def sent(client: httpx.AsyncClient, stream: Any) -> Counter[tuple[str, int]]:
    """How often each door answered with which status."""
    seen: Counter[tuple[str, int]] = Counter()
    for request in stream:
        reply = await client.request(request.method, request.path, headers=bytes_of(request), content=request.body)
        fault = wrong(reply.status_code, reply.headers, reply.content)
        assert fault is None, f"{fault}: {request} -> {reply.status_code} {reply.text[:500]}"
        seen[request.door, reply.status_code] += 1
        if request.door == "http" and reply.content and request.method != "HEAD":
            json.loads(reply.content, parse_constant=lambda name: pytest.fail(f"{name} in a reply"))
    return seen


def bytes_of(request: Sent) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in request.headers.items()}
