"""Bent requests through both doors of a server that runs: no 5xx, no echo of the input, no growth.

`python -m benchmarks.fuzz --requests 120000` is part of `make proof`; CI sends 2,000 in memory (tests/test_fuzz.py).
The same `--seed` sends the same requests. Some are right, so that what lies behind the doors is tried as well.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

import httpx

from benchmarks.serving import Server, serving
from tests.mutations import Sent, questions, requests, wrong

#: The server may have grown by so much at the end, and at any time between.
MOST_GROWTH = 50 * 1024 * 1024
WARM_UP = 2_000
LOOK_EVERY = 1_000
TELL_EVERY = 10_000
#: Requests on their way at once.
AT_ONCE = 4
SYMBOLS = ("SIMETH", "SIMBTC")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        return asyncio.run(fuzz(server, asked.requests, asked.seed))


async def fuzz(server: Server, n: int, seed: int) -> int:
    """Sends them, prints what came of it, and gives the exit code."""
    began, seen, faults = time.monotonic(), Counter[tuple[str, int]](), list[str]()
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits, trust_env=False) as client:
        # A session for each: in one, two messages with the same id may not be on their way at once.
        streams = [
            requests(Random(f"{seed} {i}"), questions(*SYMBOLS), await session(client))  # noqa: S311 - to be repeated
            for i in range(AT_ONCE)
        ]
        await send(client, streams, WARM_UP, seen, faults)
        before = most = server.resident_bytes()
        while sum(seen.values()) < n:
            await send(client, streams, LOOK_EVERY, seen, faults)
            most = max(most, server.resident_bytes())
            if sum(seen.values()) % TELL_EVERY == 0:
                print(f"  {sum(seen.values()):,}, {len(faults)} faults, {(most - before) / 2**20:+.1f} MB", flush=True)
        alive = (await client.get("/healthz")).status_code == 200
    for (door, status), count in sorted(seen.items()):
        print(f"  {door:>10} {status}: {count:,}")
    grown = most - before
    print(
        f"{sum(seen.values()):,} requests in {time.monotonic() - began:.0f} s, {len(faults)} faults, memory "
        f"{before / 2**20:.0f} MB, at most {grown / 2**20:+.1f} MB"
    )
    for fault in faults[:20]:
        print(fault)
    return 0 if alive and not faults and grown <= MOST_GROWTH else 1


async def send(
    client: httpx.AsyncClient,
    streams: Sequence[Iterator[Sent]],
    n: int,
    seen: Counter[tuple[str, int]],
    faults: list[str],
) -> None:
    """`n` requests, one of each stream at once."""

    async def some(stream: Iterator[Sent]) -> None:
        for request in islice(stream, n // len(streams)):
            reply = await client.request(
                request.method, request.path, headers=dict(request.headers), content=request.body
            )
            seen[request.door, reply.status_code] += 1
            fault = wrong(reply.status_code, reply.headers, reply.content)
            if fault:
                faults.append(f"{fault}: {str(request)[:600]} -> {reply.status_code} {reply.text[:300]}")

    await asyncio.gather(*map(some, streams))


async def session(client: httpx.AsyncClient) -> str:
    """A session of the protocol that has them."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
    reply = await client.post("/mcp", json=message, headers={"accept": "application/json, text/event-stream"})
    return reply.headers["mcp-session-id"]


if __name__ == "__main__":
    sys.exit(main())
