"""How long until 500 symbols are fresh again after a bar, beside the bare library calls on the same arrays."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.ratio import Ratio
from commands.config import Config, Ledger
from market.bar_table import checked
from ml.bars import HOUR_MS, Bars, Floats, Timeframe
from ml.capability import AnyCapability, Question
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from ml.timeline import StillMarket
from server import House, build

SYMBOLS, HOURS, ROUNDS = 500, 2_400, 3
NOW = 1_704_067_200_000
ASKED = ("regime", "volatility")


def rows() -> list[Ratio]:
    """One row for the table: CPU and wall of taking the bars in and answering, over features and rules alone."""
    model = bars_for_laws(np.random.default_rng(1), Timeframe.H1, HOURS + ROUNDS)
    moved = NOW - HOURS * HOUR_MS - int(model.open_at[0])
    series = [
        Bars(f"S{i:03d}", Timeframe.H1, model.open_at + moved, *(column for column in _columns(model)))
        for i in range(SYMBOLS)
    ]
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        clock = [NOW]
        house = build(Config(ledger=Ledger(capacity=100_000)), Path(folder), lambda: clock[0])
        house.history.append([checked(one.between(0, HOURS), "files") for one in series], received_at=NOW, live=False)
        for round_ in range(ROUNDS):
            clock[0] = NOW + (round_ + 1) * HOUR_MS
            tables = [checked(one.between(HOURS + round_, HOURS + round_ + 1), "files") for one in series]
            started = time.process_time(), time.perf_counter()
            house.history.append(tables, received_at=clock[0], live=True)
            asyncio.run(_ask_all(house))
            ours.append((time.process_time() - started[0], time.perf_counter() - started[1]))
            started = time.process_time(), time.perf_counter()
            _bare(series, HOURS + round_ + 1)
            bare.append((time.process_time() - started[0], time.perf_counter() - started[1]))
        house.close()
    cpu = sorted(mine[0] / theirs[0] for mine, theirs in zip(ours, bare, strict=True))[ROUNDS // 2]
    wall = sorted(mine[1] / theirs[1] for mine, theirs in zip(ours, bare, strict=True))[ROUNDS // 2]
    took, least = (sorted(one[1] for one in some)[ROUNDS // 2] for some in (ours, bare))
    why = f"bare: {least:.2f} s; ours {took:.2f} s: with history, envelopes and the ledger, which keeps every row whole"
    what = f"a bar for {SYMBOLS} symbols until {' and '.join(ASKED)} are answered / features and rules alone"
    return [Ratio(what, cpu, wall, 3.0, why)]


async def _ask_all(house: House) -> None:
    for capability in _asked():
        questions: list[Question] = [capability.question(symbol=f"S{i:03d}") for i in range(SYMBOLS)]
        await house.ask.many(capability, questions, "bench")


def _bare(series: list[Bars], known: int) -> None:
    """What cannot be saved: features and rules of both capabilities, with no history, road, envelope or ledger."""
    market = StillMarket.of(*(one.between(0, known) for one in series))
    for capability in _asked():
        questions: list[Question] = [capability.question(symbol=one.symbol) for one in series]
        as_of = np.array([int(one.close_at[known - 1]) for one in series], dtype=np.int64)
        capability.rules.predict(capability.features.rows(questions, as_of, market))


def _asked() -> list[AnyCapability]:
    return [one for one in CATALOGUE if one.name in ASKED]


def _columns(bars: Bars) -> tuple[Floats, ...]:
    return bars.open, bars.high, bars.low, bars.close, bars.volume
