"""Refits along history: what a server that retrains would have had, at each time, and whether it had earned its place.

A model is only ever fitted on what had settled, and only ever answers what came later. Each refit answers the stretch
until the next one; those answers, out of sample, are the evidence that the gate weighs for the refits that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.bars import WEEK_MS
from ml.capability import AnyCapability, Predictor
from ml.learning import Fitted
from ml.timeline import Market
from registry.aliases import AT_FIRST, InForce
from registry.gate import Decision, Verdict
from workers.classroom import EMBARGO_MS, TRAINING_MS, Classroom
from workers.fitting_pool import NotFitted
from workers.shown import Shown
from workers.subjects import Subject
from workers.verdict import Rival, judged

__all__ = ["EMBARGO_MS", "Refit", "boundaries", "relearn"]

#: The gate asks for 52 whole weeks; the first and the last that a walk touches are not whole.
EVIDENCE_WEEKS = 54


@dataclass(frozen=True, slots=True)
class Refit:
    """One refit: fitted at `at` (ms) on what had settled by then. `predictor` is None where it could not be fitted.
    `decision` is the gate's word, on what its predecessors had shown by then; None where there was nothing to judge.
    `in_force` is who answers from `at` on."""

    at: int
    version: int
    fitted: Fitted | None
    predictor: Predictor[Any] | None
    decision: Decision | None
    why_not: str
    in_force: InForce

    @property
    def promoted(self) -> bool:
        return self.decision is not None and self.decision.verdict is Verdict.PROMOTE

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.decision.reasons if self.decision else (self.why_not,)


#: Fits at each of the instants (ms) on what may be learnt then, with a seed; elsewhere and several at once, where it
#: likes. One outcome for each, in order.
FitEach = Callable[[Classroom, Sequence[int], int], Iterable[Fitted | NotFitted]]
#: A share in [0, 1], and a word.
Tell = Callable[[float, str], None]


def boundaries(
    first_question: int, last_question: int, every_ms: int, history_begins: int, evidence_every_ms: int = 0
) -> list[int]:
    """When to refit: every `every_ms` from the first question to the last; and for evidence before it, from a year of
    whole weeks earlier (or as early as history allows), every `evidence_every_ms`, where that is longer."""
    start = max(first_question - EVIDENCE_WEEKS * WEEK_MS, history_begins)
    begins = max(first_question, start)
    return [
        *range(start, begins, max(every_ms, evidence_every_ms)),
        *range(begins, last_question + 1, every_ms),
    ]


def relearn(
    capability: AnyCapability,
    market: Market,
    subjects: Sequence[Subject],
    refit_at: Sequence[int],
    until: int,
    fit_each: FitEach,
    tell: Tell,
    seed: int = 0,
    file: Path | None = None,
) -> Generator[Refit]:
    """The refits at `refit_at` (ms, ascending), each judged by the gate on what its predecessors had shown by then, and
    given as soon as it is. With `file`, the rows are kept there."""
    learner = capability.learner
    if learner is None:
        return
    tell(0.0, "lessons")
    begins = refit_at[0] - TRAINING_MS
    school = Classroom.of(capability, market, subjects, begins, until, file)
    refits: list[Refit] = []
    shown: list[Shown] = []
    outcomes = fit_each(school, refit_at, seed)
    for number, (at, outcome) in enumerate(zip(refit_at, outcomes, strict=True), start=1):
        tell(number / len(refit_at), f"refit {number} of {len(refit_at)}")
        before = refits[-1].in_force if refits else AT_FIRST
        if isinstance(outcome, NotFitted):
            refits.append(Refit(at, number, None, None, None, outcome.why, before))
            yield refits[-1]
            continue
        predictor, parity = learner.load(outcome.artefact, number), float(outcome.report.get("parity", 0.0))
        known = Shown.of(shown).known_by(at)
        rival = _rival(school, refits, known, at)
        decision = judged(capability, known, at, number, parity, school.longest_ms, rival)
        refits.append(Refit(at, number, outcome, predictor, decision, "", _after(decision, number, before)))
        yield refits[-1]
        following = refit_at[number] if number < len(refit_at) else until
        shown.append(school.shown(predictor, at, following))


def _after(decision: Decision, number: int, before: InForce) -> InForce:
    """Who answers after the decision on a refit."""
    if decision.verdict is Verdict.PROMOTE:
        return InForce(number, decision.strata)
    return AT_FIRST if decision.withdraws else before


def _rival(school: Classroom, refits: Sequence[Refit], shown: Shown, at: int) -> Rival | None:
    """The refit in force. What was shown since its own cut-off it is asked as well."""
    in_force = refits[-1].in_force if refits else AT_FIRST
    if in_force == AT_FIRST:
        return None
    elder = refits[in_force.version - 1]
    if elder.predictor is None:
        raise AssertionError("a refit in force has its predictor")
    if in_force.version == refits[-1].version:  # what was shown since is its own
        losses = np.where(shown.as_of >= elder.at, shown.model, np.nan)
    else:
        losses = school.shown(elder.predictor, elder.at, at).losses().on(shown)
    return Rival(in_force, losses, same_learner=True)
