"""From a median, a band and a chance to the answer that is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ml.liquidity.answer import LiquidityAnswer
from ml.liquidity.calendar import warnings
from ml.liquidity.immediate import Immediate
from ml.liquidity.kernel import NAMES, THIN_BARS
from ml.liquidity.order_size import Y_LEAST, Y_MOST, Bears
from ml.liquidity.question import LiquidityQuestion

_AT = {name: position for position, name in enumerate(NAMES)}
#: Outside these logs of an amount no market has been: a row that leads there is wrong.
LOG_AMOUNTS = (-60.0, 60.0)
CONFIDENCE_NOTE = "a size has no hit rate: the uncertainty is in the band, q10 to q90 holds about 80% of outcomes"


@dataclass(frozen=True, slots=True)
class Said:
    """What a predictor says of one row: ln of the median of QV_h, the quantiles (`BANDS`) of QV_h over the median, and
    the chance of a thin market."""

    log_qv: float
    bands: Sequence[float]
    p_low: float


def forecast(
    question: LiquidityQuestion, row: Sequence[float], said: Said, at_once: Immediate | None, due: Sequence[str]
) -> LiquidityAnswer:
    """The answer on a row that begins with `kernel.NAMES`; `at_once` is what it says of the book, `due` the releases
    within the horizon."""
    hours = question.horizon.bars
    hourly = math.exp(row[_AT["log_level"]])
    qv = math.exp(said.log_qv)
    q05, q10, q25, q50, q75, q90, q95 = (qv * factor for factor in said.bands)
    sigma = math.exp(0.5 * row[_AT["log_variance"]]) * math.sqrt(hours / 24.0)
    window = Bears(qv, sigma)
    return LiquidityAnswer(
        hours=hours,
        qv=qv,
        q05=q05,
        q10=q10,
        q25=q25,
        q50=q50,
        q75=q75,
        q90=q90,
        q95=q95,
        p_low=said.p_low,
        thin_below=THIN_BARS * hourly * math.exp(row[_AT["thin_below"]]),
        usual=hours * hourly,
        ratio_to_usual=qv / (hours * hourly),
        max_order_quote=window.largest(question.cost_bps),
        max_order_low=window.largest(question.cost_bps, Y_MOST),
        max_order_high=window.largest(question.cost_bps, Y_LEAST),
        order_cost_bps=None if question.order_quote is None else window.cost_bps(question.order_quote),
        book_at=at_once.at if at_once else None,
        spread_bps=at_once.spread_bps if at_once else None,
        immediate_max_quote=at_once.max_quote if at_once else None,
        immediate_cost_bps=at_once.cost_bps if at_once and question.order_quote is not None else None,
        warnings=(*warnings(int(row[_AT["first_hour"]]), hours), *(f"{one} is due" for one in due)),
    )
