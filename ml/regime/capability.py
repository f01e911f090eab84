"""The regime capability, assembled."""

from __future__ import annotations

import numpy as np

from ml.bars import Floats, Timeframe
from ml.capability import Capability, Goals, Rows, until_next_bar
from ml.regime.answer import RegimeAnswer, RegimeQuestion, certain, loss, say
from ml.regime.columns import FEATURES_FOR_MODELS
from ml.regime.formula import HALF
from ml.regime.learner import LEARNER
from ml.regime.rules import RegimeRules
from ml.regime.truth import truth
from ml.strata import by_market

DESCRIPTION = (
    "Which regime a market is in now, as it will look in hindsight: trend_up, trend_down, range_bound, "
    "high_volatility or consolidation, with probabilities that sum to 1. Ask before choosing a kind of strategy or a "
    "stop distance, once per closed bar. Not for entries or price targets: a trend label describes the last 24 bars "
    "and does not predict direction. `confidence` is the probability of `label` (below .5 another regime may be "
    "likelier); 1,631 bars of 1h or 1d are needed, and gaps and prices that do not move are abstained on."
)


def _replayed(symbol: str, timeframe: Timeframe) -> tuple[RegimeQuestion, ...]:
    return (RegimeQuestion(symbol=symbol, timeframe=timeframe),)


def _horizon_ms(question: RegimeQuestion) -> int:
    """Until the window has closed. The label is final a few bars later, when the path can no longer change."""
    return HALF * question.timeframe.milliseconds


def _closes(rows: Rows) -> Floats:
    """`sessions` tells it of hourly bars alone."""
    hourly = [question.timeframe is Timeframe.H1 for question in rows.questions]
    return np.where(hourly, rows.column("sessions"), np.nan)


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
    valid_ms=until_next_bar,
    truth=truth,
    truth_kind=str,
    loss=loss,
    certain=certain,
    say=say,
    examples=(RegimeQuestion(symbol="BTCUSDT"), RegimeQuestion(symbol="SPX", timeframe=Timeframe.D1)),
    replayed=_replayed,
    strata=by_market(_closes),
    learner=LEARNER,
    goals=Goals({"ece": (0.0, 0.015)}, least_ratio=0.5),
)
