"""How much will be traded over the next hours, and how large an order that bears: `forecast_liquidity`."""

from __future__ import annotations

from ml.bars import Timeframe
from ml.capability import Capability, Goals, until_next_bar
from ml.liquidity.answer import LiquidityAnswer, say
from ml.liquidity.features import FEATURES
from ml.liquidity.immediate import OBSERVES
from ml.liquidity.learner import LEARNER
from ml.liquidity.question import Horizon, LiquidityQuestion, horizons_on
from ml.liquidity.rules import LiquidityRules
from ml.liquidity.truth import certain, chance_less_share, loss, truth

__all__ = ["LIQUIDITY", "Horizon", "LiquidityAnswer", "LiquidityQuestion"]


def _horizon_ms(question: LiquidityQuestion) -> int:
    return question.horizon.milliseconds


def _replayed(symbol: str, timeframe: Timeframe) -> tuple[LiquidityQuestion, ...]:
    return tuple(LiquidityQuestion(symbol=symbol, horizon=horizon) for horizon in horizons_on(timeframe))


LIQUIDITY: Capability[LiquidityQuestion, LiquidityAnswer, float] = Capability(
    name="liquidity",
    tool="forecast_liquidity",
    title="Liquidity forecast",
    description=(
        "How much will be traded in a symbol over the next 6h, 12h or 24h (from 1h bars), in quote currency: median "
        "and quantiles, the ratio to the usual volume of the month, the chance that the next 6 h are thin, and the "
        "largest order that, worked over the horizon, moves the price by no more than cost_bps. Ask before sizing "
        "an order or choosing when to trade; give order_quote for the expected impact of an order. It warns of thin "
        "hours, weekends and holidays. Of an order sent at once it speaks only where a fresh order book is fed; "
        "it does not answer on gaps, markets that close, and other timeframes."
    ),
    question=LiquidityQuestion,
    answer=LiquidityAnswer,
    timeframes=frozenset({Timeframe.H1}),
    features=FEATURES,
    observes=OBSERVES,
    goals=Goals(
        {"coverage_80": (0.77, 0.83), "coverage_90": (0.87, 0.93), "thin_chance_less_share": (-0.03, 0.03)},
        least_ratio=0.6,
    ),
    figures={"thin_chance_less_share": chance_less_share},
    learner=LEARNER,
    rules=LiquidityRules(),
    horizon_ms=_horizon_ms,
    valid_ms=until_next_bar,
    truth=truth,
    truth_kind=float,
    loss=loss,
    certain=certain,
    say=say,
    examples=(
        LiquidityQuestion(symbol="BTCUSDT"),
        LiquidityQuestion(symbol="ETHUSDT", horizon=Horizon.H6, cost_bps=5.0, order_quote=250_000.0),
    ),
    replayed=_replayed,
    money=frozenset(
        {"qv", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "thin_below", "usual"}
        | {"max_order_quote", "max_order_low", "max_order_high", "immediate_max_quote"}
    ),
)
