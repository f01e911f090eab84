"""What came true, and how a forecast of it is scored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.hindsight import Ahead, in_hindsight, known_or_none
from ml.price import prices
from ml.timeline import Market
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.kernel import DAILY, HOURLY, SATURDAY_SHARE
from ml.volatility.question import VolatilityQuestion
from ml.week import SATURDAY, hour_of_week

#: A window in which nothing moved counts as (0.0001%)^2: QLIKE of zero variance is infinite.
SMALLEST_TRUTH = 1e-12


def truth(questions: Sequence[VolatilityQuestion], as_of: Instants, market: Market) -> list[float | None]:
    """RV_h, the sum of the squared log returns of the next h bars, per question.

    None while the last of them has not closed, where a close is missing or not positive, and, in a market that trades
    at weekends, where a bar is missing inside the window. Markets that close: h bars ahead, as they are. `market` must
    hold what is known now, not what was at `as_of`.
    """
    return in_hindsight(questions, as_of, market, _told, lambda question: question.horizon)


def realised(bars: Bars, as_of: Instants, ahead: int) -> Floats:
    """RV of the `ahead` bars after each `as_of` (int64 ms, shape (n,)); NaN where it is not known. Shape (n,)."""
    window = Ahead.of(bars, as_of, ahead)
    close = prices(bars.close)
    change = np.zeros(len(bars))
    change[1:] = np.log(close[1:]) - np.log(close[:-1])
    return window.sums(change**2, window.whole | ~_trades_weekends(bars, window.last))


def loss(answer: VolatilityAnswer, value: float) -> float:
    """QLIKE, RV/F - ln(RV/F) - 1: 0 at the truth, in units of log variance; smaller is better.

    Proper for the mean, and robust to noise in RV (Patton 2011, "Volatility forecast comparison using imperfect
    volatility proxies"). A variance under 1e-12 counts as 1e-12.
    """
    ratio = max(value, SMALLEST_TRUTH) / answer.var
    return ratio - math.log(ratio) - 1.0


def certain(value: float) -> VolatilityAnswer:
    """What somebody who knew RV_h would have answered. Comparisons with the past and releases are not scored."""
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


def _told(question: VolatilityQuestion, bars: Bars, as_of: Instants) -> list[float | None]:
    if question.horizon.timeframe is not question.timeframe:
        return [None] * len(as_of)
    return known_or_none(realised(bars, as_of, question.horizon.bars))


def _trades_weekends(bars: Bars, last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the bars up to each `last` (as many as the level window, or all there are) hold Saturdays."""
    window = (HOURLY if bars.timeframe is Timeframe.H1 else DAILY).level
    count = np.concatenate([[0], np.cumsum(hour_of_week(bars.open_at) // 24 == SATURDAY)])
    first = np.maximum(last + 1 - window, 0)
    return np.asarray(count[last + 1] - count[first] >= SATURDAY_SHARE * (last + 1 - first))
