"""How a model's answer is explained: reasons read from the row, and groups of columns with what each did."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from ml.bars import Floats
from ml.capability import Term
from ml.regime.answer import RegimeAnswer, probabilities
from ml.regime.columns import MODEL_NAMES
from ml.regime.formula import LABELS, Label

_TRENDS = (Label.TREND_UP, Label.TREND_DOWN)


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that say one thing together; alone they stand in for each other. `shown` is the one that is named."""

    name: str
    columns: tuple[str, ...]
    shown: str
    unit: str


GROUPS = (
    Group(
        "volatility",
        ("need_high", "need_calm", "power_12", "power_18", "range_12", "power_ahead"),
        "power_12",
        "ln of power against calm",
    ),
    Group("net move", ("up_margin", "down_margin", "z_12", "z_18", "straight_12"), "z_12", "sigma sqrt 12"),
    Group("trend of weeks", ("straight_168", "move_96", "move_480"), "move_480", "sigma sqrt 480"),
    Group("usual spread of volatility", ("calm_level", "wild_level"), "calm_level", "ln of power"),
    Group("time of day and week", ("hour", "weekday"), "hour", "UTC hour"),
)


def reasons_of(values: Floats, answer: RegimeAnswer, best: Label, fitted: str) -> tuple[str, ...]:
    """Sentences about the model's columns at the bar, shape (18,), the one that decides the label first. `best` is the
    label that would be announced if none stood."""
    row = dict(zip(MODEL_NAMES, values.tolist(), strict=True))
    level = (
        f"the last 12 bars ran at {exp(row['power_12'] / 2):.2f} x the volatility that counts as quiet here, the "
        f"coming 12 are expected at {exp(row['power_ahead'] / 2):.2f} x; {exp(row['calm_level'] / 2):.2f} x is the top "
        "tenth"
    )
    move = f"net move of the last 12 bars is {row['z_12']:+.2f} of what their volatility allows a random walk"
    by_level = answer.label in (Label.HIGH_VOLATILITY, Label.CONSOLIDATION)
    said = [level, move] if by_level else [move, level]
    if best != answer.label:
        p = dict(zip(LABELS, probabilities(answer), strict=True))
        said.insert(0, f"{answer.label} stands: {best} at {p[best]:.0%} does not lead it by enough to switch")
    if answer.label in _TRENDS:
        said.append("a trend label describes the last bars; it does not predict direction")
    return (*said, f"trees and a net, fitted on {fitted}")


def term(group: Group, values: Floats, effect: float, answer: RegimeAnswer) -> Term:
    """What a group of columns did to ln p of the label, in nats."""
    value = float(values[MODEL_NAMES.index(group.shown)])
    text = (
        f"{group.name} ({group.shown} {value:+.2f}) changes the chance of {answer.label} by a factor of "
        f"{exp(effect):.2f} against its usual values"
    )
    return Term(group.name, value, group.unit, effect, text)
