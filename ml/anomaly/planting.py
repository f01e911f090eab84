"""Anomalies of known kind planted into real bars: what a model learns from, and what all are judged on.

Nobody labels markets bar by bar. So the truth is made: at instants drawn by a seed, a bar is changed as a real anomaly
would change it, in many ways and sizes. A planted move carries the growth of volume that moves of its size have in
nature: else a model learns "a jump without volume", and calls real crashes normal. What is drawn depends on the seed,
the symbol and the time alone, and sizes on the bars before: a longer history plants the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.plants import KINDS, LENGTHS, PLANTERS, SHARES, Field, Plant
from ml.anomaly.windows import WINDOWS
from ml.bars import Bars, Floats, Timeframe
from ml.economic_calendar import EconomicCalendar
from ml.observed import Kind as Observable
from ml.observed import Observed
from ml.timeline import Market, Timeline

#: One plant in so many bars where a model learns: few enough that what is usual stays what it was.
SPACING = 240
#: There plants lie on the clock of the lessons, so that each of them teaches. Every fifth close: all hours of the day
#: have their turn (every fourth would never see the hour in which the news comes).
EVERY_BARS = 5
_DRAWS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Bars with plants in them. `labels` (n,) names the kind at each bar, "" where nothing was planted; `event` (n,)
    numbers the plants, -1 where there is none; `plants` tells each by its number."""

    bars: Bars
    labels: NDArray[np.str_]
    event: NDArray[np.int64]
    plants: tuple[Plant, ...]


@dataclass(frozen=True, slots=True)
class PlantedMarket:
    """A market with plants in all that it feeds, one in `spacing` bars on average. Revisions are left out: its history
    is what is known by now."""

    real: Market
    seed: int
    spacing: int = SPACING
    every_bars: int = EVERY_BARS
    _done: dict[tuple[str, Timeframe], Planted] = field(default_factory=dict, repr=False)

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        found = self.planted(symbol, timeframe)
        return Timeline.of(found.bars, "planted") if found else None

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        return self.real.panel(timeframe)

    def observed(self, kind: Observable, symbol: str) -> Observed | None:
        return self.real.observed(kind, symbol)

    def calendar(self) -> EconomicCalendar:
        return self.real.calendar()

    def planted(self, symbol: str, timeframe: Timeframe) -> Planted | None:
        """What was planted where; None where nobody feeds the series."""
        key = symbol, timeframe
        if key not in self._done:
            timeline = self.real.timeline(symbol, timeframe)
            if timeline is None:
                return None
            self._done[key] = plant(timeline.latest(), self.seed, self.spacing, self.every_bars)
        return self._done[key]


def plant(bars: Bars, seed: int, spacing: int = SPACING, every_bars: int = 1) -> Planted:
    """`bars` with one plant in each stretch of `spacing` bars' time, from where "usual" is known on; at bars that close
    on a clock of `every_bars`, of which `spacing` is a multiple."""
    if timeframe_unknown(bars) or len(bars) < 2:
        return Planted(bars, np.full(len(bars), "", dtype="<U12"), np.full(len(bars), -1), ())
    ground = Field.of(bars)
    plants: list[Plant] = []
    for at, draws in _places(bars, seed, spacing, every_bars):
        if np.isfinite([ground.move[at], ground.wick[at], ground.volume[at]]).all():
            kind = _chosen(draws[0])
            PLANTERS[kind](ground, at, len(plants), draws[1:])
            plants.append(kind)
    event = ground.event[ground.kept]
    names = np.array([*(str(KINDS[one]) for one in plants), ""], dtype="<U12")
    return Planted(ground.harvested(), names[event], event, tuple(plants))


def timeframe_unknown(bars: Bars) -> bool:
    """Whether nothing says what is usual on such bars."""
    return bars.timeframe not in WINDOWS


def _chosen(draw: float) -> Plant:
    edges = np.cumsum(list(SHARES.values()))
    return list(SHARES)[min(int(np.searchsorted(edges, draw, side="right")), len(SHARES) - 1)]


def _places(bars: Bars, seed: int, spacing: int, every_bars: int) -> list[tuple[int, list[float]]]:
    """Positions of plants, and what is drawn for each: one in each stretch of the clock, far enough from the next."""
    step = bars.timeframe.milliseconds
    stretch = np.unique(bars.open_at // (spacing * step))
    draws = _uniform(stretch, f"{seed}/{bars.symbol}/{bars.timeframe}")
    room = max((spacing - 2 * int(LENGTHS[1])) // every_bars, 1)
    at_ms = (stretch * spacing + (draws[:, 0] * room).astype(np.int64) * every_bars + every_bars - 1) * step
    place = np.searchsorted(bars.open_at, at_ms)
    there = (place > 1) & (place < len(bars))
    there[there] &= bars.open_at[place[there]] == at_ms[there]
    return [(int(at), one.tolist()) for at, one in zip(place[there], draws[there, 1:], strict=True)]


def _uniform(numbers: NDArray[np.int64], salt: str) -> Floats:
    """Draws in [0, 1) that depend on each number and the salt alone, shape (n, 6). SplitMix64 (Steele et al. 2014)."""
    start = np.uint64(int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big"))
    columns = []
    for column in range(_DRAWS):
        z = (numbers.astype(np.uint64) * np.uint64(_DRAWS) + np.uint64(column)) * np.uint64(0x9E3779B97F4A7C15) + start
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        columns.append(((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53)
    return np.column_stack(columns)
