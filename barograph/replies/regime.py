"""What `get_market_regime` says. Written by `make client` from the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Label: TypeAlias = Literal["trend_up", "trend_down", "range_bound", "high_volatility", "consolidation"]
"""A regime. The order is that of the codes 0 .. 4 used in this room."""


@dataclass(frozen=True, kw_only=True)
class RegimeAnswer:
    """Five probabilities that sum to 1, one label, and how long it has stood."""

    label: Label
    """The announced regime. It describes the last bars; it does not predict direction."""
    p_trend_up: float
    """Chance that hindsight will call this bar an upward trend."""
    p_trend_down: float
    """Chance of a downward trend."""
    p_range_bound: float
    """Chance of moves without a trend, at usual volatility."""
    p_high_volatility: float
    """Chance of volatility in the top tenth of 1,440 bars."""
    p_consolidation: float
    """Chance of a quiet market, lowest 30% of 1,440 bars."""
    confidence: float
    """Probability of `label`; below .5 another may be likelier."""
    bars_in_label: int
    """For how many bars the label has been the same; 168 means 168 or more."""
    volatility_ratio: float
    """Volatility of the last 24 bars / its mean over 1,440 bars."""
