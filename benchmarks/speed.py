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

from benchmarks import freshness

BLOCKS, REQUESTS, STARTS = 12, 250, 5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: ours over theirs, CPU and wall, and the goal for CPU (or for what `goal_is` names)."""

    what: str
    cpu: float | None
    wall: float
    goal: float
    note: str


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address and its process."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@contextmanager
def ours(folder: Path) -> Iterator[Served]:
    """Our server with the sample market, answering by rules: nothing is trained meanwhile."""
    config = folder.parent / "config.yaml"
    config.write_text("models: {train: false}\n", "utf-8")
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


async def side_by_side(what: str, goal: float, mine: tuple[Served, Ask], bare: tuple[Served, Ask]) -> Row:
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
            ratios.append((costs[0][0] / max(costs[1][0], 1 / TICKS_PER_SECOND), costs[0][1] / costs[1][1]))
            per_request.append(costs[1][0] / REQUESTS * 1e6)
    cpu_ratio, wall_ratio = (statistics.median(one[i] for one in ratios) for i in (0, 1))
    return Row(what, cpu_ratio, wall_ratio, goal, f"bare: {statistics.median(per_request):.0f} us CPU a request")


async def doors(mine: Served, bare: Served) -> list[Row]:
    """HTTP and MCP answers beside no-ops of the same size."""
    rows = []
    body = b'{"symbol": "SIMBTC"}'
    async with httpx.AsyncClient() as client:

        def post(server: Served, tool: str) -> Ask:
            return lambda: client.post(f"{server.url}/v1/tools/{tool}", content=body)

        for tool in ("get_market_regime", "forecast_volatility"):
            what = f"HTTP {tool} / FastAPI no-op"
            rows.append(await side_by_side(what, 1.4, (mine, post(mine, tool)), (bare, post(bare, "answer"))))
    async with Client(f"{mine.url}/mcp") as us, Client(f"{bare.url}/mcp") as them:

        def call(client: Client, tool: str) -> Ask:
            return lambda: client.call_tool(tool, {"symbol": "SIMBTC"})

        what = "MCP get_market_regime / MCPServer no-op"
        rows.append(await side_by_side(what, 1.5, (mine, call(us, "get_market_regime")), (bare, call(them, "answer"))))
    return rows


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


async def stdio_starts(folder: Path) -> list[Row]:
    """`barograph stdio` beside a running owner, and a bare MCPServer."""
    times: list[tuple[float, float]] = []
    memory: list[float] = []
    for _ in range(STARTS):
        mine, mine_mb = await started(["barograph", "stdio", "--data", str(folder)])
        bare, bare_mb = await started(["benchmarks.bare", "stdio"])
        times.append((mine, bare))
        memory.append(mine_mb / bare_mb if bare_mb else 0.0)
    wall = statistics.median(mine / bare for mine, bare in times)
    note = f"bare: {statistics.median(bare for _, bare in times):.2f} s"
    return [
        Row("stdio start to tools/list / bare MCPServer", None, wall, 1.25, note),
        Row("stdio peak memory / bare MCPServer", None, statistics.median(memory), 1.5, ""),
    ]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table; a missed goal says so."""
    lines = ["| what | CPU | wall | goal | |", "|---|---|---|---|---|"]
    for row in rows:
        judged = row.wall if row.cpu is None else row.cpu
        cpu = "" if row.cpu is None else f"{row.cpu:.2f}"
        missed = "" if judged <= row.goal else " **missed**"
        lines.append(f"| {row.what} | {cpu} | {row.wall:.2f} | {row.goal:.2f}{missed} | {row.note} |")
    return "\n".join(lines)


async def served() -> list[Row]:
    """What is measured on running servers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        with ours(folder) as mine, theirs() as bare:
            rows = await doors(mine, bare)
            rows += await stdio_starts(folder)
    return rows


def main() -> None:
    """Runs all and prints the table."""
    rows = asyncio.run(served())
    rows += [Row(*one) for one in freshness.rows()]
    print(table(rows))


if __name__ == "__main__":
    main()
