"""The regime capability, assembled."""

from __future__ import annotations

from ml.bars import Timeframe
from ml.capability import Capability, Goals
from ml.regime.answer import RegimeAnswer, RegimeQuestion, certain, loss, say
from ml.regime.columns import FEATURES_FOR_MODELS
from ml.regime.formula import HALF
from ml.regime.learner import LEARNER
from ml.regime.rules import RegimeRules
from ml.regime.truth import truth

DESCRIPTION = (
    "Which regime a market is in now, as it will look in hindsight: trend_up, trend_down, range_bound, "
    "high_volatility or consolidation, each with a probability; the five sum to 1. Ask before choosing a kind of "
    "strategy or a stop distance; ask again when a bar has closed, not sooner. `confidence` is the probability of "
    "`label`: below .5 another regime may be likelier, so read all five. `bars_in_label` counts bars (at most 168), "
    "`volatility_ratio` is the volatility of the last 24 bars over its mean of 1,440 bars. A trend label describes the "
    "last bars; it does not predict direction: do not ask for entries or price targets. Needs 1,631 bars of 1h or 1d; "
    "refuses on gaps and on prices that do not move."
)


def _replayed(symbol: str, timeframe: Timeframe) -> tuple[RegimeQuestion, ...]:
    return (RegimeQuestion(symbol=symbol, timeframe=timeframe),)


def _horizon_ms(question: RegimeQuestion) -> int:
    """Until the window has closed. The label is final a few bars later, when the path can no longer change."""
    return HALF * question.timeframe.milliseconds


def _valid_ms(question: RegimeQuestion) -> int:
    return question.timeframe.milliseconds


REGIME: Capability[RegimeQuestion, RegimeAnswer, str] = Capability(
    name="regime",
    tool="get_market_regime",
    title="Market regime",
    description=DESCRIPTION,
    question=RegimeQuestion,
    answer=RegimeAnswer,
    timeframes=frozenset({Timeframe.H1, Timeframe.D1}),
    features=FEATURES_FOR_MODELS,
    rules=RegimeRules(),
    horizon_ms=_horizon_ms,
    valid_ms=_valid_ms,
    truth=truth,
    truth_kind=str,
    loss=loss,
    certain=certain,
    say=say,
    examples=(RegimeQuestion(symbol="BTCUSDT"), RegimeQuestion(symbol="SPX", timeframe=Timeframe.D1)),
    replayed=_replayed,
    learner=LEARNER,
    goals=Goals({"ece": (0.0, 0.02)}, least_ratio=0.5),
)
