"""What is asked about a regime, what is answered, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from pydantic import Field

from ml.bars import Timeframe
from ml.capability import Answer, Question
from ml.regime.formula import LABELS, Label
from ml.regime.state import LONGEST_RUN

LEAST_PROBABILITY = 1e-6
"""Floor of the probability in the loss: no single answer may cost more than 13.8."""


class RegimeQuestion(Question):
    """Which regime is the market in now, as it will look in hindsight?"""


class RegimeAnswer(Answer):
    """Five probabilities that sum to 1, one label, and how long it has stood."""

    label: Label = Field(description="The announced regime. It describes the last bars; it does not predict direction.")
    p_trend_up: float = Field(ge=0, le=1, description="Chance that hindsight will call this bar an upward trend.")
    p_trend_down: float = Field(ge=0, le=1, description="Chance of a downward trend.")
    p_range_bound: float = Field(ge=0, le=1, description="Chance of moves without a trend, at usual volatility.")
    p_high_volatility: float = Field(ge=0, le=1, description="Chance of volatility in the top tenth of 1,440 bars.")
    p_consolidation: float = Field(ge=0, le=1, description="Chance of a quiet market, lowest 30% of 1,440 bars.")
    confidence: float = Field(ge=0, le=1, description="Probability of `label`; below .5 another may be likelier.")
    bars_in_label: int = Field(
        ge=1, le=LONGEST_RUN, description="For how many bars the label has been the same; 168 means 168 or more."
    )
    volatility_ratio: float = Field(ge=0, description="Volatility of the last 24 bars / its mean over 1,440 bars.")


def probabilities(answer: RegimeAnswer) -> tuple[float, ...]:
    """The five probabilities, in the order of LABELS."""
    return (
        answer.p_trend_up,
        answer.p_trend_down,
        answer.p_range_bound,
        answer.p_high_volatility,
        answer.p_consolidation,
    )


def answered(label: Label, p: Sequence[float], bars_in_label: int, volatility_ratio: float) -> RegimeAnswer:
    """The answer with the probabilities `p`, in the order of LABELS."""
    return RegimeAnswer(
        label=label,
        p_trend_up=p[0],
        p_trend_down=p[1],
        p_range_bound=p[2],
        p_high_volatility=p[3],
        p_consolidation=p[4],
        confidence=p[LABELS.index(label)],
        bars_in_label=bars_in_label,
        volatility_ratio=volatility_ratio,
    )


def loss(answer: RegimeAnswer, came_true: str) -> float:
    """Log-loss, -ln p of the label that came true, in nats; 0 is perfect, ln 5 = 1.61 knows nothing, at most 13.8."""
    p = probabilities(answer)[LABELS.index(Label(came_true))]
    return -log(max(p, LEAST_PROBABILITY))


def certain(came_true: str) -> RegimeAnswer:
    """What somebody who knew the truth would have answered: probability 1, loss 0. Run and ratio are not scored: 1."""
    label = Label(came_true)
    return answered(label, [float(one is label) for one in LABELS], bars_in_label=1, volatility_ratio=1.0)


def say(question: RegimeQuestion, answer: RegimeAnswer) -> str:
    """One line, e.g. "range_bound 62%, consolidation 24%; same label for 9 h; 24 h volatility runs 0.8 x normal"."""
    p = dict(zip(LABELS, probabilities(answer), strict=True))
    own = p.pop(answer.label)
    other = max(p, key=lambda label: p[label])
    link = ", " if own >= p[other] else ", though more likely "
    unit = " d" if question.timeframe is Timeframe.D1 else " h" if question.timeframe is Timeframe.H1 else " bars"
    more = " or more" if answer.bars_in_label >= LONGEST_RUN else ""
    return (
        f"{answer.label} {own:.0%}{link}{other} {p[other]:.0%}; same label for {answer.bars_in_label}{unit}{more}; "
        f"24{unit} volatility runs {answer.volatility_ratio:.1f} x normal"
    )
