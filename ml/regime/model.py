"""A fitted model as a predictor: trees and a net, averaged, then a label with memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.artefacts import Runner
from ml.bars import Floats
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.regime.answer import RegimeAnswer, answered
from ml.regime.columns import MODEL_NAMES
from ml.regime.decision import Decision, run_length
from ml.regime.formula import LABELS, Codes, codes
from ml.regime.inputs import BARS, WIDTH, Scale, bars_of, newest, of_the_rules
from ml.regime.rules import MOST_MISSING, RegimeRules
from ml.regime.state import NAMES as STATE_NAMES
from ml.regime.telling import GROUPS, reasons_of, term

_CLASSES = len(LABELS)
_FEW = 4 * BARS
"""Up to so many rows, computing equal ones twice is cheaper than finding them."""
_MISSING, _SIGMA = STATE_NAMES.index("missing_bars"), STATE_NAMES.index("sigma")


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """Log probabilities of the five regimes: mean of the logits of trees and net, divided by a temperature."""

    trees: Runner
    net: Runner
    scale: Scale
    temperature: float

    def log_p(self, values: Floats) -> Floats:
        """Of rows of columns (n, 18), or of bars of them (n, bars, 18): shape (..., 5). Each alone, bit for bit.

        Consecutive rows share most of their bars: equal ones are computed once.
        """
        flat = np.ascontiguousarray(values.reshape(-1, WIDTH))
        if len(flat) <= _FEW:
            return self._log_p(flat).reshape(*values.shape[:-1], _CLASSES)
        keys = flat.view(np.dtype((np.void, flat.itemsize * WIDTH))).ravel()
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        found = self._log_p(flat[first])[place.ravel()]
        return found.reshape(*values.shape[:-1], _CLASSES)

    def _log_p(self, values: Floats) -> Floats:
        logits = (self.trees.run(values) + self.net.run(self.scale.scaled(values))) / (2.0 * self.temperature)
        logits = logits - logits.max(axis=1, keepdims=True)
        total = np.zeros(len(logits))
        for label in range(_CLASSES):  # one after another: a sum along the row may round otherwise in a batch
            total += np.exp(logits[:, label])
        log_p: Floats = logits - np.log(total)[:, None]
        return log_p


@dataclass(frozen=True, slots=True, eq=False)
class RegimeModel:
    """Probabilities by trees and a net, unweighted; the label by weighted chance with hysteresis over 9 bars.

    `confidence` is the probability of the label. `bars_in_label` counts this model's own labels, at most 9 bars back;
    at 9 the run of the formula's label is told where that is longer and its label is the same. The effects of `explain`
    are in nats: ln p of the label less ln p with that group of columns at its usual values.
    """

    version: int
    ranges: Mapping[str, tuple[float, float]]
    chances: Chances
    decision: Decision
    usual: tuple[float, ...]
    fitted: str
    """What it was fitted on, in words."""

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[RegimeAnswer] | CannotAnswer]:
        """One outcome per row; refuses what the rules refuse, and rows in which a column of the model is missing."""
        refused = refusals(rows)
        if not any(refused):
            return self._answers(rows, reasons) if len(rows) else []
        asked = rows.pick([i for i, why in enumerate(refused) if why is None])
        answers = iter(self._answers(asked, reasons) if len(asked) else [])
        return [next(answers) if why is None else why for why in refused]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the groups of columns and what each did to the label's chance, largest first; () where refused."""
        outcomes = self.predict(rows, reasons=False)
        return [
            self._terms(values, outcome.answer) if isinstance(outcome, Given) else ()
            for values, outcome in zip(newest(rows), outcomes, strict=True)
        ]

    def _answers(self, rows: Rows, reasons: bool) -> list[Given[RegimeAnswer]]:
        log_p = self.chances.log_p(bars_of(rows))
        path = self.decision.path(log_p)
        run = _run(path, rows)
        best = self.decision.weighted(log_p[:, -1]).argmax(axis=1)
        shares, values = np.exp(log_p[:, -1]), newest(rows)
        ratio = rows.column("volatility_ratio")
        given = []
        for i, (code, p) in enumerate(zip(path[:, -1].tolist(), shares.tolist(), strict=True)):
            p = [min(one, 1.0) for one in p]
            answer = answered(LABELS[code], p, int(run[i]), float(ratio[i]))
            why = reasons_of(values[i], answer, LABELS[best[i]], self.fitted) if reasons else NOT_ASKED_FOR
            given.append(Given(answer, p[code], "", why))
        return given

    def _terms(self, values: Floats, answer: RegimeAnswer) -> tuple[Term, ...]:
        """One run of the model on the row and on its copies with one group at its usual values."""
        copies = np.tile(values, (len(GROUPS) + 1, 1))
        for i, group in enumerate(GROUPS):
            for name in group.columns:
                column = MODEL_NAMES.index(name)
                copies[i + 1, column] = self.usual[column]
        log_p = self.chances.log_p(copies)[:, LABELS.index(answer.label)]
        terms = [term(group, values, float(log_p[0] - log_p[i + 1]), answer) for i, group in enumerate(GROUPS)]
        return tuple(sorted(terms, key=lambda one: -abs(one.effect or 0.0)))


def _run(path: Codes, rows: Rows) -> Codes:
    run = run_length(path)
    formula = codes(rows.column("z"), rows.column("v"))
    longer = (run == BARS) & (formula == path[:, -1])
    return np.where(longer, np.maximum(run, rows.column("bars_in_label").astype(np.int64)), run)


def refusals(rows: Rows) -> list[CannotAnswer | None]:
    """Per row why no model answers it, or None."""
    refused: list[CannotAnswer | None] = [None] * len(rows)
    state = of_the_rules(rows)
    unfit = ~np.isfinite(state).all(axis=1)
    unfit |= (state[:, _MISSING] > MOST_MISSING) | (state[:, _SIGMA] == 0.0)
    doubtful = np.flatnonzero(unfit).tolist()
    if doubtful:
        for i, outcome in zip(doubtful, RegimeRules().predict(rows.pick(doubtful)), strict=True):
            refused[i] = outcome if isinstance(outcome, CannotAnswer) else _unknown("a column of the rules")
    holes = ~np.isfinite(newest(rows))
    for i in np.flatnonzero(holes.any(axis=1) & ~unfit).tolist():
        refused[i] = _unknown(MODEL_NAMES[int(holes[i].argmax())])
    return refused


def _unknown(name: str) -> CannotAnswer:
    return CannotAnswer(
        Why.MISSING_FEATURE, f"{name} has no value: too few valid prices, or none that move, in {BARS} bars"
    )
