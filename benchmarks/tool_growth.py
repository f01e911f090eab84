"""Does a call cost more where more tools are offered? Two servers side by side, with 2 and with 100 tools; their calls
take turns, so that what else the machine does falls on both. The median of the ratios must be at most 1.1."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from contextlib import AsyncExitStack

from mcp import Client
from mcp.client._memory import InMemoryTransport

from tools.offer import Offer
from tools.over_mcp import mcp_server
from tools.tool import Face, Served

FEW, MANY = 2, 100
ROUNDS = 60
CALLS_A_ROUND = 20
MOST = 1.1
ERAS = {"2025-11-25": "legacy", "2026-07-28": "auto"}
REPLY = json.dumps({"summary": "a line", **{f"field_{i}": i / 7 for i in range(15)}})


def main() -> int:
    """Prints the table; 1 where a ratio is over the limit."""
    worst = 0.0
    print(f"a call with {MANY} tools over one with {FEW} ({ROUNDS} rounds of {CALLS_A_ROUND} calls)")
    for era in ERAS:
        few_us, many_us, ratio = asyncio.run(_measured(era))
        worst = max(worst, ratio)
        print(f"  {era}: {few_us:6.0f} us -> {many_us:6.0f} us, x {ratio:.3f} (limit {MOST})")
    return int(worst > MOST)


async def _measured(era: str) -> tuple[float, float, float]:
    """Medians in microseconds, with few tools and with many, and the median of the rounds' ratios."""
    spent: dict[int, list[float]] = {FEW: [], MANY: []}
    async with AsyncExitStack() as stack:
        clients = {n: await stack.enter_async_context(_client(n, era)) for n in (FEW, MANY)}
        for client in clients.values():  # a client learns the schemas of the replies once
            await client.list_tools()
        for number in range(ROUNDS):
            for n in (FEW, MANY) if number % 2 else (MANY, FEW):
                began = time.perf_counter()
                for _ in range(CALLS_A_ROUND):
                    await clients[n].call_tool(f"tool_{n - 1}", {"symbol": "AAA"})
                spent[n].append((time.perf_counter() - began) / CALLS_A_ROUND * 1e6)
    ratios = [many / few for few, many in zip(spent[FEW], spent[MANY], strict=True)]
    return statistics.median(spent[FEW]), statistics.median(spent[MANY]), statistics.median(ratios)


def _client(n: int, era: str) -> Client:
    return Client(InMemoryTransport(mcp_server(offer(n), _answer)), mode=ERAS[era])


def offer(n: int) -> Offer:
    """So many tools, each of the size that ours have."""
    fields = {f"field_{i}": {"type": "number", "description": "A number with a unit."} for i in range(15)}
    whole = {"type": "object", "properties": {"summary": {"type": "string"}, **fields}}
    asked = {"type": "object", "properties": {"symbol": {"type": "string"}}, "additionalProperties": False}
    faces = tuple(
        Face(
            name=f"tool_{i}", title="A tool", description="Says. " * 80, read_only=True, input_schema=asked,
            output_schema=whole,
        )
        for i in range(n)
    )  # fmt: skip
    return Offer(version="0", tools=faces, resources=(), prompts=())


async def _answer(name: str, arguments: bytes | str, asked_by: str) -> Served:  # noqa: ARG001 - always the same
    return Served(body=REPLY, text="a line", code=None)


if __name__ == "__main__":
    sys.exit(main())
