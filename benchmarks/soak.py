"""The soak: a server as a process, asked over HTTP and MCP at a steady pace, while an exchange that misbehaves feeds
it, and models are trained, promoted and taken back. Its clock goes 60 times as fast as ours.

    python -m benchmarks.soak [--minutes 30] [--per-second 300] [--over 5]

It fails (exit 1) on an answer that is an error, on two answers to one question that differ though the same version gave
them on the same data, on a version that answers when it is not in force or does not when it is, on memory that grows by
more than 5% once the server is warm, on a load that was not reached, and where the server, at `--over` times the load,
sheds nothing or says anything but an answer, or 429 or 503 with Retry-After.
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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.soak_load import OK, SHED, SYMBOLS, TOOLS, Answered, Seen, load
from benchmarks.soak_memory import Grown, grown, watched
from benchmarks.soak_server import HURRY, hurried
from benchmarks.speed import Served
from benchmarks.wire import Wire, post
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.checks import bars_for_laws
from tests.loopback_exchange import LoopbackExchange, Trouble

CONNECTIONS, FLOOD_CONNECTIONS = 32, 96
OVERLOAD_SECONDS = 20.0
#: Of the load, so much must have been reached for the rest to mean anything.
LEAST_REACHED = 0.95
MOST_GROWN = 0.05
#: When models are trained, and how long they stay: one while the server warms up, one when it must be flat.
TURNS = ((0.05, 0.15), (0.55, 0.15))
#: So few answers are remembered that their memory is full once the server is warm: what fills is no leak, and hides
#: one.
REMEMBERED = 128
#: From the word of a promotion until every answer heeds it.
IN_FORCE_SECONDS = 2.5


@dataclass
class Life:
    """A running server, and what it said when (seconds, by our clock)."""

    process: asyncio.subprocess.Process
    port: int
    said: list[tuple[float, str]] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        return Served("", self.process.pid).cpu_seconds()

    async def listen(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self.said.append((time.perf_counter(), line.decode().strip()))


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
        begun = time.time_ns() // 1_000_000
        exchange = _exchange(begun)
        async with exchange.serving(), _served(Path(folder), exchange.url, begun, seconds, per_second) as life:
            trouble = asyncio.create_task(_trouble(exchange))
            memory = list[float]()
            watching = asyncio.create_task(watched(life.process.pid, memory))
            assert life.process.stdin is not None
            life.process.stdin.write(b"go\n")
            cpu, ours = life.cpu_seconds(), time.process_time()
            seen = await load(life.port, per_second, seconds, min(CONNECTIONS, per_second))
            cpu, ours = life.cpu_seconds() - cpu, time.process_time() - ours
            watching.cancel()
            flooded = min(OVERLOAD_SECONDS, seconds)
            flood = await load(life.port, per_second * over, flooded, FLOOD_CONNECTIONS)
            trouble.cancel()
            life.process.terminate()
            ended = await life.process.wait()
    size = grown(memory)
    reached = len(seen.took) / seconds
    versions = Counter(one.by for one in seen.answered)
    print(f"{len(seen.took)} answers in {seconds:.0f} s, {reached:.0f} a second ({per_second} wanted)")
    print(f"CPU a second: server {cpu / seconds:.2f} s, callers and exchange {ours / seconds:.2f} s")
    print(f"{_quantiles(seen.took)}; statuses {dict(seen.statuses)}; passed over {dict(seen.passed_over)}")
    print(f"versions {dict(versions)}; exchange asked {len(exchange.asked)} times")
    print("; ".join(word for _, word in life.said))
    print(_memory(memory, size))
    print(f"{over}x: {len(flood.took) / flooded:.0f} a second, {_quantiles(flood.took)}; {dict(flood.statuses)}")
    wrong = [*_heard_wrong(seen, reached / per_second), *_shed_wrong(flood), *promised(life.said, seen.answered)]
    wrong += [] if size.by <= MOST_GROWN else [f"memory grew by {size.by:.1%}"]
    wrong += [] if ended == 0 else [f"the server ended with {ended}"]
    print("\n".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


def promised(said: Sequence[tuple[float, str]], answered: Sequence[Answered]) -> list[str]:
    """What is wrong with who answered: between `promoted NAME@N` and `rolled back NAME@N` NAME@N answers, unless it is
    passed over, and before and after it does not. `said` has all that was done, in order."""
    found: list[str] = []
    begun: dict[str, float] = {}
    for at, line in said:
        word, _, version = line.rpartition(" ")
        name = version.partition("@")[0]
        if word == "promoted":
            begun[version] = at
        if word != "rolled back":
            continue
        since = begun[version] + IN_FORCE_SECONDS
        mine = [one for one in answered if one.by.partition("@")[0] == name]
        inside = [one for one in mine if one.asked_at > since and one.heard_at < at]
        others = [one for one in inside if one.by != version and not one.passed_over]
        found += [f"{version} was promoted, and {others[0].by} answered {len(others)} times"] if others else []
        if not any(one.by == version for one in inside):
            found.append(f"{version} was promoted for {at - begun[version]:.0f} s, and never answered")
        outside = [one for one in mine if one.by == version and one.heard_at < begun[version]]
        late = [one for one in mine if one.by == version and one.asked_at > at + IN_FORCE_SECONDS]
        found += [f"{version} answered {len(outside)} times before it was promoted"] if outside else []
        found += [f"{version} answered {len(late)} times after it was rolled back"] if late else []
    return found + [line for _, line in said if line.startswith("FAILED")] + ([] if begun else ["nothing was promoted"])


def _heard_wrong(seen: Seen, share: float) -> list[str]:
    found = [f"{what} ({n} times)" for what, n in seen.wrong.items()]
    found += [f"status {status} ({n} times)" for status, n in seen.statuses.items() if status != OK]
    return found + ([] if share >= LEAST_REACHED else [f"only {share:.0%} of the load was reached"])


def _shed_wrong(flood: Seen) -> list[str]:
    found = [f"under overload: {what} ({n} times)" for what, n in flood.wrong.items()]
    found += [f"under overload: status {status}" for status in flood.statuses if status not in (OK, *SHED)]
    return found + ([] if any(flood.statuses[one] for one in SHED) else ["under overload: nothing was shed"])


def _memory(samples: Sequence[float], size: Grown) -> str:
    begin, warm, end = (one / 1e6 for one in (samples[0], size.warm_bytes, size.end_bytes))
    line = f"a line through it {size.per_hour:+.1%} an hour"
    course = " ".join(f"{one / 1e6:.0f}" for one in samples[:: max(len(samples) // 20, 1)])
    sizes = f"memory at first {begin:.0f} MB, warm {warm:.0f}, at the end {end:.0f}: {size.by:+.1%}"
    return f"memory in MB {course}\n{sizes}; {line}"


def _quantiles(took: Sequence[float]) -> str:
    if not took:
        return "no answers"
    p50, p99, most = (1_000 * float(one) for one in np.quantile(took, [0.5, 0.99, 1.0]))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.0f} ms"


@asynccontextmanager
async def _served(folder: Path, exchange: str, begun: int, seconds: float, per_second: int) -> AsyncIterator[Life]:
    """The server, once it answers about what the exchange feeds."""
    config = folder / "config.yaml"
    symbols = {"LOOPA": "BTC/USDT:USDT", "LOOPB": "ETH/USDT:USDT"}
    fed = {"name": "binanceusdm", "symbols": symbols, "history_days": 110, "base_url": exchange, "every_seconds": 1}
    settings = {
        "market": {"sample": True},
        "models": {"train": False, "replay_past_days": 1},
        "answers": {"remembered": REMEMBERED},
        # For each tool: twice its share of the load in a second of ours.
        "limits": {"without_key": f"{max(2 * per_second // len(TOOLS), 1)}/{HURRY} second"},
        "feeds": {"exchanges": [fed]},
    }
    config.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
    turns = [str(share * seconds) for turn in TURNS for share in turn]
    words = [sys.executable, "-m", "benchmarks.soak_server", str(folder / "data"), str(config), "0", str(begun), *turns]
    process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    life = Life(process, urlsplit(url).port or 0)
    listening = asyncio.create_task(life.listen(process.stdout))
    try:
        for symbol in SYMBOLS:
            await _fed(life.port, symbol)
        yield life
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


async def _fed(port: int, symbol: str) -> None:
    """Waits until there are bars of it."""
    wire, asked = Wire(port), post(f"/v1/tools/{TOOLS[0]}", {"symbol": symbol})
    try:
        for _ in range(600):
            if (await wire.ask(asked)).status == OK:
                return
            await asyncio.sleep(0.2)
    finally:
        wire.close()
    raise SystemExit(f"nothing of {symbol} came from the exchange")


async def _trouble(exchange: LoopbackExchange) -> None:
    """Something else goes wrong with one of two answers."""
    chance = random.Random(1)  # noqa: S311 - which question comes next
    troubles = [one for one in Trouble if one not in (Trouble.SILENCE, Trouble.NONE)]
    while True:
        await asyncio.sleep(0.5)
        exchange.misbehaves(chance.choice(troubles), Trouble.NONE)


def _exchange(begun: int) -> LoopbackExchange:
    """Two symbols with 110 days of bars, that go on for as long as anybody listens."""
    exchange = LoopbackExchange(now=hurried(begun))
    before, n = 110 * 24, 110 * 24 + 96
    for i, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        bars = bars_for_laws(np.random.default_rng(i), Timeframe.H1, n, symbol)
        opens = (begun // HOUR_MS + np.arange(n) - before) * HOUR_MS
        exchange.plays(
            symbol, Bars(symbol, Timeframe.H1, opens, bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
    return exchange


if __name__ == "__main__":
    main()
