"""A model's answers, and what each group of its inputs did to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.ensemble import Ensemble, past_of
from ml.volatility.forecast import CONFIDENCE_NOTE, LOG_VARIANCES, forecast
from ml.volatility.inputs import CALENDAR_AT, COLUMNS, GROUPS, USUAL, calendar_of, columns_of, hours_of, inputs_of
from ml.volatility.kernel import NAMES
from ml.volatility.question import Horizon, VolatilityQuestion
from ml.volatility.releases import DUE
from ml.volatility.season import Kind
from ml.volatility.sentences import sentence
from ml.volatility.terms import reason

_AT = {name: position for position, name in enumerate(NAMES)}
_GROUP_AT = {group: [COLUMNS.index(name) for name in names] for group, names in GROUPS.items()}
_GROUP_AT["season"] += CALENDAR_AT
REASONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class VolatilityModel:
    """Answers on hourly bars, of the kinds of market that it was taught.

    Effects of `explain` are log variances: `level` is ln h + log level; each group is what the forecast loses when the
    group's inputs are set to their mean in the lessons; `together` is the rest. They sum to ln(var).
    """

    kinds: Mapping[Kind, Ensemble]
    version: int
    ranges: Mapping[str, tuple[float, float]]

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[VolatilityAnswer] | CannotAnswer]:
        """One outcome per row; abstains on daily bars, on kinds of market that it was not taught, and on rows that lack
        what the rules need."""
        said = _Said.of(self.kinds, rows, explained=reasons)
        return [self._answer(rows, said, i, reasons) for i in range(len(rows))]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Terms, strongest first; effects (ln variance over the horizon) sum to ln(var). Empty for an abstention."""
        said = _Said.of(self.kinds, rows, explained=True)
        return [_terms(rows, said, i) if said.why[i] is None else () for i in range(len(rows))]

    def _answer(self, rows: Rows, said: _Said, i: int, reasons: bool) -> Given[VolatilityAnswer] | CannotAnswer:
        why = said.why[i]
        if why is not None:
            return why
        horizon, row = _horizon(rows, i), rows.values[i].tolist()
        through, log_variance, impact = rows.data_through[i], said.log_variance[i], said.impact[i]
        answer = forecast(horizon, row, int(through), float(log_variance), float(impact), said.bands[i].tolist())
        return Given(answer, None, CONFIDENCE_NOTE, _reasons(rows, said, i) if reasons else NOT_ASKED_FOR)


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What is said of n rows: ln variance (n,), how much of it is due to releases (n,), bands (n, 7), effects by group
    (n, groups), and why nothing is."""

    log_variance: Floats
    impact: Floats
    bands: Floats
    effects: Floats
    why: list[CannotAnswer | None]

    @staticmethod
    def of(kinds: Mapping[Kind, Ensemble], rows: Rows, *, explained: bool) -> _Said:
        n = len(rows)
        log_variance, bands, effects = np.full(n, np.nan), np.full((n, 7), np.nan), np.zeros((n, len(GROUPS)))
        impact, due = np.zeros(n), rows.columns(DUE).max(axis=1) > 0.0
        values, hours, calendar = columns_of(rows), hours_of(rows), calendar_of(rows)
        needed = rows.values[:, : len(NAMES)]
        whole = np.isfinite(needed).all(axis=1) & ~np.isinf(values).any(axis=1) & ~np.isnan(hours)
        whole &= np.isfinite(calendar).all(axis=1)
        kind_of = rows.column("trades_weekends")
        past = past_of(rows)
        usual = np.log(hours) + rows.column("log_level")
        for kind, ensemble in kinds.items():
            here = np.flatnonzero(whole & (kind_of == float(kind)) & np.isin(hours, list(ensemble.steps)))
            if len(here):
                inputs = inputs_of(ensemble.standard, values[here], hours[here], calendar[here])
                ratio, by_group = _effects(ensemble, inputs, hours[here], tuple(GROUPS) if explained else ())
                log_variance[here], effects[here] = usual[here] + ratio, by_group
                soon = np.flatnonzero(due[here])
                if len(soon):
                    impact[here[soon]] = _effects(ensemble, inputs[soon], hours[here[soon]], ("releases",))[1][:, 0]
                bands[here] = ensemble.bands(inputs, hours[here], past[here], ratio)
        why = [_why_not(kinds, rows, whole, log_variance, i) for i in range(n)]
        return _Said(log_variance, impact, bands, effects, why)


def _effects(ensemble: Ensemble, inputs: Floats, hours: Floats, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """ln ratio (n,), and by how much it falls when a group is as usual (n, groups); (n, 1) unknown ones of no group."""
    n = len(inputs)
    asked = np.tile(inputs, (len(groups) + 1, 1))
    for k, group in enumerate(groups, start=1):
        at = _GROUP_AT[group]
        asked[k * n : (k + 1) * n, at] = USUAL[at]
    said = ensemble.log_ratio(asked, np.tile(hours, len(groups) + 1)).reshape(-1, n)
    return said[0], (said[0] - said[1:]).T if groups else np.full((n, 1), np.nan)


def _why_not(
    kinds: Mapping[Kind, Ensemble], rows: Rows, whole: NDArray[np.bool_], log_variance: Floats, i: int
) -> CannotAnswer | None:
    question = rows.questions[i]
    assert isinstance(question, VolatilityQuestion)
    if not math.isnan(log_variance[i]):
        if LOG_VARIANCES[0] <= log_variance[i] <= LOG_VARIANCES[1]:
            return None
        return CannotAnswer(Why.OUT_OF_RANGE, f"ln variance would be {log_variance[i]:.1f}; none was measured there")
    if not whole[i]:
        return CannotAnswer(Why.MISSING_FEATURE, "features that it needs are unknown (it reads hourly bars alone)")
    known = ", ".join(kind.name.lower() for kind in kinds)
    return CannotAnswer(Why.NOT_MEASURED, f"it was taught on markets that trade {known}, over other horizons perhaps")


def _reasons(rows: Rows, said: _Said, i: int) -> tuple[str, ...]:
    """The texts of the strongest terms, and of no others: there are many rows."""
    horizon, of_bar = _horizon(rows, i), float(rows.values[i, _AT["log_level"]])
    effects = {"level": math.log(horizon.bars) + of_bar, **dict(zip(GROUPS, said.effects[i].tolist(), strict=True))}
    strongest = sorted(effects, key=lambda name: -abs(effects[name]))[:REASONS]
    return tuple(
        reason(name, of_bar, effects[name], horizon) if name == "level" else sentence(name, rows, i, effects[name])[1]
        for name in strongest
    )


def _terms(rows: Rows, said: _Said, i: int) -> tuple[Term, ...]:
    horizon = _horizon(rows, i)
    of_bar = float(rows.values[i, _AT["log_level"]])
    level = math.log(horizon.bars) + of_bar
    found = [Term("level", of_bar, "ln variance", level, reason("level", of_bar, level, horizon))]
    rest = float(said.log_variance[i]) - level
    for group, effect in zip(GROUPS, said.effects[i].tolist(), strict=True):
        value, text = sentence(group, rows, i, effect)
        found.append(Term(group, value, "ln variance", effect, text))
        rest -= effect
    found.append(Term("together", 0.0, "ln variance", rest, sentence("together", rows, i, rest)[1]))
    return tuple(sorted(found, key=lambda one: -abs(one.effect or 0.0)))


def _horizon(rows: Rows, i: int) -> Horizon:
    question = rows.questions[i]
    assert isinstance(question, VolatilityQuestion)
    return question.horizon
