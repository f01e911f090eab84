"""What came true: the plant, where one was planted; on a real market, whether hindsight sees the bar stand out.

Nobody tells of a real bar that it was an anomaly. But once two days of bars have followed, it can be counted: a bar
whose move, volume or wick is the largest of those around it (202 bars before it, and what traded in the 48 bars' time
after) was 1 in 251 by count, whatever the distribution. That is the rate at which a score calls bars abnormal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ml.anomaly.answer import NORMAL
from ml.anomaly.channels import Kind
from ml.anomaly.kernel import raw
from ml.anomaly.planting import PlantedMarket
from ml.anomaly.question import AnomalyQuestion
from ml.bars import Bars, Floats, Instants
from ml.timeline import Market

BEFORE = 202
AFTER = 48


def horizon_ms(question: AnomalyQuestion) -> int:
    return AFTER * question.timeframe.milliseconds


def truth(questions: Sequence[AnomalyQuestion], as_of: Instants, market: Market) -> list[str | None]:
    """The type of the anomaly of the newest bar closed by each `as_of` (int64 ms, shape (n,)), or `normal`. None while
    the bars of the next 48 bars' time are not known, for an unknown symbol, and with fewer than 202 bars before."""
    found: list[str | None] = [None] * len(questions)
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        series[question.symbol, question.timeframe].append(i)
    for members in series.values():
        first = questions[members[0]]
        timeline = market.timeline(first.symbol, first.timeframe)
        if timeline is None:
            continue
        bars = timeline.latest()
        at = np.searchsorted(bars.close_at, as_of[members], side="right") - 1
        known = (at >= BEFORE) & (as_of[members] + horizon_ms(first) <= _newest(bars))
        planted = market.planted(first.symbol, first.timeframe) if isinstance(market, PlantedMarket) else None
        told = hindsight(bars, at[known]) if planted is None else planted.labels[at[known]].tolist()
        for k, label in zip(np.flatnonzero(known).tolist(), told, strict=True):
            found[members[k]] = label or NORMAL
    return found


def hindsight(bars: Bars, at: Instants) -> list[str]:
    """Which side of the bars at the positions `at` (each with `BEFORE` bars before it) is the largest around; "" where
    none is."""
    with np.errstate(all="ignore"):
        now = raw(bars)
    stop = np.searchsorted(bars.close_at, bars.close_at[at] + AFTER * bars.timeframe.milliseconds, side="right")
    told = [""] * len(at)
    for kind, values in ((Kind.LIQUIDITY, now.wick), (Kind.VOLUME, now.volume), (Kind.PRICE, np.abs(now.change))):
        for k in np.flatnonzero(_stands_out(values, at, stop)).tolist():
            told[k] = str(kind)
    return told


def _stands_out(values: Floats, at: Instants, stop: Instants) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each value is larger than all from `BEFORE` bars before it to `stop` (exclusive)."""
    padded = np.concatenate([np.nan_to_num(values, nan=-np.inf), np.full(AFTER, -np.inf)])
    steps = np.arange(-BEFORE, AFTER + 1)
    result = np.zeros(len(at), dtype=np.bool_)
    for start in range(0, len(at), 4_096):
        here = at[start : start + 4_096]
        around = padded[here[:, None] + steps]
        around[steps + here[:, None] >= stop[start : start + 4_096][:, None]] = -np.inf
        own = around[:, BEFORE].copy()
        around[:, BEFORE] = -np.inf
        result[start : start + 4_096] = np.isfinite(own) & (own > around.max(axis=1))
    return result


def _newest(bars: Bars) -> int:
    return int(bars.close_at[-1]) if len(bars) else 0
