"""Every indicator but the candles against plain Python written from the textbook's definition, one bar at a time."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.indicators.catalogue import INDICATORS, indicator
from ml.indicators.indicator import Group, Scale
from ml.indicators.matrix import matrix

N = 2_600
SETTLED = 2_000  # by then a recursion over all history has forgotten its seed
REAL = ("crypto/BTCUSDT_1h", "fx/EURUSD_1h")
NAN = math.nan


def walk(n: int = N, seed: int = 7) -> Bars:
    """A clean hourly random walk with gaps between bars, trends and volume."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.006, n) + 0.002 * np.sin(np.arange(n) / 40)))
    before = np.concatenate(([100.0], close[:-1]))
    opened = before * np.exp(random.normal(0, 0.002, n))
    high = np.maximum(opened, close) * np.exp(random.exponential(0.002, n))
    low = np.minimum(opened, close) * np.exp(-random.exponential(0.002, n))
    keep = np.sort(random.choice(np.arange(n + 30), n, replace=False))  # some hours are missing
    return Bars(
        "WALK",
        Timeframe.H1,
        1_600_000_000_000 // DAY_MS * DAY_MS + keep * HOUR_MS,
        opened,
        high,
        low,
        close,
        random.lognormal(3, 1, n),
    )


def real(name: str) -> Bars:
    folder = os.environ.get("BAROGRAPH_MARKET_DATA")
    if folder is None:
        pytest.skip("BAROGRAPH_MARKET_DATA is not set: no real bars to check the indicators on")
    table = pq.read_table(Path(folder) / "ohlcv" / f"{name}.parquet").sort_by("timestamp").slice(10_000, N)
    opens = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    columns = (np.asarray(table[c].to_numpy(), dtype=np.float64) for c in ("open", "high", "low", "close", "volume"))
    return Bars(name, Timeframe.H1, opens, *columns)


