"""What came true, and how a forecast of it is scored."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.timeline import Market
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.kernel import DAILY, HOURLY, SATURDAY_SHARE
from ml.volatility.question import Horizon, VolatilityQuestion
from ml.volatility.season import SATURDAY, hour_of_week

#: A window in which nothing moved counts as (0.0001%)^2: QLIKE of zero variance is infinite.
SMALLEST_TRUTH = 1e-12


def truth(questions: Sequence[VolatilityQuestion], as_of: Instants, market: Market) -> list[float | None]:
    """RV_h, the sum of the squared log returns of the next h bars, per question.

    None while the last of them has not closed, where a close is missing or not positive, and, in a market that trades
    at weekends, where a bar is missing inside the window. Markets that close: h bars ahead, as they are. `market` must
    hold what is known now, not what was at `as_of`.
    """
    result: list[float | None] = [None] * len(questions)
    groups: dict[tuple[str, Timeframe, Horizon], list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        groups[question.symbol, question.timeframe, question.horizon].append(i)
    for (symbol, timeframe, horizon), members in groups.items():
        timeline = market.timeline(symbol, timeframe)
        if timeline is None or horizon.timeframe is not timeframe:
            continue
        values = realised(timeline.latest(), as_of[members], horizon.bars)
        for i, value in zip(members, values.tolist(), strict=True):
            result[i] = None if math.isnan(value) else value
    return result


def realised(bars: Bars, as_of: Instants, ahead: int) -> Floats:
    """RV of the `ahead` bars after each `as_of` (int64 ms, shape (n,)); NaN where it is not known. Shape (n,)."""
    result = np.full(len(as_of), np.nan)
    last = np.searchsorted(bars.close_at, as_of, side="right") - 1
    done = np.flatnonzero((last >= 0) & (last + ahead < len(bars)))
    last = last[done]
    whole = bars.open_at[last + ahead] - bars.open_at[last] == ahead * bars.timeframe.milliseconds
    known = whole | ~_trades_weekends(bars, last)
    done, last = done[known], last[known]
    close = np.where((bars.close > 0.0) & np.isfinite(bars.close), bars.close, np.nan)
    change = np.zeros(len(bars))
    change[1:] = np.log(close[1:]) - np.log(close[:-1])
    total = np.zeros(len(done))
    for step in range(1, ahead + 1):
        total += change[last + step] ** 2
    result[done] = total
    return result


def loss(answer: VolatilityAnswer, value: float) -> float:
    """QLIKE, RV/F - ln(RV/F) - 1: 0 at the truth, in units of log variance; smaller is better.

    Proper for the mean, and robust to noise in RV (Patton 2011, "Volatility forecast comparison using imperfect
    volatility proxies"). A variance under 1e-12 counts as 1e-12.
    """
    ratio = max(value, SMALLEST_TRUTH) / answer.var
    return ratio - math.log(ratio) - 1.0


def certain(value: float) -> VolatilityAnswer:
    """What somebody who knew RV_h would have answered. The comparisons with the past are not scored: 50 and 1."""
    var = max(value, SMALLEST_TRUTH)
    return VolatilityAnswer(
        var=var,
        volatility_pct=100.0 * math.sqrt(var),
        q05=var,
        q10=var,
        q25=var,
        q50=var,
        q75=var,
        q90=var,
        q95=var,
        percentile_90d=50.0,
        ratio_to_last=1.0,
    )


def _trades_weekends(bars: Bars, last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the bars up to each `last` (as many as the level window, or all there are) hold Saturdays."""
    window = (HOURLY if bars.timeframe is Timeframe.H1 else DAILY).level
    count = np.concatenate([[0], np.cumsum(hour_of_week(bars.open_at) // 24 == SATURDAY)])
    first = np.maximum(last + 1 - window, 0)
    return np.asarray(count[last + 1] - count[first] >= SATURDAY_SHARE * (last + 1 - first))
