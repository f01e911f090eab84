"""`make bench`: what our road costs beside the bare libraries, as ratios measured side by side in one run.

CPU is that of the server process, from the operating system; wall is the caller's. Both servers run at once and are
asked in turn, block by block, so that a machine whose speed drifts slows both. The figure is the median over blocks.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from benchmarks import freshness, retraining
from benchmarks.crowned import crown
from benchmarks.ratio import Ratio, table
from market.sample import COINS

BLOCKS, REQUESTS, STARTS, FIRST = 12, 250, 5, 8


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address and its process."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Of all its threads, to the nanosecond: what the scheduler has counted."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9


@contextmanager
def ours(folder: Path) -> Iterator[Served]:
    """Our server with the sample market, which trains nothing meanwhile: it answers by rules, unless the folder holds
    models."""
    config = folder.parent / "config.yaml"
    config.write_text("models: {train: false, replay_past_days: 0}\n", "utf-8")
    options = ["--sample", "--port", "0", "--json", "--config", str(config), "--data", str(folder)]
    command = [sys.executable, "-m", "barograph", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Served(told["url"], process.pid)
        process.terminate()


@contextmanager
def theirs() -> Iterator[Served]:
    """The bare doors."""
    command = [sys.executable, "-m", "benchmarks.bare"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield Served(process.stdout.readline().strip(), process.pid)
        process.terminate()


Ask = Callable[[], Awaitable[object]]


async def side_by_side(
    what: str, goal: float | None, why: str, mine: tuple[Served, Ask], bare: tuple[Served, Ask]
) -> Ratio:
    """Blocks of requests to one and the other in turn."""
    ratios: list[tuple[float, float]] = []
    per_request: list[float] = []
    for block in range(BLOCKS + 1):
        costs = []
        for server, ask in (mine, bare):
            cpu, wall = server.cpu_seconds(), time.perf_counter()
            for _ in range(REQUESTS):
                await ask()
            costs.append((server.cpu_seconds() - cpu, time.perf_counter() - wall))
        if block:  # the first warms both up
            ratios.append((costs[0][0] / costs[1][0], costs[0][1] / costs[1][1]))
            per_request.append(costs[1][0] / REQUESTS * 1e6)
    cpu_ratio, wall_ratio = (statistics.median(one[i] for one in ratios) for i in (0, 1))
    return Ratio(what, cpu_ratio, wall_ratio, goal, f"bare: {statistics.median(per_request):.0f} us CPU; {why}")


#: An answer is worked out once a bar; asked again, it is put together anew from what was remembered.
AGAIN = "asked again within a bar"


async def doors(rules: Served, models: Served, bare: Served) -> list[Ratio]:
    """HTTP and MCP answers beside no-ops of the same size."""
    rows = []
    async with httpx.AsyncClient() as client:

        def post(server: Served, tool: str) -> Ask:
            return lambda: client.post(f"{server.url}/v1/tools/{tool}", content=b'{"symbol": "SIMBTC"}')

        for source, server, goal in (("rules", rules, 1.4), ("model", models, 1.6)):
            for tool in ("get_market_regime", "forecast_volatility"):
                why = f"{AGAIN}; {await first_ms(client, server, tool, source):.1f} ms when first asked, 1 thread"
                mine, theirs = (server, post(server, tool)), (bare, post(bare, "answer"))
                rows.append(await side_by_side(f"HTTP {tool} by {source} / FastAPI no-op", goal, why, mine, theirs))
    async with Client(f"{models.url}/mcp") as us, Client(f"{bare.url}/mcp") as them:

        def call(client: Client, tool: str) -> Ask:
            return lambda: client.call_tool(tool, {"symbol": "SIMBTC"})

        what, tool = "MCP get_market_regime by model / MCPServer no-op", "get_market_regime"
        rows.append(await side_by_side(what, 1.5, AGAIN, (models, call(us, tool)), (bare, call(them, "answer"))))
    return rows


async def first_ms(client: httpx.AsyncClient, server: Served, tool: str, source: str) -> float:
    """Wall milliseconds of answers that nobody had asked for before, the median over symbols."""
    took = []
    for coin in COINS[:FIRST]:
        begun = time.perf_counter()
        reply = await client.post(f"{server.url}/v1/tools/{tool}", json={"symbol": coin.symbol})
        took.append((time.perf_counter() - begun) * 1e3)
        if reply.json()["source"] != source:
            raise SystemExit(f"not answered by {source}: {reply.text}")
    return statistics.median(took)


async def started(arguments: list[str]) -> tuple[float, float]:
    """Seconds from the start of a stdio server to `tools/list`, and its peak memory in MB."""
    others = set(_children(os.getpid()))
    begun = time.perf_counter()
    parameters = StdioServerParameters(command=sys.executable, args=["-m", *arguments])
    async with Client(stdio_client(parameters)) as client:
        await client.list_tools()
        took = time.perf_counter() - begun
        peak = max((_peak_mb(pid) for pid in _children(os.getpid()) if pid not in others), default=0.0)
    return took, peak


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


async def stdio_starts(folder: Path) -> list[Ratio]:
    """`barograph stdio` beside a running owner, and a bare MCPServer."""
    times: list[tuple[float, float]] = []
    memory: list[float] = []
    for _ in range(STARTS):
        mine, mine_mb = await started(["barograph", "stdio", "--data", str(folder)])
        bare, bare_mb = await started(["benchmarks.bare", "stdio"])
        times.append((mine, bare))
        memory.append(mine_mb / bare_mb if bare_mb else 0.0)
    wall = statistics.median(mine / bare for mine, bare in times)
    took = statistics.median(bare for _, bare in times)
    why = f"bare: {took:.2f} s; ours finds the owner of the folder and is told by it what it offers"
    start = Ratio("stdio start to tools/list / bare MCPServer", None, wall, 1.25, why, "wall")
    peak = Ratio("stdio peak memory / bare MCPServer", None, statistics.median(memory), 1.5, "VmHWM", "wall")
    return [start, peak]


async def served() -> list[Ratio]:
    """What is measured on running servers."""
    with tempfile.TemporaryDirectory() as temporary:
        plain, taught = Path(temporary) / "rules" / "data", Path(temporary) / "models" / "data"
        for folder in (plain, taught):
            folder.parent.mkdir()
        crown(taught)
        with ours(plain) as rules, ours(taught) as models, theirs() as bare:
            rows = await doors(rules, models, bare)
            rows += await stdio_starts(plain)
    return rows


def main() -> None:
    """Runs all and prints the table."""
    print(table([*asyncio.run(served()), *freshness.rows(), *retraining.rows()]))


if __name__ == "__main__":
    main()
