"""What came true, and how a forecast of it is scored."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.liquidity.answer import LiquidityAnswer
from ml.liquidity.kernel import THIN_BARS, quote_volume
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.timeline import Market

#: A window in which nothing was traded: a forecast is a positive number, and so is its truth.
SMALLEST_TRUTH = 1e-30


def truth(questions: Sequence[LiquidityQuestion], as_of: Instants, market: Market) -> list[float | None]:
    """QV_h, the sum of volume x close of the next h hourly bars, per question.

    None while the last of them has not closed, where one is missing inside the window, and where a close or a volume is
    no number. `market` must hold what is known now, not what was at `as_of`.
    """
    result: list[float | None] = [None] * len(questions)
    groups: dict[tuple[str, Timeframe, Horizon], list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        groups[question.symbol, question.timeframe, question.horizon].append(i)
    for (symbol, timeframe, horizon), members in groups.items():
        timeline = market.timeline(symbol, timeframe)
        if timeline is None or timeframe is not Timeframe.H1:
            continue
        values = traded(timeline.latest(), as_of[members], horizon.bars)
        for i, value in zip(members, values.tolist(), strict=True):
            result[i] = None if math.isnan(value) else value
    return result


def traded(bars: Bars, as_of: Instants, ahead: int) -> Floats:
    """Quote volume of the `ahead` bars after each `as_of` (int64 ms, shape (n,)); NaN where it is not known. Shape
    (n,)."""
    result = np.full(len(as_of), np.nan)
    last = np.searchsorted(bars.close_at, as_of, side="right") - 1
    done = np.flatnonzero((last >= 0) & (last + ahead < len(bars)))
    last = last[done]
    whole = bars.open_at[last + ahead] - bars.open_at[last] == ahead * bars.timeframe.milliseconds
    done, last = done[whole], last[whole]
    volume = quote_volume(bars)
    total = np.zeros(len(done))
    for step in range(1, ahead + 1):
        total += volume[last + step]
    result[done] = total
    return result


def loss(answer: LiquidityAnswer, value: float) -> float:
    """|qv - QV_h| / usual, and for 6 h the Brier score of the thin market added to it; smaller is better, 0 is best.

    The absolute error is proper for the median, the Brier score for a probability, so their sum is proper for both.
    `usual` (the symbol's own mean of h hours in 720 h) puts all symbols on one scale; being the same for everybody who
    answers from one row, it favours nobody. A thin market is one under `thin_below`, of which the same holds.
    """
    error = abs(answer.qv - value) / answer.usual
    if answer.hours != THIN_BARS:
        return error
    return error + (answer.p_low - float(value < answer.thin_below)) ** 2


def chance_less_share(answer: LiquidityAnswer, value: float) -> float | None:
    """`p_low` less 1 where the 6 h were thin, less 0 where not: its mean is 0 where chances are honest. None of other
    horizons."""
    return answer.p_low - float(value < answer.thin_below) if answer.hours == THIN_BARS else None


def certain(value: float) -> LiquidityAnswer:
    """What somebody who knew QV_h would have answered. What is not scored is left at a plain value."""
    qv = max(value, SMALLEST_TRUTH)
    return LiquidityAnswer(
        hours=THIN_BARS,
        qv=qv,
        q05=qv,
        q10=qv,
        q25=qv,
        q50=qv,
        q75=qv,
        q90=qv,
        q95=qv,
        p_low=float(value < qv),
        thin_below=qv,
        usual=max(value, 1.0),
        ratio_to_usual=1.0,
        max_order_quote=qv,
        max_order_low=qv,
        max_order_high=qv,
        warnings=(),
    )