class Book:
    """A series as plain lists, and the textbook's definitions over them."""

    def __init__(self, bars: Bars) -> None:
        self.t = [int(x) for x in bars.open_at]
        self.o, self.h, self.low, self.c, self.v = (
            [float(x) for x in column] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
        self.tp = [(h + lo + c) / 3 for h, lo, c in zip(self.h, self.low, self.c, strict=True)]
        self.ema = cache(lambda n: recursion(self.c, n, 2 / (n + 1)))
        self.tr = [NAN] + [
            max(self.h[i] - self.low[i], abs(self.h[i] - self.c[i - 1]), abs(self.low[i] - self.c[i - 1]))
            for i in range(1, len(self.c))
        ]
        self.atr = cache(lambda n: recursion(self.tr, n, 1 / n))
        self.di = cache(self._di)
        self.macd = cache(self._macd)

    def ret(self, i: int, k: int = 1) -> float:
        return math.log(self.c[i]) - math.log(self.c[i - k])

    def mean(self, column: list[float], i: int, n: int) -> float:
        return math.fsum(column[i - n + 1 : i + 1]) / n

    def sma(self, i: int, n: int) -> float:
        return self.mean(self.c, i, n)

    def mid(self, i: int, n: int) -> float:
        return (max(self.h[i - n + 1 : i + 1]) + min(self.low[i - n + 1 : i + 1])) / 2

    def rsi(self, i: int, n: int) -> float:
        changes = [NAN] + [b - a for a, b in itertools.pairwise(self.c)]
        up = recursion([max(d, 0.0) if d == d else d for d in changes], n, 1 / n)
        down = recursion([max(-d, 0.0) if d == d else d for d in changes], n, 1 / n)
        return 100 - 100 / (1 + up[i] / down[i])

    def _di(self) -> tuple[list[float], list[float], list[float]]:
        plus, minus = [NAN], [NAN]
        for i in range(1, len(self.c)):
            up, down, tie = self.h[i] - self.h[i - 1], self.low[i - 1] - self.low[i], 1e-12 * self.c[i]
            plus.append(up if up > down + tie and up > tie else 0.0)
            minus.append(down if down > up + tie and down > tie else 0.0)
        smooth = [recursion(x, 14, 1 / 14) for x in (plus, minus, self.tr)]
        up_di = [100 * a / b for a, b in zip(smooth[0], smooth[2], strict=True)]
        down_di = [100 * a / b for a, b in zip(smooth[1], smooth[2], strict=True)]
        dx = [100 * abs(a - b) / (a + b) for a, b in zip(up_di, down_di, strict=True)]
        return up_di, down_di, recursion(dx, 14, 1 / 14)

    def _macd(self) -> tuple[list[float], list[float]]:
        line = [a - b for a, b in zip(self.ema(12), self.ema(26), strict=True)]
        return line, recursion(line, 9, 0.2)

    def stoch(self, i: int) -> float:
        raw = []
        for j in range(i - 2, i + 1):
            lo, hi = min(self.low[j - 13 : j + 1]), max(self.h[j - 13 : j + 1])
            raw.append(100 * (self.c[j] - lo) / (hi - lo))
        return statistics.fmean(raw)

    def cci(self, i: int) -> float:
        window = self.tp[i - 19 : i + 1]
        mean = statistics.fmean(window)
        return (self.tp[i] - mean) / (0.015 * statistics.fmean([abs(x - mean) for x in window]))

    def spread(self, i: int) -> float:
        k = 3 - 2 * math.sqrt(2)
        found = []
        for j in range(i - 23, i + 1):
            beta = math.log(self.h[j] / self.low[j]) ** 2 + math.log(self.h[j - 1] / self.low[j - 1]) ** 2
            gamma = math.log(max(self.h[j], self.h[j - 1]) / min(self.low[j], self.low[j - 1])) ** 2
            alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
            found.append(max(0.0, 2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha))))
        return statistics.fmean(found)

    def rv(self, i: int, n: int) -> float:
        return math.sqrt(math.fsum(self.ret(j) ** 2 for j in range(i - n + 1, i + 1)) / n)

    def ranges(self, i: int, of: Callable[[int], float]) -> float:
        return math.sqrt(statistics.fmean([of(j) for j in range(i - 23, i + 1)]))

    def garman_klass(self, j: int) -> float:
        body = math.log(self.c[j] / self.o[j])
        return 0.5 * math.log(self.h[j] / self.low[j]) ** 2 - (2 * math.log(2) - 1) * body**2

    def sign(self, a: float, b: float) -> int:
        return 0 if math.isclose(a, b, rel_tol=1e-12) else (1 if a > b else -1)

    def obv(self, i: int) -> float:
        return math.fsum(self.sign(self.c[j], self.c[j - 1]) * self.v[j] for j in range(i - 23, i + 1))

    def vwap(self, i: int) -> float:
        window = range(i - 23, i + 1)
        return math.fsum(self.tp[j] * self.v[j] for j in window) / math.fsum(self.v[j] for j in window)

    def mfi(self, i: int) -> float:
        up = math.fsum(
            self.tp[j] * self.v[j] for j in range(i - 13, i + 1) if self.sign(self.tp[j], self.tp[j - 1]) > 0
        )
        down = math.fsum(
            self.tp[j] * self.v[j] for j in range(i - 13, i + 1) if self.sign(self.tp[j], self.tp[j - 1]) < 0
        )
        return 100 - 100 / (1 + up / down) if down else 100.0

    def cloud(self, i: int) -> float:
        j = i - 26
        edges = sorted([(self.mid(j, 9) + self.mid(j, 26)) / 2, self.mid(j, 52)])
        if self.c[i] > edges[1]:
            return self.c[i] / edges[1] - 1
        return self.c[i] / edges[0] - 1 if self.c[i] < edges[0] else 0.0

    def resistance(self, i: int) -> float:
        tops = [p for p in range(i - 200, i - 4) if pivot(self.h, p) and self.h[p] >= self.c[i]]
        return min((self.h[p] for p in tops), default=NAN) / self.c[i] - 1

    def support(self, i: int) -> float:
        upside_down = [-x for x in self.low[: i + 1]]
        found = [p for p in range(i - 200, i - 4) if pivot(upside_down, p) and self.low[p] <= self.c[i]]
        return 1 - max((self.low[p] for p in found), default=NAN) / self.c[i]

    def run(self, signs: Callable[[int], int], i: int, cap: int) -> float:
        first, length = signs(i), 1
        while length < cap and signs(i - length) == first:
            length += 1
        return first * length

    def aligned(self, *levels: float) -> int:
        steps = {self.sign(a, b) for a, b in itertools.pairwise(levels)}
        return steps.pop() if len(steps) == 1 else 0

    def htf(self, i: int, hours: int) -> float:
        now = self.t[i] + HOUR_MS
        closes: dict[int, float] = {}
        for j in range(i + 1):
            end = (self.t[j] // (hours * HOUR_MS) + 1) * hours * HOUR_MS
            if end <= now:
                closes[end] = self.c[j]
        last = list(closes.values())
        return self.aligned(last[-1], statistics.fmean(last[-10:]), statistics.fmean(last[-20:]))


def recursion(values: list[float], n: int, alpha: float) -> list[float]:
    """An exponential mean over all history, seeded with the plain mean of the first n values."""
    first = next(i for i, x in enumerate(values) if x == x)
    out = [NAN] * (first + n - 1) + [math.fsum(values[first : first + n]) / n]
    for x in values[first + n :]:
        out.append(out[-1] + alpha * (x - out[-1]))
    return out


def pivot(tops: list[float], p: int) -> bool:
    return max(tops[p - 5 : p]) < tops[p] and max(tops[p + 1 : p + 6]) <= tops[p]


def on_day(t: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(t / 1000, tz=datetime.UTC)


Definition = Callable[[Book, int], float]
TEXTBOOK: dict[str, Definition] = {
    "mid_price": lambda b, i: (b.h[i] + b.low[i]) / 2,
    "typical_price": lambda b, i: b.tp[i],
    "spread_proxy_24": lambda b, i: b.spread(i),
    "range_fraction": lambda b, i: (b.h[i] - b.low[i]) / b.c[i],
    "body_fraction": lambda b, i: 1 - b.o[i] / b.c[i],
    "upper_shadow_fraction": lambda b, i: (b.h[i] - max(b.o[i], b.c[i])) / b.c[i],
    "lower_shadow_fraction": lambda b, i: (min(b.o[i], b.c[i]) - b.low[i]) / b.c[i],
    "close_location": lambda b, i: (b.c[i] - b.low[i]) / (b.h[i] - b.low[i]) if b.h[i] > b.low[i] else NAN,
    "gap_fraction": lambda b, i: b.o[i] / b.c[i - 1] - 1,
    "ema_alignment_9_21_50": lambda b, i: b.aligned(b.ema(9)[i], b.ema(21)[i], b.ema(50)[i]),
    "ema_slope_20_5": lambda b, i: b.ema(20)[i] / b.ema(20)[i - 5] - 1,
    "ema_slope_50_10": lambda b, i: b.ema(50)[i] / b.ema(50)[i - 10] - 1,
    "macd_line_12_26_9": lambda b, i: b.macd()[0][i],
    "macd_signal_12_26_9": lambda b, i: b.macd()[1][i],
    "macd_histogram_12_26_9": lambda b, i: b.macd()[0][i] - b.macd()[1][i],
    "macd_line_fraction_12_26_9": lambda b, i: b.macd()[0][i] / b.c[i],
    "macd_signal_fraction_12_26_9": lambda b, i: b.macd()[1][i] / b.c[i],
    "macd_histogram_fraction_12_26_9": lambda b, i: (b.macd()[0][i] - b.macd()[1][i]) / b.c[i],
    "adx_14": lambda b, i: b.di()[2][i],
    "di_plus_14": lambda b, i: b.di()[0][i],
    "di_minus_14": lambda b, i: b.di()[1][i],
    "ichimoku_tenkan_9": lambda b, i: b.mid(i, 9),
    "ichimoku_kijun_26": lambda b, i: b.mid(i, 26),
    "ichimoku_senkou_a": lambda b, i: (b.mid(i, 9) + b.mid(i, 26)) / 2,
    "ichimoku_senkou_b": lambda b, i: b.mid(i, 52),
    "ichimoku_tenkan_vs_kijun": lambda b, i: (b.mid(i, 9) - b.mid(i, 26)) / b.c[i],
    "ichimoku_price_vs_cloud": lambda b, i: b.cloud(i),
    "rsi_14": lambda b, i: b.rsi(i, 14),
    "rsi_7": lambda b, i: b.rsi(i, 7),
    "stoch_k_14_3": lambda b, i: b.stoch(i),
    "stoch_d_14_3_3": lambda b, i: statistics.fmean([b.stoch(i - 2), b.stoch(i - 1), b.stoch(i)]),
    "cci_20": lambda b, i: b.cci(i),
    "williams_r_14": lambda b, i: (
        -100 * (max(b.h[i - 13 : i + 1]) - b.c[i]) / (max(b.h[i - 13 : i + 1]) - min(b.low[i - 13 : i + 1]))
    ),
    "roc_10": lambda b, i: (b.c[i] - b.c[i - 10]) / b.c[i - 10],
    "momentum_10": lambda b, i: b.c[i] - b.c[i - 10],
    "atr_14": lambda b, i: b.atr(14)[i],
    "atr_fraction_14": lambda b, i: b.atr(14)[i] / b.c[i],
    "historical_volatility_20": lambda b, i: statistics.stdev([b.ret(j) for j in range(i - 19, i + 1)]),
    "parkinson_volatility_24": lambda b, i: b.ranges(i, lambda j: math.log(b.h[j] / b.low[j]) ** 2 / (4 * math.log(2))),
    "garman_klass_volatility_24": lambda b, i: b.ranges(i, b.garman_klass),
    "volatility_ratio_24_720": lambda b, i: b.rv(i, 24) / b.rv(i, 720),
    "bb_upper_20_2": lambda b, i: b.sma(i, 20) + 2 * statistics.pstdev(b.c[i - 19 : i + 1]),
    "bb_middle_20_2": lambda b, i: b.sma(i, 20),
    "bb_lower_20_2": lambda b, i: b.sma(i, 20) - 2 * statistics.pstdev(b.c[i - 19 : i + 1]),
    "bb_width_20_2": lambda b, i: 4 * statistics.pstdev(b.c[i - 19 : i + 1]) / b.sma(i, 20),
    "bb_position_20_2": lambda b, i: 0.5 + (b.c[i] - b.sma(i, 20)) / (4 * statistics.pstdev(b.c[i - 19 : i + 1])),
    "keltner_upper_20_10_2": lambda b, i: b.ema(20)[i] + 2 * b.atr(10)[i],
    "keltner_middle_20_10_2": lambda b, i: b.ema(20)[i],
    "keltner_lower_20_10_2": lambda b, i: b.ema(20)[i] - 2 * b.atr(10)[i],
    "keltner_width_20_10_2": lambda b, i: 4 * b.atr(10)[i] / b.ema(20)[i],
    "keltner_position_20_10_2": lambda b, i: 0.5 + (b.c[i] - b.ema(20)[i]) / (4 * b.atr(10)[i]),
    "donchian_upper_20": lambda b, i: max(b.h[i - 19 : i + 1]),
    "donchian_middle_20": lambda b, i: b.mid(i, 20),
    "donchian_lower_20": lambda b, i: min(b.low[i - 19 : i + 1]),
    "donchian_width_20": lambda b, i: (max(b.h[i - 19 : i + 1]) - min(b.low[i - 19 : i + 1])) / b.mid(i, 20),
    "donchian_position_20": lambda b, i: (
        (b.c[i] - min(b.low[i - 19 : i + 1])) / (max(b.h[i - 19 : i + 1]) - min(b.low[i - 19 : i + 1]))
    ),
    "volume_sma_20": lambda b, i: b.mean(b.v, i, 20),
    "volume_ratio_20": lambda b, i: b.v[i] / b.mean(b.v, i - 1, 20),
    "volume_z_20": lambda b, i: (b.v[i] - b.mean(b.v, i - 1, 20)) / statistics.stdev(b.v[i - 20 : i]),
    "volume_trend_5_20": lambda b, i: b.mean(b.v, i, 5) / b.mean(b.v, i, 20) - 1,
    "obv_24": lambda b, i: b.obv(i),
    "obv_fraction_24": lambda b, i: b.obv(i) / math.fsum(b.v[i - 23 : i + 1]),
    "vwap_24": lambda b, i: b.vwap(i),
    "price_vs_vwap_24": lambda b, i: b.c[i] / b.vwap(i) - 1,
    "mfi_14": lambda b, i: b.mfi(i),
    "support_distance_5_200": lambda b, i: b.support(i),
    "resistance_distance_5_200": lambda b, i: b.resistance(i),
    "consecutive_closes_20": lambda b, i: b.run(lambda j: b.sign(b.c[j], b.c[j - 1]), i, 20),
    "consecutive_vs_ema_21_50": lambda b, i: b.run(lambda j: b.sign(b.c[j], b.ema(21)[j]), i, 50),
    "htf_trend_1h": lambda b, i: b.htf(i, 1),
    "htf_trend_4h": lambda b, i: b.htf(i, 4),
    "htf_trend_1d": lambda b, i: b.htf(i, 24),
    "hour_sin": lambda b, i: math.sin(math.tau * on_day(b.t[i]).hour / 24),
    "hour_cos": lambda b, i: math.cos(math.tau * on_day(b.t[i]).hour / 24),
    "dow_sin": lambda b, i: math.sin(math.tau * on_day(b.t[i]).weekday() / 7),
    "dow_cos": lambda b, i: math.cos(math.tau * on_day(b.t[i]).weekday() / 7),
}
for _k in (1, 5, 20):
    TEXTBOOK[f"log_return_{_k}"] = lambda b, i, k=_k: b.ret(i, k)  # type: ignore[misc]  # mypy infers no lambda with a default
for _n in (10, 20, 50, 100, 200):
    TEXTBOOK[f"sma_{_n}"] = lambda b, i, n=_n: b.sma(i, n)  # type: ignore[misc]  # mypy infers no lambda with a default
    TEXTBOOK[f"price_vs_sma_{_n}"] = lambda b, i, n=_n: b.c[i] / b.sma(i, n) - 1  # type: ignore[misc]  # as above
    TEXTBOOK[f"ema_{_n}"] = lambda b, i, n=_n: b.ema(n)[i]  # type: ignore[misc]  # mypy infers no lambda with a default
for _n in (9, 10, 20, 21, 50, 100, 200):
    TEXTBOOK[f"price_vs_ema_{_n}"] = lambda b, i, n=_n: b.c[i] / b.ema(n)[i] - 1  # type: ignore[misc]  # as above
for _n in (24, 168, 720):
    TEXTBOOK[f"realised_volatility_{_n}"] = lambda b, i, n=_n: b.rv(i, n)  # type: ignore[misc]  # mypy infers no lambda with a default


def disagreements(bars: Bars, positions: list[int]) -> list[str]:
    book, found = Book(bars), []
    for name, definition in TEXTBOOK.items():
        one = indicator(name)
        values = one.compute(bars)
        for i in positions:
            if i < (SETTLED if one.tolerance else one.warmup):
                continue
            expected, given = definition(book, i), float(values[i])
            unit = book.c[i] if one.scale is Scale.PRICE else max(1.0, abs(expected))
            allowed = one.tolerance * (book.c[i] if one.scale is Scale.PRICE else 1.0) + 1e-10 * unit
            if math.isnan(expected) != math.isnan(given) or abs(expected - given) > allowed:
                found.append(f"{name} at {i}: {given!r}, by the textbook {expected!r}")
    return found


def test_every_indicator_but_the_candles_has_a_textbook_definition_here() -> None:
    assert set(TEXTBOOK) == {one.name for one in INDICATORS if one.group is not Group.CANDLE}


@pytest.mark.parametrize("seed", [7, 11])
def test_indicators_agree_with_the_textbook_on_a_random_walk(seed: int) -> None:
    bars = walk(seed=seed)
    edges = sorted({one.warmup for one in INDICATORS})
    assert disagreements(bars, [*edges, *range(SETTLED, N, 61), N - 1]) == []


@pytest.mark.parametrize("name", REAL)
def test_indicators_agree_with_the_textbook_on_real_bars(name: str) -> None:
    assert disagreements(real(name), [*range(800, SETTLED, 173), *range(SETTLED, N, 47), N - 1]) == []


def test_a_value_is_defined_as_soon_as_its_warmup_has_passed_and_not_before() -> None:
    bars = walk()
    may_lack_a_level = {"support_distance_5_200", "resistance_distance_5_200"}
    values = matrix(bars)
    for k, one in enumerate(INDICATORS):
        if one.name in may_lack_a_level:
            assert np.isnan(values[: one.warmup, k]).all(), one.name
        elif one.group is Group.HIGHER_TIMEFRAME:
            assert np.isfinite(values[one.warmup :, k]).all(), one.name
        else:
            assert np.flatnonzero(np.isfinite(values[:, k]))[0] == one.warmup, one.name
            assert np.isfinite(values[one.warmup :, k]).all(), one.name
