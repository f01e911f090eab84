"""What `forecast_volatility` says. Written by `make client` from the contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class VolatilityAnswer:
    """Forecast of RV_h, the sum of the next h squared log returns of closes. Variances are fractions squared."""

    var: float
    """Mean forecast of RV_h (squared log return, per horizon, not annualised)"""
    volatility_pct: float
    """100 sqrt(var): volatility over the horizon in %, not annualised"""
    q05: float
    """5% quantile of RV_h"""
    q10: float
    """10% quantile of RV_h"""
    q25: float
    """25% quantile of RV_h"""
    q50: float
    """Median of RV_h"""
    q75: float
    """75% quantile of RV_h"""
    q90: float
    """90% quantile of RV_h"""
    q95: float
    """95% quantile of RV_h"""
    percentile_90d: float
    """Where var stands among the RV_h of the last 90 days, 0 (calmest) to 100 (wildest)"""
    ratio_to_last: float
    """Forecast volatility over the volatility of the last h bars; 1.14 is 14% above it"""
    upcoming_events: tuple[str, ...] | None = None
    """Releases of the economic calendar in these hours, with their times: US inflation, US payrolls, decisions
    of the Federal Reserve. Null where none is known and a schedule has ended
    """
    upcoming_event_impact: float | None = None
    """By what factor they are in volatility_pct: 1.4 is 40% more because of them, 1 where none is due. Null
    where nobody measured it (days; coins by the rules) and where the calendar does not reach
    """
