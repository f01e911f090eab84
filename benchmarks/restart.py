"""How long a server that has lived takes to start: many symbols, years of bars, a ledger of many settled answers.

python -m benchmarks.restart [--symbols 50 --years 3 --rows 500000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from sqlalchemy import insert

from benchmarks.speed import Served
from commands.config import Config, Models
from market.bar_table import checked
from ml.bars import HOUR_MS, WEEK_MS, Bars, Timeframe
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from registry.entry import Entry, keep_names
from registry.judging import REPLAY
from registry.tables import outcomes, predictions
from server import House, build

STARTS, GROUP, WEEKS = 3, 5_000, 150
#: The goal, in seconds: from the start of the process until its first answer is there.
GOAL_SECONDS = 3.0
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")

T = TypeVar("T")


def lived(folder: Path, symbols: int, years: int, rows: int) -> None:
    """A data folder as a server leaves it that has answered `rows` times, all of it settled and counted."""
    now = int(time.time()) // 3_600 * HOUR_MS
    house = build(Config(models=Models(train=False)), folder, lambda: now)
    try:
        names = [f"S{i:03d}" for i in range(symbols)]
        model = bars_for_laws(np.random.default_rng(1), Timeframe.H1, years * 365 * 24)
        columns = (model.open, model.high, model.low, model.close, model.volume)
        opens = model.open_at + (now - int(model.close_at[-1]))
        tables = [checked(Bars(name, Timeframe.H1, opens, *columns), "files") for name in names]
        timed("bars written", lambda: house.history.append(tables, received_at=now, live=False))
        templates = asyncio.run(_templates(house, names, now))
        timed(f"{rows:,} answers written", lambda: _fill(house, templates, rows, now))
        timed("all of them counted, as after an upgrade", lambda: house.settle.settle(now))
        size = sum(path.stat().st_size for path in folder.glob("state.sqlite*"))
        counted = house.settle.record.standing("volatility", 0)
        print(f"state {size / 1e6:,.0f} MB; {counted.n_replayed + counted.n_live:,} answers in the record", flush=True)
    finally:
        house.close()


async def _templates(house: House, names: list[str], now: int) -> list[Entry]:
    questions = [VOLATILITY.question(symbol=name) for name in names]
    replies = await house.ask.many(VOLATILITY, questions, REPLAY)
    house.ledger.flush_now()
    found = [house.ledger.find(one.prediction_id) for one in replies]
    return [replace(one, as_of=now, data_through=now) for one in found if one is not None]


def _fill(house: House, templates: list[Entry], rows: int, now: int) -> None:
    made = _made(templates, rows)
    while group := [one for _, one in zip(range(GROUP), made, strict=False)]:
        truths = [
            {"tenant": "local", "prediction_id": one.prediction_id, "truth": "0.0004", "loss": 0.1, "settled_at": now}
            for one in group
        ]
        with house.store.write() as connection:
            keep_names(connection, "local", group)
            connection.execute(insert(predictions), [one.row("local") for one in group])
            connection.execute(insert(outcomes), truths)
    with house.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM record_forms")
    house.settle.record.forget()


def _made(templates: list[Entry], rows: int) -> Iterator[Entry]:
    """The same answers, hour by hour further back."""
    for i in range(rows):
        hours, which = divmod(i, len(templates))
        back = (1 + hours) * HOUR_MS % (WEEKS * WEEK_MS)
        one = templates[which]
        yield replace(one, prediction_id=f"{i:032x}", as_of=one.as_of - back, data_through=one.data_through - back)


def started(folder: Path) -> tuple[float, float, float, int]:
    """Seconds from the start of a server to its open doors, and those of the CPU; seconds to its first answer, and how
    many answers the record in that one counts."""
    config = folder.parent / "config.yaml"
    config.write_text("models: {train: false, replay_past_days: 0}\n", "utf-8")
    options = ["--port", "0", "--json", "--config", str(config), "--data", str(folder)]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "barograph", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        ready = time.perf_counter() - begun
        cpu = Served(told["url"], process.pid).cpu_seconds()
        body = {"symbol": "S000", "detail": "full"}
        reply = httpx.post(f"{told['url']}/v1/tools/forecast_volatility", json=body, trust_env=False, timeout=60)
        answered = time.perf_counter() - begun
        process.terminate()
    record = reply.json()["track_record"]
    return ready, cpu, answered, record["n_live"] + record["n_replayed"]


def imported() -> tuple[float, float]:
    """Seconds of a start that only read code are, and those of the CPU: no folder, no doors."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", "import gc; gc.disable(); import commands.main, commands.running"], check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, cpu


def timed(what: str, do: Callable[[], T]) -> T:
    """Does it, and prints what it took."""
    begun = time.perf_counter()
    done = do()
    print(f"{what}: {time.perf_counter() - begun:.1f} s", flush=True)
    return done


def main(arguments: list[str]) -> int:
    """Prints each start, and fails where the median misses the goal."""
    parser = argparse.ArgumentParser(prog="restart")
    for name, default in (("symbols", 50), ("years", 3), ("rows", 500_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        lived(folder, asked.symbols, asked.years, asked.rows)
        times = []
        for _ in range(STARTS):
            wall, code = imported()
            ready, cpu, answered, n = started(folder)
            times.append(answered)
            print(f"ready after {ready:.2f} s ({cpu:.2f} s CPU), first answer after {answered:.2f} s", end="; ")
            print(f"of that imports {wall:.2f} s ({code:.2f} s CPU); its record counts {n:,}", flush=True)
    middle = statistics.median(times)
    print(f"{'met' if middle <= GOAL_SECONDS else 'MISSED'}: {middle:.2f} s, the goal is {GOAL_SECONDS:.1f} s")
    return 0 if middle <= GOAL_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
