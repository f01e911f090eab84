"""What came true: the plant, where one was planted; on a real market, whether hindsight sees the bar stand out.

Nobody tells of a real bar that it was an anomaly. But once two days of bars have followed, it can be counted: a bar
whose move, volume or wick is the largest of those around it (202 bars before it, and what traded in the 48 bars' time
after) was 1 in 251 by count, whatever the distribution. That is the rate at which a score calls bars abnormal. So it is
with a funding rate that became known in the bar, among the 202 settlements before and those in the time after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.anomaly.answer import NORMAL
from ml.anomaly.channels import Kind
from ml.anomaly.fed import OBSERVES, settled
from ml.anomaly.kernel import raw
from ml.anomaly.planting import PlantedMarket
from ml.anomaly.question import AnomalyQuestion
from ml.bars import Bars, Floats, Instants
from ml.hindsight import in_hindsight, newest_closed
from ml.observed import Kind as Observable
from ml.observed import Observed
from ml.timeline import Market

BEFORE = 202
AFTER = 48


def horizon_ms(question: AnomalyQuestion) -> int:
    return AFTER * question.timeframe.milliseconds


def truth(questions: Sequence[AnomalyQuestion], as_of: Instants, market: Market) -> list[str | None]:
    """The type of the anomaly of the newest bar closed by each `as_of` (int64 ms, shape (n,)), or `normal`. None while
    the bars of the next 48 bars' time are not known (what was planted is known at once), for an unknown symbol, and
    with fewer than 202 bars before."""

    def tell(first: AnomalyQuestion, bars: Bars, instants: Instants) -> list[str | None]:
        at = newest_closed(bars, instants)
        planted = market.planted(first.symbol, first.timeframe) if isinstance(market, PlantedMarket) else None
        later = 0 if planted else horizon_ms(first)
        known = np.flatnonzero((at >= BEFORE) & (instants + later <= _newest(bars)))
        labels = planted.labels[at[known]].tolist() if planted else _seen(bars, at[known], market)
        told: list[str | None] = [None] * len(instants)
        for k, label in zip(known.tolist(), labels, strict=True):
            told[k] = label or NORMAL
        return told

    return in_hindsight(questions, as_of, market, tell)


def _seen(bars: Bars, at: Instants, market: Market) -> list[str]:
    """The side of the bars at `at` that is the largest around, else whether their funding is."""
    rates = market.observed(Observable.FUNDING, bars.symbol)
    told = hindsight(bars, at)
    if rates is None or not len(rates) or not len(at):
        return told
    step = bars.timeframe.milliseconds
    came = settled(rates, bars.close_at[at], step)
    for k in np.flatnonzero(came).tolist():
        close = int(bars.close_at[at[k]])
        if not told[k] and _funding_stands_out(rates, close, close + AFTER * step):
            told[k] = str(Kind.DERIVATIVES)
    return told


def _funding_stands_out(rates: Observed, close: int, later: int) -> bool:
    """Whether the newest rate at `close` is farther from the median of those before than all others known `later`."""
    known = rates.known(later)
    own = int(np.searchsorted(known.at, rates.at[rates.newest(np.array([close]), OBSERVES[Observable.FUNDING])[0]]))
    if own < BEFORE:
        return False
    around = known.values[own - BEFORE :, 0]
    away = np.abs(around - np.median(around[:BEFORE]))
    return bool(away[BEFORE] > np.delete(away, BEFORE).max())


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
