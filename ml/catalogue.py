"""All capabilities. A new one is one room in `ml/`, one line here, one prompt, one docs page."""

from __future__ import annotations

from ml.anomaly import ANOMALY
from ml.capability import AnyCapability
from ml.liquidity import LIQUIDITY
from ml.regime import REGIME
from ml.volatility import VOLATILITY

CATALOGUE: tuple[AnyCapability, ...] = (
    REGIME,
    VOLATILITY,
    LIQUIDITY,
    ANOMALY,
)
