"""The rules' scale measured anew: how often what they say was exceeded of late.

Tables are fitted once; markets change. The channels keep their tables, and what the rules come to is told by how often
as much was seen on the real bars of the last years: half of the way from what the tables say, for three years hold few
storms, and a scale that follows each of them tells the next storm to be nothing special.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.anomaly.kernel import NAMES, kernel
from ml.anomaly.tails import LARGEST, MEASURED, SHARES, THIN, depth, groups, rarity
from ml.background import Background
from ml.bars import Floats, Instants, Timeframe
from ml.learning import finite
from ml.timeline import Market

#: Fewer bars make no scale.
FEWEST = 1_000
#: How far the way from the tables to what was seen is followed.
FOLLOWED = 0.5
#: A knot is read off the bars where so many are beyond it.
_FEWEST_BEYOND = 30
#: As rare as this a fault of the data is no part of what is usual, where a market never closes: an outage.
_FAULT = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """`knots` (len(SHARES),): depths told by the rules that are taken to be exceeded by shares `SHARES` of the bars."""

    knots: Floats

    @staticmethod
    def of(depths: Floats, followed: float = FOLLOWED) -> Scale:
        """Measured on at least `FEWEST` depths, shape (n,), and `followed` so far, from 0 (the tables) to 1."""
        if len(depths) < FEWEST:
            raise ValueError(f"{len(depths)} bars make no scale, {FEWEST:,} are needed")
        told = -np.log10(SHARES)
        return Scale(told + followed * (np.array(knots([depths], 1.0)) - told))

    def depth(self, depths: Floats) -> Floats:
        """-log10 of the chance of as much, (n,), from what the rules say; NaN where they say nothing."""
        return np.asarray(np.clip(depth(self.knots, depths, 1.0), 0.0, LARGEST))

    def to_numbers(self) -> list[float]:
        """As JSON takes it."""
        return [float(one) for one in self.knots]

    @staticmethod
    def of_numbers(told: Any) -> Scale:  # noqa: ANN401 - JSON
        """Back. TypeError or ValueError where the numbers are not those of a scale."""
        found = finite(told, (len(SHARES),))
        if (np.diff(found) < 0.0).any():
            raise ValueError("no scale: its knots fall")
        return Scale(found)


def background(market: Market, series: Sequence[tuple[str, Timeframe]], start: int, end: int) -> Background:
    """What the rules say of every usual bar, by group of tables (`tails.group`), from when it closed on."""
    return Background.of(
        part
        for symbol, timeframe in series
        if timeframe in MEASURED
        for part in _depths(market, symbol, timeframe, start, end)
    )


def _depths(
    market: Market, symbol: str, timeframe: Timeframe, start: int, end: int
) -> list[tuple[str, Instants, Floats]]:
    timeline = market.timeline(symbol, timeframe)
    if timeline is None:
        return []
    bars = timeline.latest()
    at = np.flatnonzero((bars.close_at >= start) & (bars.close_at < end))
    values = kernel(bars, None, at)
    kept = np.flatnonzero(~np.isnan(values[:, _MOVE]) & usual(values))
    values, closed = values[kept], bars.close_at[at[kept]]
    whole = rarity(values, timeframe).whole
    return [(name, closed[here], whole[here]) for name, here in groups(values, timeframe)]


def usual(rows: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows of the kernel are part of what is usual, (n,): all but outages of markets that never close."""
    faulty = np.zeros(len(rows), dtype=np.bool_)
    for name in ("gap", "frozen", "broken"):
        faulty |= rows[:, NAMES.index(name)] >= _FAULT
    return ~(faulty & (rows[:, NAMES.index("weekends")] > 0.0) & (rows[:, NAMES.index("idle")] <= THIN))


def knots(blocks: Sequence[Floats], slope: float | None = None) -> tuple[float, ...]:
    """What is exceeded by `SHARES` of the values, in the mean of `blocks`, (n,) each. Where fewer than 30 values of all
    are beyond, it goes on as it came; or, of values that are -log10 of chances themselves, by `slope` a tenth."""
    n = sum(len(one) for one in blocks)
    found = np.mean([np.quantile(one, 1.0 - np.array(SHARES)) for one in blocks], axis=0)
    for at, share in enumerate(SHARES):
        if share * n < _FEWEST_BEYOND and at >= 2:
            tenths = np.log10(SHARES[at - 1] / share)
            came = (found[at - 1] - found[at - 2]) / np.log10(SHARES[at - 2] / SHARES[at - 1])
            found[at] = found[at - 1] + tenths * (came if slope is None else slope)
    spaced = np.maximum.accumulate(found + 1e-3 * np.arange(len(found)))
    return tuple(round(float(one), 3) for one in spaced)


_MOVE = NAMES.index("move")
