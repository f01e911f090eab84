"""The replies of the tools, as frozen dataclasses. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from barograph.replies.anomaly import AnomalyAnswer
from barograph.replies.explain_prediction import Explanation
from barograph.replies.liquidity import LiquidityAnswer
from barograph.replies.regime import RegimeAnswer
from barograph.replies.server_status import Status
from barograph.replies.shared import Reply
from barograph.replies.track_record import TrackRecordReply
from barograph.replies.volatility import VolatilityAnswer

#: The type of each tool's reply.
REPLIES: Mapping[str, Any] = {
    "get_market_regime": Reply[RegimeAnswer],
    "forecast_volatility": Reply[VolatilityAnswer],
    "forecast_liquidity": Reply[LiquidityAnswer],
    "detect_anomalies": Reply[AnomalyAnswer],
    "get_server_status": Status,
    "explain_prediction": Explanation,
    "get_track_record": TrackRecordReply,
}

#: Asking these twice is as good as asking once.
REPEATABLE = frozenset(
    {
        "get_market_regime",
        "forecast_volatility",
        "forecast_liquidity",
        "detect_anomalies",
        "get_server_status",
        "explain_prediction",
        "get_track_record",
    }
)
