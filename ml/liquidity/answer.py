"""What is answered: the volume to come, its band, the chance that the market is thin, and what order it bears."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from ml.capability import Answer
from ml.liquidity.question import LiquidityQuestion


class LiquidityAnswer(Answer):
    """Forecast of QV_h, the sum of volume x close of the next h hourly bars. Amounts are in quote currency."""

    hours: int = Field(ge=1, description="h, the hours that qv is of")
    qv: float = Field(gt=0, description="Median forecast of QV_h")
    q05: float = Field(gt=0, description="5% quantile of QV_h")
    q10: float = Field(gt=0, description="10% quantile")
    q25: float = Field(gt=0, description="25% quantile")
    q50: float = Field(gt=0, description="Median, the same as qv")
    q75: float = Field(gt=0, description="75% quantile")
    q90: float = Field(gt=0, description="90% quantile")
    q95: float = Field(gt=0, description="95% quantile")
    p_low: float = Field(ge=0, le=1, description="Chance that the next 6 h are thin: that they trade under thin_below")
    thin_below: float = Field(gt=0, description="10% quantile of the volumes of 6 h in the last 30 days")
    usual: float = Field(gt=0, description="Mean volume of h hours in the last 30 days")
    ratio_to_usual: float = Field(gt=0, description="qv / usual; .8 is 20% below")
    max_order_quote: float = Field(
        ge=0, description="Largest order worked over the horizon at cost_bps of impact; at most 5% of qv"
    )
    max_order_low: float = Field(ge=0, description="The same with the dearest impact that was measured (Y = 1)")
    max_order_high: float = Field(ge=0, description="The same with the cheapest (Y = .3)")
    order_cost_bps: float | None = Field(
        default=None, ge=0, description="Expected impact of order_quote in basis points; null where none was asked"
    )
    book_at: AwareDatetime | None = Field(
        default=None, description="Time of the order book, at most 10 min before as_of; null like the next where none"
    )
    spread_bps: float | None = Field(default=None, gt=0, description="Its spread in basis points of the mid price")
    immediate_max_quote: float | None = Field(
        default=None,
        ge=0,
        description="Largest order sent at once for cost_bps by its levels, the worse of buy and sell",
    )
    immediate_cost_bps: float | None = Field(
        default=None,
        ge=0,
        description="Cost of order_quote sent at once, half the spread in it; null beyond its levels",
    )
    warnings: tuple[str, ...] = Field(
        description="Thin hours, weekends, holidays and releases (US inflation, payrolls, Fed) within the horizon"
    )


def say(question: LiquidityQuestion, answer: LiquidityAnswer) -> str:
    """The answer in one line, with units."""
    warned = f"; {'; '.join(answer.warnings)}" if answer.warnings else ""
    return (
        f"next {answer.hours} h quote volume {amount(answer.qv)} "
        f"(80% band {amount(answer.q10)}-{amount(answer.q90)}), {compared(answer.ratio_to_usual)} usual, "
        f"chance of a thin market in 6 h {100.0 * answer.p_low:.0f}%; orders worked over {answer.hours} h up to "
        f"{amount(answer.max_order_quote)} ({amount(answer.max_order_low)}-{amount(answer.max_order_high)}) "
        f"for {question.cost_bps:g} bp{_order(answer)}{_at_once(question, answer)}{warned}"
    )


def amount(value: float) -> str:
    """`12.3M`, `4.56B`, `789k`: three digits of an amount of money."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{_three_digits(value / size)}{unit}"
    return _three_digits(value)


def compared(ratio: float) -> str:
    """`14% above`, `8% below`, `as much as`, `3.2 x`: a ratio of two volumes in words."""
    change_pct = round(100.0 * (ratio - 1.0))
    if change_pct == 0:
        return "as much as"
    if change_pct > 100:
        return f"{ratio:.1f} x"
    return f"{abs(change_pct)}% {'above' if change_pct > 0 else 'below'}"


def _order(answer: LiquidityAnswer) -> str:
    return (
        "" if answer.order_cost_bps is None else f"; the order asked about costs about {answer.order_cost_bps:.1f} bp"
    )


def _at_once(question: LiquidityQuestion, answer: LiquidityAnswer) -> str:
    if answer.book_at is None or answer.immediate_max_quote is None:
        return ""
    largest = f"; sent at once by the book of {answer.book_at:%H:%M:%S}Z up to {amount(answer.immediate_max_quote)}"
    if question.order_quote is None:
        return largest
    if answer.immediate_cost_bps is None:
        return f"{largest}, the order asked about is more than its levels hold"
    return f"{largest}, the order asked about costs {answer.immediate_cost_bps:.2g} bp"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.3g}"
