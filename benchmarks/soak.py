"""The soak: a server as a process, asked over HTTP and MCP at a steady pace, while an exchange that misbehaves feeds
it, a model is trained, promoted and taken back.

    python -m benchmarks.soak [--minutes 30] [--per-second 300] [--over 5]

It fails (exit 1) on an answer that is an error, on two answers to one question that differ though the same version gave
them on the same data, on memory that grows by more than 5%, and where the server, at `--over` times the load, says
anything but an answer, or 429 or 503 with Retry-After.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from ml.bars import DAY_MS, Bars, Timeframe
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from tests.loopback_exchange import LoopbackExchange, Trouble

TOOLS = tuple(one.tool for one in CATALOGUE)
SYMBOLS = ("SIMBTC", "SIMETH", "LOOPA", "LOOPB")
#: Of so many questions one goes through MCP.
MCP_EVERY = 10
CONNECTIONS = 32
OVERLOAD_SECONDS = 20.0


@dataclass
class Seen:
    """What was heard: seconds an answer took, statuses, answers by what they hang on, and what was wrong."""

    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[tuple[str, ...], str] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def reply(self, tool: str, symbol: str, reply: dict[str, Any]) -> None:
        """One answer. The same version on the same data says the same."""
        self.versions[reply["answered_by"]] += 1
        self.passed_over.update(reply.get("passed_over") or ())
        key = (tool, symbol, reply["answered_by"], str(reply.get("data_through")), str(reply.get("passed_over")))
        said = json.dumps([reply.get("answer"), reply["prediction_id"]], sort_keys=True)
        if self.answers.setdefault(key, said) != said:
            self.wrong.append(f"two answers for {key}")


def main() -> None:
    """Runs it and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--per-second", type=int, default=300)
    parser.add_argument("--over", type=int, default=5)
    asked = parser.parse_args()
    sys.exit(asyncio.run(soak(asked.minutes * 60, asked.per_second, asked.over)))


async def soak(seconds: float, per_second: int, over: int) -> int:
    """0 where all went well."""
    with tempfile.TemporaryDirectory() as folder:
        exchange = _exchange()
        async with exchange.serving(), _served(Path(folder), exchange.url, seconds, per_second) as (url, process, said):
            trouble = asyncio.create_task(_trouble(exchange))
            seen, memory = Seen(), list[float]()
            watching = asyncio.create_task(_memory(process.pid, memory))
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            await _load(url, seen, per_second, seconds)
            watching.cancel()
            calm = _rate(seen.took, seconds)
            flood = Seen()
            await _load(url, flood, per_second * over, min(OVERLOAD_SECONDS, seconds))
            trouble.cancel()
            process.terminate()
            ended = await process.wait()
    third = max(len(memory) // 3, 1)
    grown = float(np.median(memory[-third:]) / np.median(memory[third : 2 * third] or memory)) - 1.0
    print(f"{len(seen.took)} answers in {seconds:.0f} s, {calm:.0f} a second ({per_second} wanted)")
    p50, p99 = _quantile(seen.took, 0.5), _quantile(seen.took, 0.99)
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; statuses {dict(seen.statuses)}; passed over {dict(seen.passed_over)}")
    print(f"versions {dict(seen.versions)}; turns {said}; exchange asked {len(exchange.asked)} times")
    print(f"memory {memory[0] / 1e6:.0f} -> {memory[-1] / 1e6:.0f} MB; last third against the one before: {grown:+.1%}")
    print(f"{over}x: {_rate(flood.took, min(OVERLOAD_SECONDS, seconds)):.0f} a second, statuses {dict(flood.statuses)}")
    wrong = [*seen.wrong, *flood.wrong]
    wrong += [f"status {status}" for status in seen.statuses if status != httpx.codes.OK]
    wrong += [f"under {over}x: status {status}" for status in flood.statuses if status not in (200, 429, 503)]
    wrong += [] if grown <= 0.05 else [f"memory grew by {grown:.1%}"]
    wrong += [] if ended == 0 else [f"the server ended with {ended}"]
    print("\n".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


async def _load(url: str, seen: Seen, per_second: int, seconds: float) -> None:
    """Asks at this pace for so long; where answers come too slowly, at the pace of the connections."""
    until, pace = time.perf_counter() + seconds, CONNECTIONS / per_second
    limits = httpx.Limits(max_connections=CONNECTIONS + 4, keepalive_expiry=2.0)  # the server waits for 5 s
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30, limits=limits) as http:
        session = await _session(http)
        await asyncio.gather(*(_line(http, session, seen, n, pace, until) for n in range(CONNECTIONS)))


async def _line(
    http: httpx.AsyncClient, session: dict[str, str], seen: Seen, n: int, pace: float, until: float
) -> None:
    due = time.perf_counter() + pace * n / CONNECTIONS
    chance = random.Random(n)  # noqa: S311 - which question comes next
    while due < until:
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        due = max(due + pace, time.perf_counter() - pace)
        tool, symbol = chance.choice(TOOLS), chance.choice(SYMBOLS)
        began = time.perf_counter()
        try:
            if chance.randrange(MCP_EVERY):
                response = await http.post(f"/v1/tools/{tool}", json={"symbol": symbol})
                reply = response.json() if response.status_code == httpx.codes.OK else None
            else:
                response, reply = await _through_mcp(http, session, tool, symbol)
        except httpx.HTTPError as error:
            seen.wrong.append(type(error).__name__)
            continue
        seen.took.append(time.perf_counter() - began)
        seen.statuses[response.status_code] += 1
        if response.status_code in (429, 503) and "retry-after" not in response.headers:
            seen.wrong.append(f"{response.status_code} without Retry-After")
        if reply is not None:
            seen.reply(tool, symbol, reply)


async def _session(http: httpx.AsyncClient) -> dict[str, str]:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
    reply = await _rpc(http, {}, "initialize", hello)
    return {"Mcp-Session-Id": reply.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}


async def _through_mcp(
    http: httpx.AsyncClient, session: dict[str, str], tool: str, symbol: str
) -> tuple[httpx.Response, dict[str, Any] | None]:
    response = await _rpc(http, session, "tools/call", {"name": tool, "arguments": {"symbol": symbol}})
    if response.status_code != httpx.codes.OK:
        return response, None
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    told = json.loads(lines[-1] if lines else response.text)
    if "result" not in told:
        response.status_code = 500
        return response, None
    result = told["result"]
    if result.get("isError"):
        code = result["_meta"]["barograph/error"]["code"]
        response.status_code = 429 if code == "rate_limited" else 503 if code == "overloaded" else 500
        response.headers["retry-after"] = "1"  # MCP has no such header: it stands in the error
        return response, None
    return response, result["structuredContent"]


async def _rpc(http: httpx.AsyncClient, session: dict[str, str], method: str, params: dict[str, Any]) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": random.getrandbits(40), "method": method, "params": params}
    accept = {"Accept": "application/json, text/event-stream"}
    return await http.post("/mcp", json=body, headers={**session, **accept})


@asynccontextmanager
async def _served(
    folder: Path, exchange: str, seconds: float, per_second: int
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process, list[str]]]:
    """The server, once it answers about what the exchange feeds; what it says of its turns comes after."""
    config = folder / "config.yaml"
    symbols = {"LOOPA": "BTC/USDT:USDT", "LOOPB": "ETH/USDT:USDT"}
    fed = {"name": "binanceusdm", "symbols": symbols, "history_days": 110, "base_url": exchange, "every_seconds": 1}
    settings = {
        "market": {"sample": True},
        "models": {"train": False, "replay_past_days": 1},
        "limits": {"without_key": f"{2 * per_second}/second"},
        "feeds": {"exchanges": [fed]},
    }
    config.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
    turns = [str(share * seconds) for share in (0.2, 0.5, 0.8)]
    words = [sys.executable, "-m", "benchmarks.soak_server", str(folder / "data"), str(config), "0", *turns]
    process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said: list[str] = []
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    listening = asyncio.create_task(_listen(process.stdout, said))
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
            for symbol in SYMBOLS:
                await _fed(http, symbol)
        yield url, process, said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


