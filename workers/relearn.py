"""Refits along history: what a server that retrains would have had, at each time, and whether it had earned its place.

A model is only ever fitted on what had settled, and only ever answers what came later. Each refit answers the stretch
until the next one; those answers, out of sample, are the evidence that the gate weighs for the refits that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Floats, Instants, Timeframe
from ml.capability import AnyCapability, Given, Outcome, Predictor, Question, Rows, Truth
from ml.evaluation.scores import ece
from ml.evaluation.weeks import paired
from ml.learning import Fitted, Lessons
from ml.timeline import Market
from registry.gate import HORIZONS_IN_A_BLOCK, Basis, Calibration, Decision, Evidence, Parity, Policy, Verdict, decide
from workers.fitting_pool import NotFitted

#: Between the newest label and the moment of training: neighbouring windows overlap.
EMBARGO_MS = 48 * HOUR_MS
#: A fit looks back this far.
TRAINING_MS = 3 * 365 * DAY_MS
#: The gate asks for 52 whole weeks; the first and the last that a walk touches are not whole.
EVIDENCE_WEEKS = 54
#: A label has no bands.
NO_BANDS = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class Refit:
    """One refit: fitted at `at` (ms) on what had settled by then. `predictor` is None where it could not be fitted.
    `decision` is the gate's word, on what its predecessors had shown by then; None where there was nothing to judge."""

    at: int
    version: int
    fitted: Fitted | None
    predictor: Predictor[Any] | None
    decision: Decision | None
    why_not: str

    @property
    def promoted(self) -> bool:
        return self.decision is not None and self.decision.verdict is Verdict.PROMOTE

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.decision.reasons if self.decision else (self.why_not,)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What refits showed beside the rules, on the same questions, ordered by `as_of` (ms); all shape (n,).

    `settled_at` is when each truth had closed; `model` and `rules` are losses, `model` NaN where it abstained. The rest
    is for calibration, NaN where it does not apply: `confidence` in a label, whether it was `right` (0 or 1), whether
    the truth lay in the 80% and in the 90% band.
    """

    as_of: Instants
    settled_at: Instants
    model: Floats
    rules: Floats
    confidence: Floats
    right: Floats
    in_80: Floats
    in_90: Floats

    def known_by(self, at: int) -> Shown:
        """What had settled by `at`."""
        keep = self.settled_at <= at
        as_of, settled_at, *scores = (getattr(self, one.name)[keep] for one in fields(self))
        return Shown(as_of, settled_at, *scores)

    @staticmethod
    def of(parts: Sequence[Shown]) -> Shown:
        """All of it, one after another."""
        none, nowhen = np.zeros(0), np.zeros(0, dtype=np.int64)
        start = Shown(nowhen, nowhen, none, none, none, none, none, none)
        together = [np.concatenate([getattr(one, each.name) for one in (start, *parts)]) for each in fields(Shown)]
        as_of, settled_at, *scores = together
        return Shown(as_of, settled_at, *scores)


#: Fits on each set of lessons in turn, with a seed; elsewhere and several at once, where it likes.
FitEach = Callable[[Iterable[Lessons], int], Iterable[Fitted | NotFitted]]
#: A share in [0, 1], and a word.
Tell = Callable[[float, str], None]


def boundaries(first_question: int, last_question: int, every_ms: int, history_begins: int) -> list[int]:
    """When to refit: every `every_ms`, from a year of whole weeks before the first question (or as early as history
    allows) to the last."""
    start = max(first_question - EVIDENCE_WEEKS * WEEK_MS, history_begins)
    return list(range(start, last_question + 1, every_ms))


def relearn(
    capability: AnyCapability,
    market: Market,
    symbols: Sequence[str],
    timeframe: Timeframe,
    refit_at: Sequence[int],
    until: int,
    fit_each: FitEach,
    tell: Tell,
    seed: int = 0,
) -> list[Refit]:
    """The refits at `refit_at` (ms, ascending), each judged by the gate on what its predecessors had shown by then."""
    learner = capability.learner
    if learner is None:
        return []
    tell(0.0, "lessons")
    school = Classroom.of(capability, market, symbols, timeframe, refit_at[0] - TRAINING_MS, until, learner.every_bars)
    refits: list[Refit] = []
    shown: list[Shown] = []
    outcomes = fit_each((school.settled_by(at) for at in refit_at), seed)
    for number, (at, outcome) in enumerate(zip(refit_at, outcomes, strict=True), start=1):
        tell(number / len(refit_at), f"refit {number} of {len(refit_at)}")
        fitted, why_not = (None, outcome.why) if isinstance(outcome, NotFitted) else (outcome, "")
        predictor = learner.load(fitted.artefact, number) if fitted else None
        known = Shown.of(shown).known_by(at)
        decision = judged(capability, known, at, number, fitted, school.longest_ms) if fitted else None
        refits.append(Refit(at, number, fitted, predictor, decision, why_not))
        if predictor is not None:
            following = refit_at[number] if number < len(refit_at) else until
            shown.append(school.shown(capability, predictor, at, following))
    return refits


def judged(capability: AnyCapability, shown: Shown, at: int, challenger: int, fitted: Fitted, longest: int) -> Decision:
    """The gate's decision at `at` on a refit, by what the refits before it showed on weeks that were over. `longest` is
    the longest horizon asked about (ms)."""
    block = -(-int(HORIZONS_IN_A_BLOCK * longest) // WEEK_MS) * WEEK_MS
    answered = ~np.isnan(shown.model)
    evidence = Evidence(
        capability=capability.name,
        challenger=challenger,
        champion=0,
        basis=Basis.WALK_FORWARD,
        longest_horizon_ms=longest,
        against_rules=paired(shown.as_of, shown.model, shown.rules, block_ms=block, settled_through=at),
        against_champion=None,  # the champion is an earlier refit of the same learner: what is judged is the learner
        calibration=_calibration(capability, shown),
        parity=Parity(True, float(fitted.report.get("parity", 0.0))),  # a fit that fails parity raises
        share_answered=float(answered.mean()) if len(answered) else 1.0,  # it has not been asked yet
    )
    return decide(evidence, Policy(least_ratio=capability.goals.least_ratio))


def _calibration(capability: AnyCapability, shown: Shown) -> tuple[Calibration, ...]:
    measured: dict[str, float] = {}
    confident = ~np.isnan(shown.confidence) & ~np.isnan(shown.right)
    if confident.any():
        measured["ece"] = ece(shown.confidence[confident], shown.right[confident] > 0)
    for name, inside in (("coverage_80", shown.in_80), ("coverage_90", shown.in_90)):
        if (~np.isnan(inside)).any():
            measured[name] = float(np.nanmean(inside))
    goals = capability.goals.calibration
    return tuple(Calibration(name, value, *goals[name]) for name, value in measured.items() if name in goals)


@dataclass(frozen=True, slots=True, eq=False)
class Classroom:
    """All rows of the walk with their truths, worked out once; `rules_loss` is NaN where the rules abstain."""

    rows: Rows
    truths: tuple[Truth | None, ...]
    settled_at: Instants
    rules_loss: Floats
    longest_ms: int

    @staticmethod
    def of(
        capability: AnyCapability,
        market: Market,
        symbols: Sequence[str],
        timeframe: Timeframe,
        start: int,
        end: int,
        every_bars: int,
    ) -> Classroom:
        asked = _grid(capability, market, symbols, timeframe, start, end, every_bars)
        questions = [question for question, _ in asked]
        as_of = np.array([at for _, at in asked], dtype=np.int64)
        rows = capability.features.rows(questions, as_of, market)
        truths = tuple(capability.truth(questions, as_of, market))
        horizon = np.array([capability.horizon_ms(question) for question in questions], dtype=np.int64)
        usable = [i for i, truth in enumerate(truths) if truth is not None and rows.cannot[i] is None]
        rows, kept = rows.pick(usable), tuple(truths[i] for i in usable)
        rules_loss = losses(capability, capability.rules, rows, kept)
        return Classroom(rows, kept, (as_of + horizon)[usable], rules_loss, int(horizon.max(initial=0)))

    def settled_by(self, at: int) -> Lessons:
        """What may be learnt at `at`: truths closed, an embargo apart."""
        keep = np.flatnonzero((self.settled_at <= at - EMBARGO_MS) & (self.rows.as_of > at - TRAINING_MS)).tolist()
        return Lessons(self.rows.pick(keep), [truth for i in keep if (truth := self.truths[i]) is not None])

    def shown(self, capability: AnyCapability, predictor: Predictor[Any], start: int, end: int) -> Shown:
        """What a refit shows between `start` and `end`, beside the rules on the same questions."""
        inside = np.flatnonzero((self.rows.as_of >= start) & (self.rows.as_of < end) & ~np.isnan(self.rules_loss))
        rows, truths = self.rows.pick(inside.tolist()), [self.truths[i] for i in inside]
        said = list(predictor.predict(rows)) if len(rows) else []
        scores = np.array(
            [_scored(capability, one, truth) for one, truth in zip(said, truths, strict=True)], dtype=np.float64
        ).reshape(-1, 5)
        model, confidence, right, in_80, in_90 = scores.T
        return Shown(
            rows.as_of, self.settled_at[inside], model, self.rules_loss[inside], confidence, right, in_80, in_90
        )


def _grid(
    capability: AnyCapability,
    market: Market,
    symbols: Sequence[str],
    timeframe: Timeframe,
    start: int,
    end: int,
    every_bars: int,
) -> list[tuple[Question, int]]:
    """Closes of bars on one clock for all symbols, `every_bars` apart, ordered by time."""
    step = every_bars * timeframe.milliseconds
    asked: list[tuple[Question, int]] = []
    for symbol in symbols:
        timeline = market.timeline(symbol, timeframe)
        if timeline is None:
            continue
        closes = timeline.latest().close_at
        inside = closes[(closes >= start) & (closes < end) & (closes % step == 0)].tolist()
        asked += [(question, at) for question in capability.replayed(symbol, timeframe) for at in inside]
    return sorted(asked, key=lambda one: one[1])


def losses(capability: AnyCapability, predictor: Predictor[Any], rows: Rows, truths: Sequence[Truth | None]) -> Floats:
    """Loss on each row, NaN where the predictor abstains."""
    said = predictor.predict(rows) if len(rows) else ()
    return np.array([_scored(capability, one, truth)[0] for one, truth in zip(said, truths, strict=True)])


def _scored(capability: AnyCapability, said: Outcome[Any], truth: Truth | None) -> tuple[float, ...]:
    """Loss, confidence in the label, whether it was right, whether the 80% and the 90% band held the truth."""
    nothing = float("nan")
    if not isinstance(said, Given) or truth is None:
        return (nothing,) * 5
    answer, loss = said.answer, capability.loss(said.answer, truth)
    if isinstance(truth, str):
        return loss, nothing if said.confidence is None else said.confidence, float(answer.label == truth), *NO_BANDS
    bands = (getattr(answer, name, nothing) for name in ("q10", "q90", "q05", "q95"))
    low_80, high_80, low_90, high_90 = bands
    return loss, nothing, nothing, float(low_80 <= truth <= high_80), float(low_90 <= truth <= high_90)
