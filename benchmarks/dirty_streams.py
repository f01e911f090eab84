"""Whatever comes in afterwards, in whatever order: what every capability answered stays, bit for bit.

    python -m benchmarks.dirty_streams [--streams 2000] [--seed 0]

A stream is bars after the known history of one symbol that come late, twice, revised, with holes and out of order, with
questions in between. Streams share a house, so many at a time, and with it the cost of its disk. When all is in, every
question is asked again as of its instant, along a replay that remembers nothing, in a house that was opened anew.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from commands.config import Config, Ledger, Models
from market.bar_table import checked
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from server import House, build
from tools.ask import Ask
from tools.chain import at_once
from tools.clock import replayed_time
from tools.memo import Memo
from tools.reply import moment

NOW = 1_704_067_200_000
HOURS = 110 * 24
#: Bars that a stream is about, and how often something comes.
COMING, STEPS = 24, 12


#: Streams that share a house.
TOGETHER = 32


@dataclass(frozen=True)
class Asked:
    """All answers of some streams, by symbol, as of an instant, ms."""

    as_of: int
    said: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Stream:
    """One symbol, its true bars, and the chance that spoils them."""

    symbol: str
    bars: Bars
    chance: np.random.Generator

    @staticmethod
    def of(seed: int) -> Stream:
        symbol = f"S{seed}"
        return Stream(symbol, _bars(symbol, seed), np.random.default_rng(seed))


def main() -> None:
    """Exit 1 where an answer has changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    asked, changed, begun = 0, 0, time.perf_counter()
    every = range(wanted.seed, wanted.seed + wanted.streams)
    for first in every[::TOGETHER]:
        live, again = asyncio.run(streams(every[first - every[0] :][:TOGETHER]))
        for one, other in zip(live, again, strict=True):
            asked += sum(len(said) for said in one.said.values())
            for symbol in sorted(symbol for symbol, said in one.said.items() if other.said.get(symbol) != said):
                changed += 1
                print(f"{symbol}: an answer as of {one.as_of} has changed", flush=True)
    what = f"{wanted.streams} dirty streams, {asked} answers of {len(CATALOGUE)} capabilities"
    print(f"{what}: {changed} changed; {time.perf_counter() - begun:.0f} s")
    sys.exit(1 if changed else 0)


async def streams(seeds: Sequence[int]) -> tuple[Sequence[Asked], Sequence[Asked]]:
    """What was answered while these streams came in, and what is answered on the same questions when all is in."""
    chance, every = np.random.default_rng(seeds[0]), [Stream.of(seed) for seed in seeds]
    clock = [NOW]
    with tempfile.TemporaryDirectory() as folder, _opened(Path(folder), clock) as house:
        before = [checked(one.bars.between(0, HOURS), "files") for one in every]
        house.history.append(before, received_at=NOW, live=False)
        live: list[Asked] = []
        for step in range(STEPS):
            clock[0] += int(chance.integers(1, 3 * HOUR_MS))
            curious = [one.symbol for one in every if step and one.chance.random() < 0.4]
            if curious:
                live.append(await _ask(house.ask, curious, clock[0]))
            come = [checked(table, "files") for one in every for table in _arrivals(one.chance, one.bars, clock[0])]
            house.history.append(come, received_at=clock[0], live=True)
        live.append(await _ask(house.ask, [one.symbol for one in every], clock[0]))
        house.close()
        with _opened(Path(folder), clock) as again:
            replaying = replace(again.ask, now=replayed_time, run=at_once(), memo=Memo(1))
            return live, [await _ask(replaying, list(one.said), one.as_of) for one in live]


@contextmanager
def _opened(folder: Path, clock: list[int]) -> Iterator[House]:
    house = build(Config(ledger=Ledger(flush_ms=1), models=Models(train=False)), folder, lambda: clock[0])
    try:
        yield house
    finally:
        house.close()


async def _ask(ask: Ask, symbols: Sequence[str], as_of: int) -> Asked:
    said: dict[str, list[str]] = {symbol: [] for symbol in symbols}
    for capability in CATALOGUE:
        questions = [capability.question(symbol=symbol, as_of=moment(as_of)) for symbol in symbols]
        for symbol, reply in zip(symbols, await ask.many(capability, questions, "proof"), strict=True):
            answer = reply.answer.model_dump_json() if reply.answer else str(reply.abstained)
            said[symbol].append(f"{reply.prediction_id} {reply.data_through} {answer}")
    return Asked(as_of, {symbol: tuple(lines) for symbol, lines in said.items()})


def _arrivals(chance: np.random.Generator, bars: Bars, now: int) -> Sequence[Bars]:
    """Some of the bars that had closed by now: mostly new, some late, some twice, some with other numbers."""
    closed = int(np.searchsorted(bars.close_at, now, side="right"))
    first = max(closed - int(chance.integers(1, COMING)), HOURS - 48)
    every = np.arange(first, closed)
    kept = every[chance.random(len(every)) < 0.6]
    if not len(kept):
        return []
    scale = np.where(chance.random(len(kept)) < 0.2, 1.0 + 0.01 * chance.standard_normal(len(kept)), 1.0)
    opened, high, low, close = (one[kept] * scale for one in (bars.open, bars.high, bars.low, bars.close))
    some = Bars(bars.symbol, bars.timeframe, bars.open_at[kept], opened, high, low, close, bars.volume[kept])
    cut = int(chance.integers(0, len(kept) + 1))
    parts = [some.between(cut, len(kept)), some.between(0, cut)]
    return [one for one in parts if len(one)]


def _bars(symbol: str, seed: int) -> Bars:
    n = HOURS + STEPS * 3 + COMING
    bars = bars_for_laws(np.random.default_rng(seed), Timeframe.H1, n, symbol)
    moved = NOW - HOURS * HOUR_MS - int(bars.open_at[0])
    prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(symbol, Timeframe.H1, bars.open_at + moved, *prices)


if __name__ == "__main__":
    main()
