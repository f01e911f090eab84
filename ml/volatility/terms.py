"""The parts of a forecast in words."""

from __future__ import annotations

import math

from ml.bars import Timeframe
from ml.capability import Term
from ml.volatility.answer import compared, decimals, spoken
from ml.volatility.kernel import DAILY, HOURLY, Windows
from ml.volatility.question import Horizon


def term(name: str, value: float, effect: float, horizon: Horizon) -> Term:
    """One summand of ln(var): `value` as it stands in the row, `effect` in ln variance."""
    unit = "standard deviations" if name == "fall" else "ln variance"
    return Term(name, value, unit, effect, reason(name, value, effect, horizon))


def reason(name: str, value: float, effect: float, horizon: Horizon) -> str:
    """A short sentence with its numbers: what was seen, and by how much it moves the volatility forecast."""
    if name == "level":
        usual_pct = 100.0 * math.exp(0.5 * effect)
        span = "30 days" if horizon.timeframe is Timeframe.H1 else "half year"
        usual = f"{usual_pct:.{decimals(usual_pct)}f}%"
        return f"usual volatility over {spoken(horizon)}, by the ranges of the last {span}: {usual}"
    change_pct = 100.0 * math.expm1(0.5 * effect)
    return f"{_seen(name, value, horizon)}: {change_pct:+.1f}% on the forecast"


def _seen(name: str, value: float, horizon: Horizon) -> str:
    windows = HOURLY if horizon.timeframe is Timeframe.H1 else DAILY
    ratio = math.exp(0.5 * value)
    if name == "fall":
        return f"falls of the last {_span(windows.short, horizon)} add up to {-value:.1f} usual standard deviations"
    if name == "constant":
        return "shipped constant of this horizon, which makes the forecast a mean"
    return _SENTENCES[name].format(ratio=ratio, compared=compared(ratio), window=_window(name, windows, horizon))


_SENTENCES = {
    "now": "newest bar at {ratio:.2f} x usual volatility for its hour",
    "short": "last {window} at {ratio:.2f} x usual volatility for the hours",
    "middle": "last {window} at {ratio:.2f} x usual volatility",
    "slow": "last {window} at {ratio:.2f} x usual volatility",
    "steadiness": "typical bar of the month at {ratio:.2f} x the mean (1 is even, less is spiky)",
    "closes": "closes move {ratio:.2f} x what the ranges suggest",
    "long_run": "last {window} at {ratio:.2f} x the volatility of the level window",
    "season": "coming hours of the week usually at {ratio:.2f} x the week's volatility",
    "due_payrolls": "US payrolls are due",
    "due_fed": "a decision of the Federal Reserve is due",
    "own_season": "the same hours of the last 12 weeks at {ratio:.2f} x their week",
}


def _window(name: str, windows: Windows, horizon: Horizon) -> str:
    lengths = {"short": windows.short, "middle": windows.middle, "slow": windows.slow, "long_run": windows.long_run}
    return _span(lengths[name], horizon) if name in lengths else ""


def _span(bars: int, horizon: Horizon) -> str:
    return f"{bars} h" if horizon.timeframe is Timeframe.H1 else f"{bars} days"
