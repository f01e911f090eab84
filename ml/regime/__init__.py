"""Which regime is a market in? One capability, by rules (version 0)."""

from ml.regime.answer import RegimeAnswer, RegimeQuestion
from ml.regime.capability import REGIME

__all__ = ["REGIME", "RegimeAnswer", "RegimeQuestion"]
