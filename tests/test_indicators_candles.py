"""Candle patterns against plain Python written from their definitions: no running totals, one bar at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ml.bars import HOUR_MS, Bars, Timeframe
from ml.indicators.candles import CANDLES
from ml.indicators.matrix import latest, matrix

N = 4_000


def walk(tick: float | None, seed: int = 3) -> Bars:
    """A random walk whose bodies, shadows and gaps vary enough for every pattern; on a tick grid where one is given."""
    random = np.random.default_rng(seed)
    opened, close = np.empty(N), np.empty(N)
    price, body = 100.0, 0.01
    for i in range(N):  # opens inside, at, and beyond the last body; bodies that go on, turn, or shrink
        gap = random.choice([0.0, -0.3 * body, 0.6 * body, random.normal(0, 0.006)])
        size = 0.01 * random.choice([0.02, 0.3, 1.0]) * random.exponential()
        body = random.choice([np.sign(body) * size, np.sign(body) * size, -0.8 * body - gap, -np.sign(body) * size])
        opened[i] = price * np.exp(gap)
        close[i] = opened[i] * np.exp(body)
        price = close[i]
    high = np.maximum(opened, close) * np.exp(random.choice([0.0, 0.0005, 0.01], N))
    low = np.minimum(opened, close) * np.exp(-random.choice([0.0, 0.0005, 0.01], N))
    columns = (opened, high, low, close)
    if tick is not None:
        columns = tuple(np.round(column / tick) * tick for column in columns)  # type: ignore[assignment]  # as many columns as before
    return Bars("WALK", Timeframe.H1, np.arange(N, dtype=np.int64) * HOUR_MS, *columns, np.ones(N))


class Candle:
    """Bar i of a series, with the yardsticks of the pattern literature as TA-Lib sets them."""

    def __init__(self, bars: Bars, i: int) -> None:
        self.bars, self.i = bars, i
        self.open, self.high = float(bars.open[i]), float(bars.high[i])
        self.low, self.close = float(bars.low[i]), float(bars.close[i])
        self.body = abs(self.close - self.open)
        self.range = self.high - self.low
        self.colour = 1 if self.close >= self.open else -1
        self.top, self.bottom = max(self.open, self.close), min(self.open, self.close)
        self.upper, self.lower = self.high - self.top, self.bottom - self.low

    def ago(self, bars: int) -> Candle:
        return Candle(self.bars, self.i - bars)

    def before(self, n: int, of: Callable[[Candle], float]) -> float:
        return math.fsum(of(self.ago(k)) for k in range(1, n + 1)) / n

    @property
    def usual_body(self) -> float:
        return self.before(10, lambda candle: candle.body)

    @property
    def tenth_of_range(self) -> float:
        return 0.1 * self.before(10, lambda candle: candle.range)

    def of_five_ranges(self, factor: float) -> float:
        return factor * self.before(5, lambda candle: candle.range)


def doji(c: Candle) -> int:
    return int(c.body <= c.tenth_of_range)


def hammer(c: Candle) -> int:
    near_low = c.bottom <= c.ago(1).low + c.ago(1).of_five_ranges(0.2)
    return int(c.body < c.usual_body and c.lower > c.body and c.upper < c.tenth_of_range and near_low)


def marubozu(c: Candle) -> int:
    bare = c.upper < c.tenth_of_range and c.lower < c.tenth_of_range
    return c.colour * int(c.body > c.usual_body and bare)


def spinning_top(c: Candle) -> int:
    return c.colour * int(c.body < c.usual_body and c.upper > c.body and c.lower > c.body)


def engulfing(c: Candle) -> int:
    p = c.ago(1)
    covers = c.top >= p.top and c.bottom <= p.bottom and (c.top > p.top or c.bottom < p.bottom)
    return c.colour * int(c.colour == -p.colour and covers)


def harami(c: Candle) -> int:
    p = c.ago(1)
    inside = c.top <= p.top and c.bottom >= p.bottom
    return -p.colour * int(p.body > p.usual_body and c.body <= c.usual_body and inside)


def piercing(c: Candle) -> int:
    p = c.ago(1)
    turned = p.colour == -1 and c.colour == 1 and p.body > p.usual_body and c.body > c.usual_body
    return int(turned and c.open < p.low and p.close + p.body * 0.5 < c.close < p.open)


def dark_cloud_cover(c: Candle) -> int:
    p = c.ago(1)
    turned = p.colour == 1 and c.colour == -1 and p.body > p.usual_body
    return -int(turned and c.open > p.high and p.open < c.close < p.close - p.body * 0.5)


def morning_star(c: Candle) -> int:
    star, first = c.ago(1), c.ago(2)
    shapes = first.body > first.usual_body and star.body <= star.usual_body and c.body > c.usual_body
    gap = star.top < first.bottom
    return int(shapes and gap and first.colour == -1 and c.colour == 1 and c.close > first.close + first.body * 0.3)


def evening_star(c: Candle) -> int:
    star, first = c.ago(1), c.ago(2)
    shapes = first.body > first.usual_body and star.body <= star.usual_body and c.body > c.usual_body
    gap = star.bottom > first.top
    return -int(shapes and gap and first.colour == 1 and c.colour == -1 and c.close < first.close - first.body * 0.3)


def three_white_soldiers(c: Candle) -> int:
    b, a = c.ago(1), c.ago(2)
    white = all(x.colour == 1 and x.upper < x.tenth_of_range for x in (a, b, c))
    rising = c.close > b.close > a.close
    opens = a.open < b.open <= a.close + a.of_five_ranges(0.2) and b.open < c.open <= b.close + b.of_five_ranges(0.2)
    not_shrinking = b.body > a.body - a.of_five_ranges(0.6) and c.body > b.body - b.of_five_ranges(0.6)
    return int(white and rising and opens and not_shrinking and c.body > c.usual_body)


def three_black_crows(c: Candle) -> int:
    b, a, before = c.ago(1), c.ago(2), c.ago(3)
    black = all(x.colour == -1 and x.lower < x.tenth_of_range for x in (a, b, c))
    opens = a.close < b.open < a.open and b.close < c.open < b.open
    falling = a.close < before.high and a.close > b.close > c.close
    return -int(before.colour == 1 and black and opens and falling)


DEFINITIONS: dict[str, Callable[[Candle], int]] = {
    f"candle_{definition.__name__}": definition
    for definition in (
        doji,
        hammer,
        marubozu,
        spinning_top,
        engulfing,
        harami,
        piercing,
        dark_cloud_cover,
        morning_star,
        evening_star,
        three_white_soldiers,
        three_black_crows,
    )
}


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_a_pattern_agrees_with_its_definition_at_every_bar_of_a_random_walk(name: str) -> None:
    bars = walk(tick=None)
    one = next(candle for candle in CANDLES if candle.name == name)
    verdicts = one.compute(bars)
    assert np.isnan(verdicts[: one.warmup]).all()
    expected = [DEFINITIONS[name](Candle(bars, i)) for i in range(one.warmup, N)]
    assert any(expected), "the walk never shows this pattern, so agreement would mean nothing"
    assert verdicts[one.warmup :].tolist() == expected


def test_every_pattern_of_the_catalogue_is_defined_here() -> None:
    assert {one.name for one in CANDLES} == set(DEFINITIONS)


def test_patterns_agree_with_their_definitions_on_real_bars_but_for_ties() -> None:
    folder = os.environ.get("BAROGRAPH_MARKET_DATA")
    if folder is None:
        pytest.skip("BAROGRAPH_MARKET_DATA is not set: no real bars to check the patterns on")
    table = pq.read_table(Path(folder) / "ohlcv/crypto/BTCUSDT_1h.parquet").sort_by("timestamp").slice(5_000, 1_500)
    columns = [np.asarray(table[c].to_numpy(), dtype=np.float64) for c in ("open", "high", "low", "close", "volume")]
    bars = Bars("BTCUSDT", Timeframe.H1, np.arange(1_500, dtype=np.int64) * HOUR_MS, *columns)
    for one in CANDLES:
        verdicts = one.compute(bars)[one.warmup :]
        expected = [DEFINITIONS[one.name](Candle(bars, i)) for i in range(one.warmup, 1_500)]
        assert np.mean(verdicts != expected) < 0.001, one.name


@pytest.mark.parametrize("tick", [None, 0.01, 0.25])
def test_a_pattern_from_a_tail_equals_the_pattern_from_full_history(tick: float | None) -> None:
    bars = walk(tick)
    whole = matrix(bars, CANDLES)
    for start in range(0, N - 200, 97):
        part = matrix(bars.between(start, start + 200), CANDLES)
        known = ~np.isnan(part)
        assert np.array_equal(part[known], whole[start : start + 200][known])
    assert np.array_equal(latest(bars, CANDLES), whole[-1])