async def _fed(http: httpx.AsyncClient, symbol: str) -> None:
    """Waits until there are bars of it."""
    for _ in range(600):
        if (await http.post(f"/v1/tools/{TOOLS[0]}", json={"symbol": symbol})).status_code == httpx.codes.OK:
            return
        await asyncio.sleep(0.2)
    raise SystemExit(f"nothing of {symbol} came from the exchange")


async def _listen(lines: asyncio.StreamReader, said: list[str]) -> None:
    said += [line.decode().strip() async for line in lines]


async def _memory(pid: int, found: list[float]) -> None:
    """Bytes that the process holds, every second, once it has warmed up."""
    while True:
        await asyncio.sleep(1.0)
        found.append(_resident(pid))


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * 4_096.0


async def _trouble(exchange: LoopbackExchange) -> None:
    """Something else goes wrong with one of two answers."""
    chance = random.Random(1)  # noqa: S311
    troubles = [one for one in Trouble if one not in (Trouble.SILENCE, Trouble.NONE)]
    while True:
        await asyncio.sleep(0.5)
        exchange.misbehaves(chance.choice(troubles), Trouble.NONE)


def _exchange() -> LoopbackExchange:
    exchange = LoopbackExchange(now=lambda: time.time_ns() // 1_000_000)
    hour = 3_600_000
    n, end = 110 * 24 + 48, (exchange.now() // hour + 24) * hour
    for i, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        bars = bars_for_laws(np.random.default_rng(i), Timeframe.H1, n, symbol)
        opens = end - np.arange(n, 0, -1) * hour
        exchange.plays(
            symbol, Bars(symbol, Timeframe.H1, opens, bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
    assert n * hour > 110 * DAY_MS
    return exchange


def _rate(took: list[float], seconds: float) -> float:
    return len(took) / seconds


def _quantile(took: list[float], q: float) -> float:
    return 1_000 * float(np.quantile(took, q)) if took else float("nan")


if __name__ == "__main__":
    main()
