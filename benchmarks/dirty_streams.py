"""Whatever comes in afterwards, in whatever order: what every capability answered stays, bit for bit.

    python -m benchmarks.dirty_streams [--streams 1000] [--seed 0]

A stream is bars after the known history that come late, twice, revised, with holes and out of order, with questions in
between. When all is in, every question is asked again as of its instant, along a replay that remembers nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Asked:
    """All answers of one symbol as of an instant, ms."""

    as_of: int
    said: tuple[str, ...]


def main() -> None:
    """Exit 1 where an answer has changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    asked, changed = 0, 0
    for seed in range(wanted.seed, wanted.seed + wanted.streams):
        one, other = asyncio.run(stream(seed))
        asked += sum(len(some.said) for some in one)
        if one != other:
            changed += 1
            print(f"stream {seed}: an answer has changed")
    what = f"{wanted.streams} dirty streams, {asked} answers of {len(CATALOGUE)} capabilities"
    print(f"{what}: {changed} streams changed one")
    sys.exit(1 if changed else 0)


async def stream(seed: int) -> tuple[Sequence[Asked], Sequence[Asked]]:
    """What was answered while the stream came in, and what is answered on the same questions when all of it is in."""
    chance = np.random.default_rng(seed)
    bars = _bars(seed)
    clock = [NOW]
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False))
    with tempfile.TemporaryDirectory() as folder:
        house = build(config, Path(folder), lambda: clock[0])
        try:
            house.history.append(checked(bars.between(0, HOURS), "files"), received_at=NOW, live=False)
            live: list[Asked] = []
            for step in range(STEPS):
                clock[0] += int(chance.integers(1, 3 * HOUR_MS))
                if step and chance.random() < 0.4:
                    live.append(await _ask(house.ask, clock[0]))
                for table in _arrivals(chance, bars, clock[0]):
                    house.history.append(checked(table, "files"), received_at=clock[0], live=True)
            live.append(await _ask(house.ask, clock[0]))
            replayed = replace(_replaying(house), memo=Memo(1))
            return live, [await _ask(replayed, one.as_of) for one in live]
        finally:
            house.close()


def _replaying(house: House) -> Ask:
    return replace(house.ask, now=replayed_time, run=at_once())


async def _ask(ask: Ask, as_of: int) -> Asked:
    said: list[str] = []
    for capability in CATALOGUE:
        question = capability.question(symbol="AAA", as_of=moment(as_of))
        (reply,) = await ask.many(capability, [question], "proof")
        answer = reply.answer.model_dump_json() if reply.answer else str(reply.abstained)
        said.append(f"{reply.prediction_id} {reply.data_through} {answer}")
    return Asked(as_of, tuple(said))


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


def _bars(seed: int) -> Bars:
    n = HOURS + STEPS * 3 + COMING
    bars = bars_for_laws(np.random.default_rng(seed), Timeframe.H1, n, "AAA")
    moved = NOW - HOURS * HOUR_MS - int(bars.open_at[0])
    prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars("AAA", Timeframe.H1, bars.open_at + moved, *prices)


if __name__ == "__main__":
    main()
