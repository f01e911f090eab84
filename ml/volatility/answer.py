"""What is answered: the variance to come, its band, and how it compares with the recent past."""

from __future__ import annotations

import math

from pydantic import Field

from ml.bars import Timeframe
from ml.capability import Answer
from ml.volatility.question import Horizon, VolatilityQuestion


class VolatilityAnswer(Answer):
    """Forecast of RV_h, the sum of the next h squared log returns of closes. Variances are fractions squared."""

    var: float = Field(gt=0, description="Mean forecast of RV_h (squared log return, per horizon, not annualised)")
    volatility_pct: float = Field(gt=0, description="100 sqrt(var): volatility over the horizon in %, not annualised")
    q05: float = Field(gt=0, description="5% quantile of RV_h")
    q10: float = Field(gt=0, description="10% quantile of RV_h")
    q25: float = Field(gt=0, description="25% quantile of RV_h")
    q50: float = Field(gt=0, description="Median of RV_h")
    q75: float = Field(gt=0, description="75% quantile of RV_h")
    q90: float = Field(gt=0, description="90% quantile of RV_h")
    q95: float = Field(gt=0, description="95% quantile of RV_h")
    percentile_90d: float = Field(
        ge=0, le=100, description="Where var stands among the RV_h of the last 90 days, 0 (calmest) to 100 (wildest)"
    )
    ratio_to_last: float = Field(
        gt=0, description="Forecast volatility over the volatility of the last h bars; 1.14 is 14% above it"
    )
    upcoming_events: tuple[str, ...] | None = Field(
        default=None,
        description=(
            "Releases of the economic calendar in these hours, with their times: US inflation, US payrolls, decisions "
            "of the Federal Reserve. Null where none is known and a schedule has ended"
        ),
    )
    upcoming_event_impact: float | None = Field(
        default=None,
        gt=0,
        description=(
            "By what factor they are in volatility_pct: 1.4 is 40% more because of them, 1 where none is due. Null "
            "where nobody measured it (days; coins by the rules) and where the calendar does not reach"
        ),
    )


def say(question: VolatilityQuestion, answer: VolatilityAnswer) -> str:
    """The answer in one line, with units."""
    low, high = 100.0 * math.sqrt(answer.q10), 100.0 * math.sqrt(answer.q90)
    places = decimals(low)
    last = f"the last {spoken(question.horizon)}"
    due = f"; due: {', '.join(answer.upcoming_events)}" if answer.upcoming_events else ""
    return (
        f"next {spoken(question.horizon)} volatility {answer.volatility_pct:.{places}f}% "
        f"(80% band {low:.{places}f}-{high:.{places}f}%), "
        f"{ordinal(round(answer.percentile_90d))} percentile of 90 days, {compared(answer.ratio_to_last)} {last}{due}"
    )


def spoken(horizon: Horizon) -> str:
    """`24 h`, `5 days`; markets that close count bars, so this is the name of the horizon, not of the clock."""
    if horizon.timeframe is Timeframe.H1:
        return f"{horizon.bars} h"
    return "day" if horizon.bars == 1 else f"{horizon.bars} days"


def compared(ratio: float) -> str:
    """`14% above`, `8% below`, `as volatile as`, `3.2 x`: a ratio of two volatilities in words."""
    change_pct = round(100.0 * (ratio - 1.0))
    if change_pct == 0:
        return "as volatile as"
    if change_pct > 100:
        return f"{ratio:.1f} x"
    return f"{abs(change_pct)}% {'above' if change_pct > 0 else 'below'}"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `78th`."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def decimals(smallest_pct: float) -> int:
    """Decimals that keep two digits of the smallest percentage shown, between 1 and 4."""
    return min(max(1, 1 - math.floor(math.log10(smallest_pct))), 4) if smallest_pct > 0 else 4
