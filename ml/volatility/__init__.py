"""How volatile a market will be over the next hours or days: `forecast_volatility`."""

from __future__ import annotations

from ml.bars import Floats, Timeframe
from ml.capability import Capability, Goals, Rows, until_next_bar
from ml.strata import by_market
from ml.volatility.answer import VolatilityAnswer, say
from ml.volatility.features import FEATURES
from ml.volatility.learner import LEARNER
from ml.volatility.question import Horizon, VolatilityQuestion, horizons_on
from ml.volatility.rules import VolatilityRules
from ml.volatility.truth import certain, loss, truth

__all__ = ["VOLATILITY", "Horizon", "VolatilityAnswer", "VolatilityQuestion"]


def _horizon_ms(question: VolatilityQuestion) -> int:
    return question.horizon.milliseconds


def _replayed(symbol: str, timeframe: Timeframe) -> tuple[VolatilityQuestion, ...]:
    return tuple(VolatilityQuestion(symbol=symbol, horizon=horizon) for horizon in horizons_on(timeframe))


def _closes(rows: Rows) -> Floats:
    return 1.0 - rows.column("trades_weekends")


VOLATILITY: Capability[VolatilityQuestion, VolatilityAnswer, float] = Capability(
    name="volatility",
    tool="forecast_volatility",
    title="Volatility forecast",
    description=(
        "How volatile a symbol will be over the next 6h, 12h, 24h or 48h (from 1h bars) or 1d or 5d (from 1d bars): "
        "mean forecast and quantiles of realised variance, volatility in % over the horizon (not annualised), its "
        "percentile of the last 90 days and its ratio to the volatility just seen. Ask before sizing a position or "
        "placing a stop: volatility_pct is about one standard deviation of the move. It says how far, never which "
        "way, and names releases that are due (US inflation, US payrolls, Fed decisions) with what they add. It "
        "abstains on too little history, gaps, frozen prices and other timeframes."
    ),
    question=VolatilityQuestion,
    answer=VolatilityAnswer,
    timeframes=frozenset({Timeframe.H1, Timeframe.D1}),
    features=FEATURES,
    learner=LEARNER,
    goals=Goals({"coverage_80": (0.77, 0.83), "coverage_90": (0.87, 0.93)}, least_ratio=0.6),
    rules=VolatilityRules(),
    horizon_ms=_horizon_ms,
    valid_ms=until_next_bar,
    truth=truth,
    truth_kind=float,
    loss=loss,
    certain=certain,
    say=say,
    examples=(
        VolatilityQuestion(symbol="BTCUSDT"),
        VolatilityQuestion(symbol="ETHUSDT", horizon=Horizon.H6),
        VolatilityQuestion(symbol="SPX", horizon=Horizon.D5),
    ),
    replayed=_replayed,
    strata=by_market(_closes),
)
