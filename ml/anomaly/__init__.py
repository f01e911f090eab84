"""Is the newest bar abnormal, in what way, and how rare is that: `detect_anomalies`."""

from __future__ import annotations

from ml.anomaly.answer import AnomalyAnswer, certain, loss, rate_of, say
from ml.anomaly.channels import Kind
from ml.anomaly.features import FEATURES
from ml.anomaly.fed import OBSERVES
from ml.anomaly.learner import LEARNER
from ml.anomaly.planting import EVERY_BARS, PlantedMarket
from ml.anomaly.question import AnomalyQuestion
from ml.anomaly.rules import AnomalyRules
from ml.anomaly.scale import background
from ml.anomaly.tails import MEASURED
from ml.anomaly.truth import horizon_ms, truth
from ml.bars import Floats, Timeframe
from ml.capability import Capability, Goals, Rows, until_next_bar
from ml.strata import by_market
from ml.timeline import Market

__all__ = ["ANOMALY", "AnomalyAnswer", "AnomalyQuestion", "Kind"]


#: Longer bars that the model of hourly ones knows how to read: it looks at bars, not at hours. Days are few, so each of
#: them teaches.
BESIDE = {Timeframe.H4: EVERY_BARS, Timeframe.D1: 1}
#: Ordinary bars with at least a score come between these times as often as the score says.
RATES = (0.7, 1.5)


def practice(market: Market) -> Market:
    """The market with anomalies planted into it, always the same ones."""
    return PlantedMarket(market, seed=0)


def _closes(rows: Rows) -> Floats:
    return 1.0 - rows.column("weekends")


def _replayed(symbol: str, timeframe: Timeframe) -> tuple[AnomalyQuestion, ...]:
    return (AnomalyQuestion(symbol=symbol, timeframe=timeframe),)


ANOMALY: Capability[AnomalyQuestion, AnomalyAnswer, str] = Capability(
    name="anomaly",
    tool="detect_anomalies",
    title="Anomaly detection",
    description=(
        "Whether the newest closed bar is abnormal for this symbol at this hour: score (.5 is 1 bar in 100, .8 is 1 "
        "in 1,600, on every timeframe), type (price, volume, liquidity, derivatives, data), the channel that shows it, "
        "once in how many days such a bar comes, and the share of the market's panel that is abnormal with it. Ask "
        "when a bar has closed, and before acting on a sudden move; from a score of .8 consider reducing exposure, "
        "and on type data do not trust the prices. It says what is, not what will follow: an alarm adds nothing to a "
        "volatility forecast and has no direction. Measured on 1m, 5m, 15m, 1h, 4h and 1d; needs 440 to 1,080 bars; "
        "funding, open interest and order books count where they are fed."
    ),
    question=AnomalyQuestion,
    answer=AnomalyAnswer,
    timeframes=MEASURED,
    features=FEATURES,
    rules=AnomalyRules(),
    horizon_ms=horizon_ms,
    valid_ms=until_next_bar,
    observes=OBSERVES,
    truth=truth,
    truth_kind=str,
    loss=loss,
    certain=certain,
    say=say,
    learner=LEARNER,
    goals=Goals({"rate_50": RATES, "rate_60": RATES, "rate_80": RATES}, least_ratio=0.25),
    figures={"rate_50": rate_of(0.5), "rate_60": rate_of(0.6), "rate_80": rate_of(0.8)},
    practice=practice,
    background=background,
    beside=BESIDE,
    strata=by_market(_closes),
    examples=(AnomalyQuestion(symbol="BTCUSDT"), AnomalyQuestion(symbol="BTCUSDT", timeframe=Timeframe.M5)),
    replayed=_replayed,
)
