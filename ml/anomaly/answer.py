"""What is answered about a bar, how it is judged, and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, log1p

from pydantic import Field

from ml.anomaly.channels import Kind
from ml.anomaly.question import AnomalyQuestion
from ml.bars import DAY_MS
from ml.capability import Answer, Question

#: A score of 1 is 1 bar in 10,000 or rarer.
DEPTH_OF_ONE = 4.0
#: From here on a bar is called abnormal: 1 in 251.
ABNORMAL = 0.6
#: From here on the type is told: 1 in 100.
NOTABLE = 0.5
#: From here on exposure should be reconsidered: 1 in 1,585.
ALARMING = 0.8
NORMAL = "normal"

#: ln odds that a bar with this score is an anomaly, at a prior of 1 bar in 60: those of a p-value whose density under
#: the alternative is Beta(1/4, 1) (the family of Sellke, Bayarri and Berger 2001), rounded.
ODDS_AT_ZERO = -5.5
ODDS_PER_SCORE = 7.0
#: Chance that the type is the one that is told, where there is an anomaly.
TYPE_RIGHT = 0.85
_OTHERS = len(Kind) - 1
#: Scores at which rates were measured.
_MEASURED = (NOTABLE, ABNORMAL, ALARMING)


class AnomalyAnswer(Answer):
    """How abnormal the newest closed bar is, and in what way."""

    score: float = Field(
        ge=0, le=1, description="min(1, -log10(p)/4) of the chance p of such a bar: .5 is 1 bar in 100, .8 1 in 1,600"
    )
    is_anomaly: bool = Field(description="score >= .6, 1 bar in 250. From .8 on: consider reducing exposure")
    type: Kind | None = Field(default=None, description="In which way it stands out; null where the score is below .5")
    channel: str | None = Field(default=None, description="What shows it most; null where the score is below .5")
    once_in_days: float = Field(
        ge=0, description="A bar as rare comes once in so many days of trading, up to 10^7 bars"
    )
    market_wide_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the panel that is abnormal in the same bar; null without a panel",
    )
    calibrated_to: float = Field(
        ge=0,
        le=1,
        description=(
            "Up to which of the scores .5, .6 and .8 bars came .7 to 1.5 times as often as told, on later years of "
            "this timeframe and kind of market. A higher score still ranks; how rare it is was not shown"
        ),
    )


def answer_of(
    question: Question,
    depth: float,
    kind: Kind,
    channel: str,
    market_wide_share: float | None,
    calibrated_to: float,
) -> AnomalyAnswer:
    """From `depth`, -log10 of the chance of such a bar."""
    score = min(1.0, depth / DEPTH_OF_ONE)
    notable = score >= NOTABLE
    return AnomalyAnswer(
        score=score,
        is_anomaly=score >= ABNORMAL,
        type=kind if notable else None,
        channel=channel if notable else None,
        once_in_days=question.timeframe.milliseconds / DAY_MS * 10.0**depth,
        market_wide_share=market_wide_share,
        calibrated_to=calibrated_to,
    )


def loss(answer: AnomalyAnswer, came_true: str) -> float:
    """Log-loss, in nats, of the chance of an anomaly that the score stands for, and of its type where there is one.

    0.004 for an ordinary bar that scored 0, at least 0.36 for an anomaly. An anomaly below a score of .5, whose type is
    not told, counts as if all types were alike."""
    odds = ODDS_AT_ZERO + ODDS_PER_SCORE * answer.score
    if came_true == NORMAL:
        return _softplus(odds)
    if answer.type is None:
        share = 1.0 / len(Kind)
    else:
        share = TYPE_RIGHT if answer.type == came_true else (1.0 - TYPE_RIGHT) / _OTHERS
    return _softplus(-odds) - log(share)


def certain(came_true: str) -> AnomalyAnswer:
    """What somebody who knew the truth would have answered. Rarity, the market and how far it holds are not scored."""
    abnormal = came_true != NORMAL
    return AnomalyAnswer(
        score=float(abnormal),
        is_anomaly=abnormal,
        type=Kind(came_true) if abnormal else None,
        channel=None,
        once_in_days=0.0,
        market_wide_share=None,
        calibrated_to=1.0,
    )


def rate_of(score: float) -> Callable[[AnomalyAnswer, str], float | None]:
    """A figure of calibration: of bars that nothing was planted into, how often a score is reached, as a multiple of
    how often it says; 1 is honest."""
    nominal = 10.0 ** (-DEPTH_OF_ONE * score)

    def rate(answer: AnomalyAnswer, came_true: str) -> float | None:
        return None if came_true != NORMAL else float(answer.score >= score) / nominal

    return rate


def say(question: AnomalyQuestion, answer: AnomalyAnswer) -> str:
    """One line, e.g. "price anomaly, score 0.84 (move): once in 90 days; 12% of the panel in the same bar"."""
    rare = f"as rare a {question.timeframe} bar comes {often(answer.once_in_days)}"
    if answer.is_anomaly:
        opening = f"{answer.type} anomaly, score {answer.score:.2f} ({answer.channel}): {rare}"
    elif answer.type is not None:
        opening = f"no anomaly, but notable: score {answer.score:.2f} by {answer.channel}, {rare}"
    else:
        opening = f"no anomaly, score {answer.score:.2f}: {rare}"
    if any(answer.calibrated_to < score <= answer.score for score in _MEASURED):
        opening += f" (such rates were shown to hold up to a score of {answer.calibrated_to:g} here)"
    if answer.market_wide_share is not None:
        opening += f"; {answer.market_wide_share:.0%} of the panel is abnormal too"
    return f"{opening}; consider reducing exposure" if answer.score >= ALARMING else opening


def often(once_in_days: float) -> str:
    """`once in 12 days`, `3 times a day`."""
    if once_in_days >= 1.0:
        return f"once in {once_in_days:,.0f} days" if once_in_days >= 1.5 else "once a day"
    times = 1.0 / max(once_in_days, 1e-9)
    return f"{times:,.0f} times a day"


def chance(score: float) -> float:
    """The chance of an anomaly that a score stands for in the loss, in (0, 1)."""
    return 1.0 / (1.0 + exp(-(ODDS_AT_ZERO + ODDS_PER_SCORE * score)))


def _softplus(x: float) -> float:
    return max(x, 0.0) + log1p(exp(-abs(x)))
