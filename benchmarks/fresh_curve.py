"""How long until a bar is in the answers of every capability, for more and more symbols; what callers feel meanwhile;
and how long a restart takes.

    python -m benchmarks.fresh_curve [--symbols 1 50 500 5000] [--hours 2400]

A bar arrives for all symbols at once. `fresh` is the time from then until all capabilities have answered on all of them
and `bar.closed` is told; a caller asks about them in turn meanwhile, over HTTP, and `p99` is of those answers. Wall
times are of this machine as busy as it is: CPU seconds stand beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from commands.config import Config, Ledger, Models
from market.bar_table import checked
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from server import House, app, build

NOW = 1_704_067_200_000
#: A caller asks this often.
ASK_EVERY_SECONDS = 0.01


@dataclass(frozen=True)
class Fresh:
    """One point of the curve, seconds and ms."""

    symbols: int
    append_seconds: float
    fresh_seconds: float
    cpu_seconds: float
    quiet_p99_ms: float
    p99_ms: float
    restart_seconds: float


def main() -> None:
    """Prints the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, nargs="+", default=[1, 50, 500, 5_000])
    parser.add_argument("--hours", type=int, default=2_400)
    asked = parser.parse_args()
    print(f"capabilities: {', '.join(one.name for one in CATALOGUE)}; {asked.hours} hourly bars each")
    print("| symbols | taken in, s | in all answers, s | CPU, s | p99 quiet, ms | p99 meanwhile, ms | restart, s |")
    print("|---|---|---|---|---|---|---|")
    for n in asked.symbols:
        one = asyncio.run(measured(n, asked.hours))
        print(
            f"| {one.symbols} | {one.append_seconds:.2f} | {one.fresh_seconds:.2f} | {one.cpu_seconds:.2f} "
            f"| {one.quiet_p99_ms:.1f} | {one.p99_ms:.1f} | {one.restart_seconds:.2f} |",
            flush=True,
        )


async def measured(n: int, hours: int) -> Fresh:
    """One point: `n` symbols with `hours` bars each."""
    model = bars_for_laws(np.random.default_rng(1), Timeframe.H1, hours + 2)
    series = [_moved(model, f"S{i:04d}", hours) for i in range(n)]
    config = Config(ledger=Ledger(capacity=1_000_000), models=Models(train=False))
    with tempfile.TemporaryDirectory() as folder:
        clock = [NOW]
        house = build(config, Path(folder), lambda: clock[0])
        history = [checked(one.between(0, hours), "files") for one in series]
        house.history.append(history, received_at=NOW, live=False)
        with house.watch._adding:  # what was there before is not what is measured
            house.watch._waiting.clear()
        async with _caller(house) as http:
            quiet = await _asks(http, n, 200)
            clock[0] = NOW + HOUR_MS + 500
            tables = [checked(one.between(hours, hours + 1), "files") for one in series]
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.to_thread(house.history.append, tables, received_at=clock[0], live=True)
            appended = time.perf_counter() - began
            watching = asyncio.create_task(house.watch.once())
            felt = await _asks(http, n, None, until=watching)
            fresh, spent = time.perf_counter() - began, time.process_time() - cpu
            assert await watching == n
        house.close()
        again = time.perf_counter()
        build(config, Path(folder), lambda: clock[0]).close()
        restart = time.perf_counter() - again
    return Fresh(n, appended, fresh, spent, _p99(quiet), _p99(felt), restart)


async def _asks(
    http: httpx.AsyncClient, n: int, times: int | None, until: asyncio.Task[int] | None = None
) -> list[float]:
    """Seconds that each answer took, of symbol after symbol; `times`, or until a task has ended."""
    took: list[float] = []
    while (times is None or len(took) < times) and not (until and until.done()):
        began = time.perf_counter()
        reply = await http.post("/v1/tools/get_market_regime", json={"symbol": f"S{len(took) * 7 % n:04d}"})
        took.append(time.perf_counter() - began)
        assert reply.status_code == 200, reply.text
        await asyncio.sleep(ASK_EVERY_SECONDS)
    return took


def _caller(house: House) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app(house)), base_url="http://127.0.0.1")


def _moved(model: Bars, symbol: str, hours: int) -> Bars:
    moved = NOW - hours * HOUR_MS - int(model.open_at[0])
    columns = (model.open, model.high, model.low, model.close, model.volume)
    return Bars(symbol, Timeframe.H1, model.open_at + moved, *columns)


def _p99(took: list[float]) -> float:
    return 1_000 * float(np.quantile(took, 0.99)) if took else float("nan")


if __name__ == "__main__":
    main()
