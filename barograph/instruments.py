"""The tools as methods. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from barograph.replies.anomaly import AnomalyAnswer
from barograph.replies.explain_prediction import Explanation
from barograph.replies.liquidity import LiquidityAnswer
from barograph.replies.regime import RegimeAnswer
from barograph.replies.server_status import Status
from barograph.replies.shared import Detail, Reply, Timeframe, Use
from barograph.replies.track_record import TrackRecordReply
from barograph.replies.volatility import VolatilityAnswer

T = TypeVar("T")

# fmt: off

class Instruments(Protocol):
    """Each method asks one tool. What is None is not said: the server's default holds."""

    def _asked(self, kind: type[T] | None, tool: str, fields: Mapping[str, object]) -> T: ...

    def regime(self, symbol: str, *, timeframe: Timeframe | None = None, as_of: datetime | str | None = None,
            use: Use | None = None, more_symbols: Sequence[str] | None = None,
            detail: Detail | None = None) -> Reply[RegimeAnswer]:
        """Market regime (`get_market_regime`). Which regime a market is in now, as it will look in hindsight.
        """
        fields: dict[str, object] = {
            "symbol": symbol, "timeframe": timeframe, "as_of": as_of, "use": use, "more_symbols": more_symbols,
                    "detail": detail
        }
        return self._asked(Reply[RegimeAnswer], "get_market_regime", fields)

    def volatility(self, symbol: str, *, timeframe: Timeframe | None = None,
            as_of: datetime | str | None = None, use: Use | None = None, horizon: Literal["6h", "12h", "24h",
            "48h", "1d", "5d"] | None = None, more_symbols: Sequence[str] | None = None,
            detail: Detail | None = None) -> Reply[VolatilityAnswer]:
        """Volatility forecast (`forecast_volatility`). How volatile a symbol will be over the next 6h, 12h, 24h
        or 48h (from 1h bars) or 1d or 5d (from 1d bars).
        """
        fields: dict[str, object] = {
            "symbol": symbol, "timeframe": timeframe, "as_of": as_of, "use": use, "horizon": horizon,
                    "more_symbols": more_symbols, "detail": detail
        }
        return self._asked(Reply[VolatilityAnswer], "forecast_volatility", fields)

    def liquidity(self, symbol: str, *, timeframe: Timeframe | None = None, as_of: datetime | str | None = None,
            use: Use | None = None, horizon: Literal["6h", "12h", "24h"] | None = None,
            cost_bps: float | None = None, order_quote: float | None = None,
            more_symbols: Sequence[str] | None = None, detail: Detail | None = None) -> Reply[LiquidityAnswer]:
        """Liquidity forecast (`forecast_liquidity`). How much will be traded in a symbol over the next 6h, 12h
        or 24h (from 1h bars), in quote currency.
        """
        fields: dict[str, object] = {
            "symbol": symbol, "timeframe": timeframe, "as_of": as_of, "use": use, "horizon": horizon,
                    "cost_bps": cost_bps, "order_quote": order_quote, "more_symbols": more_symbols,
                    "detail": detail
        }
        return self._asked(Reply[LiquidityAnswer], "forecast_liquidity", fields)

    def anomaly(self, symbol: str, *, timeframe: Timeframe | None = None, as_of: datetime | str | None = None,
            use: Use | None = None, more_symbols: Sequence[str] | None = None,
            detail: Detail | None = None) -> Reply[AnomalyAnswer]:
        """Anomaly detection (`detect_anomalies`). Whether the newest closed bar is abnormal for this symbol at
        this hour.
        """
        fields: dict[str, object] = {
            "symbol": symbol, "timeframe": timeframe, "as_of": as_of, "use": use, "more_symbols": more_symbols,
                    "detail": detail
        }
        return self._asked(Reply[AnomalyAnswer], "detect_anomalies", fields)

    def server_status(self, *, detail: Detail | None = None, symbol: str | None = None,
            starts_with: str | None = None) -> Status:
        """Server status (`get_server_status`). Which symbols are fed, which series are stale, who answers each
        instrument (rules or a model), and whether predictions are written down.
        """
        fields: dict[str, object] = {
            "detail": detail, "symbol": symbol, "starts_with": starts_with
        }
        return self._asked(Status, "get_server_status", fields)

    def explain_prediction(self, prediction_id: str, *, detail: Detail | None = None) -> Explanation:
        """Explain a prediction (`explain_prediction`). Why a prediction came out as it did."""
        fields: dict[str, object] = {
            "prediction_id": prediction_id, "detail": detail
        }
        return self._asked(Explanation, "explain_prediction", fields)

    def track_record(self, instrument: str, *, detail: Detail | None = None, symbol: str | None = None,
            horizon: str | None = None, version: int | None = None, window: Literal["30d", "90d", "365d",
            "all"] | None = None) -> TrackRecordReply:
        """Track record (`get_track_record`). How the past answers of an instrument did once their truth was
        known, by version, live and replayed apart.
        """
        fields: dict[str, object] = {
            "instrument": instrument, "detail": detail, "symbol": symbol, "horizon": horizon,
                    "version": version, "window": window
        }
        return self._asked(TrackRecordReply, "get_track_record", fields)
