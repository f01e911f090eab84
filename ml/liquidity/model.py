"""A model's answers, and what each group of its inputs did to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.bars import Floats
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.liquidity.answer import LiquidityAnswer
from ml.liquidity.ensemble import Ensemble
from ml.liquidity.forecast import CONFIDENCE_NOTE, LOG_AMOUNTS, Said, forecast
from ml.liquidity.immediate import Immediate, immediate_of
from ml.liquidity.inputs import CLOCK_AT, COLUMNS, GROUPS, HORIZONS, Starts, clock_of, columns_of, inputs_of
from ml.liquidity.kernel import NAMES
from ml.liquidity.question import LiquidityQuestion
from ml.liquidity.refusal import refusal
from ml.liquidity.releases import due_of
from ml.liquidity.rules import effects_of, terms_of, text_of, with_book
from ml.liquidity.sentences import sentence

_GROUP_AT = {group: [COLUMNS.index(name) for name in names] for group, names in GROUPS.items()} | {"clock": CLOCK_AT}
_HORIZON_AT = {horizon: k for k, horizon in enumerate(HORIZONS)}
_LEVEL_AT = NAMES.index("log_level")
REASONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class LiquidityModel:
    """Corrects the rules.

    Effects of `explain` are logs of an amount: the terms of the rules; then each group of inputs, with what the
    forecast loses when the group is set to its mean in the lessons; `together` is the rest. They sum to ln(qv). A book
    has no effect on it.
    """

    ensemble: Ensemble
    version: int
    ranges: Mapping[str, tuple[float, float]]

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[LiquidityAnswer] | CannotAnswer]:
        """One outcome per row; abstains where the rules would, and on infinite features."""
        said = _Whole.of(self.ensemble, rows, explained=reasons)
        beside = zip(immediate_of(rows), due_of(rows), strict=True)
        return [_answer(rows, said, i, book, due, reasons) for i, (book, due) in enumerate(beside)]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Terms, strongest first; effects sum to ln(qv). Empty for an abstention."""
        said = _Whole.of(self.ensemble, rows, explained=True)
        return [
            with_book(_terms(rows, said, i), book) if said.why[i] is None else ()
            for i, book in enumerate(immediate_of(rows))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """What is said of n rows: quantiles of ln QV_h over h x level at the row's own horizon (n, bands), chances of a
    thin market (n,), effects by group (n, groups), and why nothing is."""

    quantiles: Floats
    p_low: Floats
    effects: Floats
    why: list[CannotAnswer | None]

    @staticmethod
    def of(ensemble: Ensemble, rows: Rows, *, explained: bool) -> _Whole:
        n = len(rows)
        why = [_why_not(row) for row in rows.values.tolist()]
        here = np.array([i for i in range(n) if why[i] is None], dtype=np.int64)
        quantiles, p_low, effects = np.full((n, 7), np.nan), np.full(n, np.nan), np.zeros((n, len(_GROUP_AT)))
        if len(here):
            few = rows.pick(here.tolist())
            at = np.array([_HORIZON_AT[_question(few, i).horizon] for i in range(len(few))])
            starts = Starts.of(few)
            groups = tuple(_GROUP_AT) if explained else ()
            asked = _without_each(inputs_of(ensemble.standard, columns_of(few), clock_of(few), starts), groups)
            times, symbols = len(groups) + 1, [question.symbol for question in few.questions]
            told = ensemble.told(asked, starts.times(times), symbols * times)
            m = len(few)
            medians = told.medians.reshape(times, m, -1)[:, np.arange(m), at]
            if groups:
                effects[here] = (medians[0] - medians[1:]).T
            quantiles[here] = told.quantiles[np.arange(m), at]
            p_low[here] = 1.0 / (1.0 + np.exp(-np.clip(told.odds[:m], -30.0, 30.0)))
        return _Whole(quantiles, p_low, effects, why)


def _without_each(inputs: Floats, groups: Sequence[str]) -> Floats:
    """The inputs, and below them the same with one group at a time as usual: shape ((groups + 1) n, N_INPUTS)."""
    n = len(inputs)
    asked = np.tile(inputs, (len(groups) + 1, 1))
    for k, group in enumerate(groups, start=1):
        asked[k * n : (k + 1) * n, _GROUP_AT[group]] = 0.0
    return asked


def _why_not(row: list[float]) -> CannotAnswer | None:
    refused = refusal(row[: len(NAMES)])
    if refused:
        return refused
    if any(map(math.isinf, row)) or math.isnan(row[len(NAMES)]) or math.isnan(row[len(NAMES) + 1]):
        return CannotAnswer(Why.MISSING_FEATURE, "a feature is infinite, or the hour of the week is unknown")
    if not LOG_AMOUNTS[0] + 10.0 <= row[_LEVEL_AT] <= LOG_AMOUNTS[1] - 10.0:
        return CannotAnswer(Why.OUT_OF_RANGE, f"ln volume of an hour is {row[_LEVEL_AT]:.0f}: in no currency is it so")
    return None


def _answer(
    rows: Rows, said: _Whole, i: int, book: Immediate | None, due: Sequence[str], reasons: bool
) -> Given[LiquidityAnswer] | CannotAnswer:
    why = said.why[i]
    if why is not None:
        return why
    question, row = _question(rows, i), rows.values[i].tolist()
    quantiles = said.quantiles[i]
    middle = float(quantiles[3])
    log_qv = math.log(question.horizon.bars) + row[_LEVEL_AT] + middle
    told = Said(log_qv, np.exp(quantiles - middle).tolist(), float(said.p_low[i]))
    answer = forecast(question, row, told, book, due)
    if not reasons:
        return Given(answer, None, CONFIDENCE_NOTE, NOT_ASKED_FOR)
    strongest = _reasons(rows, said, i)
    return Given(answer, None, CONFIDENCE_NOTE, strongest if book is None else (*strongest, book.text))


def _reasons(rows: Rows, said: _Whole, i: int) -> tuple[str, ...]:
    """The texts of the strongest terms, and of no others: there are many rows."""
    question, row = _question(rows, i), rows.values[i].tolist()
    of_rules = effects_of(question.horizon, row)
    effects = of_rules | dict(zip(_GROUP_AT, said.effects[i].tolist(), strict=True))
    strongest = sorted(effects, key=lambda name: -abs(effects[name]))[:REASONS]
    return tuple(
        text_of(name, effects[name], question.horizon, row)
        if name in of_rules
        else sentence(name, rows, i, effects[name])[1]
        for name in strongest
    )


def _terms(rows: Rows, said: _Whole, i: int) -> tuple[Term, ...]:
    question, row = _question(rows, i), rows.values[i].tolist()
    found = list(terms_of(question.horizon, row))
    rest = math.log(question.horizon.bars) + row[_LEVEL_AT] + float(said.quantiles[i, 3])
    rest -= math.fsum(one.effect or 0.0 for one in found)
    for group, effect in zip(_GROUP_AT, said.effects[i].tolist(), strict=True):
        value, text = sentence(group, rows, i, effect)
        found.append(Term(group, value, "as in the row", effect, text))
        rest -= effect
    found.append(Term("together", 0.0, "", rest, sentence("together", rows, i, rest)[1]))
    return tuple(sorted(found, key=lambda one: -abs(one.effect or 0.0)))


def _question(rows: Rows, i: int) -> LiquidityQuestion:
    question = rows.questions[i]
    assert isinstance(question, LiquidityQuestion)
    return question
