"""What came true, and how a forecast of it is scored."""

from __future__ import annotations

from collections.abc import Sequence

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.hindsight import Ahead, in_hindsight, known_or_none
from ml.liquidity.answer import LiquidityAnswer
from ml.liquidity.kernel import THIN_BARS, quote_volume
from ml.liquidity.question import LiquidityQuestion
from ml.timeline import Market

#: A window in which nothing was traded: a forecast is a positive number, and so is its truth.
SMALLEST_TRUTH = 1e-30


def truth(questions: Sequence[LiquidityQuestion], as_of: Instants, market: Market) -> list[float | None]:
    """QV_h, the sum of volume x close of the next h hourly bars, per question.

    None while the last of them has not closed, where one is missing inside the window, and where a close or a volume is
    no number. `market` must hold what is known now, not what was at `as_of`.
    """
    return in_hindsight(questions, as_of, market, _told, lambda question: question.horizon)


def traded(bars: Bars, as_of: Instants, ahead: int) -> Floats:
    """Quote volume of the `ahead` bars after each `as_of` (int64 ms, shape (n,)); NaN where it is not known. Shape
    (n,)."""
    window = Ahead.of(bars, as_of, ahead)
    return window.sums(quote_volume(bars), window.whole)


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


def _told(question: LiquidityQuestion, bars: Bars, as_of: Instants) -> list[float | None]:
    if question.timeframe is not Timeframe.H1:
        return [None] * len(as_of)
    return known_or_none(traded(bars, as_of, question.horizon.bars))
