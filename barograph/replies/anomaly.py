"""What `detect_anomalies` says. Written by `make client` from the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["price", "volume", "liquidity", "derivatives", "data"]
"""In what way a bar is abnormal."""


@dataclass(frozen=True, kw_only=True)
class AnomalyAnswer:
    """How abnormal the newest closed bar is, and in what way."""

    score: float
    """min(1, -log10(p)/4) of the chance p of such a bar: .5 is 1 bar in 100, .8 1 in 1,600"""
    is_anomaly: bool
    """score >= .6, 1 bar in 250. From .8 on: consider reducing exposure"""
    type: Kind | None = None
    """In which way it stands out; null where the score is below .5"""
    channel: str | None = None
    """What shows it most; null where the score is below .5"""
    once_in_days: float
    """A bar as rare comes once in so many days of trading, up to 10^7 bars"""
    market_wide_share: float | None = None
    """Share of the panel that is abnormal in the same bar; null without a panel"""
    calibrated_to: float
    """Up to which of the scores .5, .6 and .8 bars came .7 to 1.5 times as often as told, on later years of
    this timeframe and kind of market. A higher score still ranks; how rare it is was not shown
    """
