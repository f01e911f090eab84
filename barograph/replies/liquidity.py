"""What `forecast_liquidity` says. Written by `make client` from the contract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class LiquidityAnswer:
    """Forecast of QV_h, the sum of volume x close of the next h hourly bars. Amounts are in quote currency."""

    hours: int
    """h, the hours that qv is of"""
    qv: float
    """Median forecast of QV_h"""
    q05: float
    """5% quantile of QV_h"""
    q10: float
    """10% quantile"""
    q25: float
    """25% quantile"""
    q50: float
    """Median, the same as qv"""
    q75: float
    """75% quantile"""
    q90: float
    """90% quantile"""
    q95: float
    """95% quantile"""
    p_low: float
    """Chance that the next 6 h are thin: that they trade under thin_below"""
    thin_below: float
    """10% quantile of the volumes of 6 h in the last 30 days"""
    usual: float
    """Mean volume of h hours in the last 30 days"""
    ratio_to_usual: float
    """qv / usual; .8 is 20% below"""
    max_order_quote: float
    """Largest order worked over the horizon at cost_bps of impact; at most 5% of qv"""
    max_order_low: float
    """The same with the dearest impact that was measured (Y = 1)"""
    max_order_high: float
    """The same with the cheapest (Y = .3)"""
    order_cost_bps: float | None = None
    """Expected impact of order_quote in basis points; null where none was asked"""
    book_at: datetime | None = None
    """Time of the order book, at most 10 min before as_of; null like the next where none"""
    spread_bps: float | None = None
    """Its spread in basis points of the mid price"""
    immediate_max_quote: float | None = None
    """Largest order sent at once for cost_bps by its levels, the worse of buy and sell"""
    immediate_cost_bps: float | None = None
    """Cost of order_quote sent at once, half the spread in it; null beyond its levels"""
    warnings: tuple[str, ...]
    """Thin hours, weekends, holidays and releases (US inflation, payrolls, Fed) within the horizon"""
