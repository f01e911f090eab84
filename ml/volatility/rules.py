"""Version 0: a log-linear forecast from the ranges of the last hour, day, week and month, and the season.

HAR (Corsi 2009, "A simple approximate long-memory model of realized volatility") in logs, with ranges in place of
squared returns, everything relative to the symbol's own level, and shipped constants. The weights minimise QLIKE, so
the forecast is a mean, not the median that a log regression gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ml.bars import Instant, Timeframe
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.constants import RULES, TERMS
from ml.volatility.forecast import CONFIDENCE_NOTE, LOG_VARIANCES, forecast, kind_of
from ml.volatility.kernel import NAMES
from ml.volatility.question import Horizon, VolatilityQuestion
from ml.volatility.ranges import RANGES
from ml.volatility.refusal import refusal
from ml.volatility.releases import DUE, ROW_OF_RULES
from ml.volatility.terms import reason, term

_AT = {name: position for position, name in enumerate(ROW_OF_RULES)}
_TERMS_AT = tuple(_AT[name] for name in TERMS)
REASONS = 4


class VolatilityRules:
    """HAR of ranges with season. Effects of `explain` are log variances and sum to ln(var)."""

    version = 0
    ranges = RANGES

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[VolatilityAnswer] | CannotAnswer]:
        """One outcome per row; abstains on rows that `refusal` names."""
        return [self._answer(*asked, reasons) for asked in _each(rows)]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Terms, strongest first; effects (ln variance over the horizon) sum to ln(var). Empty for an abstention."""
        return [self._terms(*asked) for asked in _each(rows)]

    def _answer(
        self, horizon: Horizon, timeframe: Timeframe, row: list[float], through: Instant, reasons: bool
    ) -> Given[VolatilityAnswer] | CannotAnswer:
        refused = refusal(timeframe, row[: len(NAMES)])
        if refused:
            return refused
        effects = _effects(horizon, row)
        log_variance = math.fsum(effects.values())
        if not LOG_VARIANCES[0] <= log_variance <= LOG_VARIANCES[1]:
            text = f"ln variance would be {log_variance:.1f}, no market was measured outside {LOG_VARIANCES}"
            return CannotAnswer(Why.OUT_OF_RANGE, text)
        answer = forecast(
            horizon, row, through, log_variance, _impact(effects, row), RULES[kind_of(row), horizon].bands
        )
        return Given(answer, None, CONFIDENCE_NOTE, _reasons(effects, row, horizon) if reasons else NOT_ASKED_FOR)

    def _terms(self, horizon: Horizon, timeframe: Timeframe, row: list[float], through: Instant) -> tuple[Term, ...]:
        if isinstance(self._answer(horizon, timeframe, row, through, False), CannotAnswer):
            return ()
        effects = _effects(horizon, row)
        terms = (term(name, _value(name, row), effect, horizon) for name, effect in effects.items())
        return tuple(sorted(terms, key=lambda one: -abs(one.effect or 0.0)))


def _reasons(effects: Mapping[str, float], row: list[float], horizon: Horizon) -> tuple[str, ...]:
    strongest = sorted(effects, key=lambda name: -abs(effects[name]))[:REASONS]
    return tuple(reason(name, _value(name, row), effects[name], horizon) for name in strongest)


def _each(rows: Rows) -> list[tuple[Horizon, Timeframe, list[float], Instant]]:
    """Horizon, timeframe, plain numbers of each row and when its newest bar closed: handled one by one, a row has the
    same bits alone or among many."""
    asked: list[tuple[Horizon, Timeframe, list[float], Instant]] = []
    numbers = rows.values[:, : len(ROW_OF_RULES)].tolist()
    for question, row, through in zip(rows.questions, numbers, rows.data_through.tolist(), strict=True):
        assert isinstance(question, VolatilityQuestion)
        asked.append((question.horizon, question.timeframe, row, through))
    return asked


def _effects(horizon: Horizon, row: list[float]) -> dict[str, float]:
    """Summands of ln(var) by name, in the order in which they are added."""
    rule = RULES[kind_of(row), horizon]
    effects = {"level": math.log(horizon.bars) + row[_AT["log_level"]], "constant": rule.constant}
    for name, at, weight in zip(TERMS, _TERMS_AT, rule.weights, strict=True):
        if weight:
            effects[name] = weight * row[at]
    return effects


def _impact(effects: Mapping[str, float], row: list[float]) -> float | None:
    """What releases that are due add to ln(var); None where one is due, and this kind of market has no weight for any:
    until 2021 they did little to coins, since then a lot (docs/volatility.md)."""
    weighed = [effects[name] for name in DUE if name in effects]
    return None if not weighed and any(row[_AT[name]] for name in DUE) else math.fsum(weighed)


def _value(name: str, row: list[float]) -> float:
    if name == "level":
        return row[_AT["log_level"]]
    return 0.0 if name == "constant" else row[_AT[name]]
