"""Version 0: the season of the coming hours x an exponentially smoothed level, with fixed bands.

The smoothed level is of volumes with the hour of the week removed (Holt 1957, with a shipped season): what the last ten
hours traded, at the hours to come. Bands are fixed multiples; the chance of a thin market is logistic in the distance
of the forecast from the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.liquidity.answer import LiquidityAnswer, amount
from ml.liquidity.constants import RULES, THIN_ODDS
from ml.liquidity.forecast import CONFIDENCE_NOTE, LOG_AMOUNTS, Said, forecast
from ml.liquidity.immediate import Immediate, immediate_of
from ml.liquidity.kernel import NAMES, THIN_BARS
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.liquidity.ranges import RANGES
from ml.liquidity.refusal import refusal
from ml.liquidity.releases import due_of
from ml.liquidity.season import coming
from ml.week import slot_of_hour

_AT = {name: position for position, name in enumerate(NAMES)}
_SIX = Horizon.H6


class LiquidityRules:
    """Season x smoothed level. Effects of `explain` are logs of an amount and sum to ln(qv)."""

    version = 0
    ranges = RANGES

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[LiquidityAnswer] | CannotAnswer]:
        """One outcome per row; abstains on rows that `refusal` names."""
        beside = zip(_each(rows), immediate_of(rows), due_of(rows), strict=True)
        return [_answer(*asked, book, due, reasons) for asked, book, due in beside]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Terms, strongest first; effects sum to ln(qv). Empty for an abstention."""
        return [
            ()
            if isinstance(_answer(question, row, book, (), False), CannotAnswer)
            else with_book(terms_of(question.horizon, row), book)
            for (question, row), book in zip(_each(rows), immediate_of(rows), strict=True)
        ]


def _each(rows: Rows) -> list[tuple[LiquidityQuestion, list[float]]]:
    """Question and plain numbers of each row: handled one by one, a row has the same bits alone or among many."""
    asked: list[tuple[LiquidityQuestion, list[float]]] = []
    for question, row in zip(rows.questions, rows.values[:, : len(NAMES)].tolist(), strict=True):
        assert isinstance(question, LiquidityQuestion)
        asked.append((question, row))
    return asked


def with_book(terms: tuple[Term, ...], book: Immediate | None) -> tuple[Term, ...]:
    """The terms of a forecast, and at their end the book, which is no part of it."""
    return terms if book is None else (*terms, book.term)


def _answer(
    question: LiquidityQuestion, row: list[float], book: Immediate | None, due: Sequence[str], reasons: bool
) -> Given[LiquidityAnswer] | CannotAnswer:
    refused = refusal(row)
    if refused:
        return refused
    log_qv = math.fsum(effects_of(question.horizon, row).values())
    if not LOG_AMOUNTS[0] <= log_qv <= LOG_AMOUNTS[1]:
        return CannotAnswer(Why.OUT_OF_RANGE, f"ln volume would be {log_qv:.0f}: no currency is so small or so large")
    said = Said(log_qv, RULES[question.horizon].bands, chance_of_thin(distance_from_thin(row)))
    told = NOT_ASKED_FOR
    if reasons:
        told = tuple(one.text for one in with_book(terms_of(question.horizon, row), book))
    return Given(forecast(question, row, said, book, due), None, CONFIDENCE_NOTE, told)


def distance_from_thin(row: Sequence[float]) -> float:
    """ln of the 6 h forecast over the threshold of a thin market."""
    relative = math.fsum(effects_of(_SIX, row).values()) - row[_AT["log_level"]] - math.log(THIN_BARS)
    return relative - row[_AT["thin_below"]]


def chance_of_thin(distance: float) -> float:
    """Chance of a thin market at this distance from the threshold."""
    return 1.0 / (1.0 + math.exp(min(-(THIN_ODDS[0] + THIN_ODDS[1] * distance), 500.0)))


def effects_of(horizon: Horizon, row: Sequence[float]) -> dict[str, float]:
    """Summands of ln(qv) by name."""
    slot = slot_of_hour(int(row[_AT["first_hour"]]))
    return {
        "level": math.log(horizon.bars) + row[_AT["log_level"]],
        "smoothed": RULES[horizon].memory * row[_AT["smoothed"]],
        "season": math.log(float(coming(horizon.bars)[slot]) / horizon.bars),
        "constant": math.log(RULES[horizon].factor),
    }


def terms_of(horizon: Horizon, row: Sequence[float]) -> tuple[Term, ...]:
    """The summands, strongest first."""
    told = [
        Term(name, _ratio(name, effect, row), "x", effect, text_of(name, effect, horizon, row))
        for name, effect in effects_of(horizon, row).items()
    ]
    return tuple(sorted(told, key=lambda one: -abs(one.effect or 0.0)))


def text_of(name: str, effect: float, horizon: Horizon, row: Sequence[float]) -> str:
    """A summand in words."""
    return _text(name, _ratio(name, effect, row), effect, horizon)


def _ratio(name: str, effect: float, row: Sequence[float]) -> float:
    return math.exp(row[_AT["smoothed"]] if name == "smoothed" else effect)


def _text(name: str, ratio: float, effect: float, horizon: Horizon) -> str:
    if name == "level":
        return f"usual volume of {horizon.bars} h, mean of 30 days: {amount(ratio)}"
    change = f"{100.0 * math.expm1(effect):+.1f}% on the forecast"
    if name == "smoothed":
        return f"last hours (half-life 7 h) at {ratio:.2f} x usual for the hours: {change}"
    if name == "season":
        return f"coming hours of the week usually at {ratio:.2f} x the week's mean: {change}"
    return f"shipped constant of this horizon, which makes the forecast a median: {change}"
