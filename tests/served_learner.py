"""Toys that learn and are served: volatility, with rules that are off by a factor which a learner can find."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml.capability import AnyCapability, CannotAnswer, Given, Goals, Outcome, Rows, Term
from ml.catalogue import CATALOGUE
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, Progress, TooFewLessons

REAL: AnyCapability = next(one for one in CATALOGUE if one.name == "volatility")
NAME = "volatility/toy@1"
#: What a model may do instead of answering; told to it by its artefact.
RELEASE = threading.Event()


def _fine(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    return said


def _crash(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    raise ZeroDivisionError


def _hang(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    RELEASE.wait(30)
    return said


def _nan(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    return [
        replace(one, answer=one.answer.model_copy(update={"var": float("nan")})) if isinstance(one, Given) else one
        for one in said
    ]


BEHAVIOURS: Mapping[str, Callable[[Sequence[Outcome[Any]]], Sequence[Outcome[Any]]]] = {
    "fine": _fine,
    "crash": _crash,
    "hang": _hang,
    "nan": _nan,
}


@dataclass(frozen=True)
class Scaled:
    """The shipped rules times a factor. Each answer bears the version that gave it, in `percentile_90d`."""

    version: int
    factor: float
    behaves: str = "fine"

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return REAL.rules.ranges

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Outcome[Any]]:
        return BEHAVIOURS[self.behaves]([self._scaled(one) for one in REAL.rules.predict(rows)])

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        term = Term("factor", self.factor, "times", None, f"the rules times {self.factor:g}, by {self.version}")
        return [(term,)] * len(rows)

    def _scaled(self, said: Outcome[Any]) -> Outcome[Any]:
        if isinstance(said, CannotAnswer):
            return said
        names = ("var", "q05", "q10", "q25", "q50", "q75", "q90", "q95")
        scaled = {name: self.factor * getattr(said.answer, name) for name in names}
        answer = said.answer.model_copy(update={**scaled, "percentile_90d": float(self.version)})
        return replace(said, answer=answer)


@dataclass(frozen=True)
class Factor:
    """Learns the factor between the shipped rules and what came true, and then `spoils` it."""

    name: str = NAME
    every_bars: int = 24
    spoils: float = 1.0
    fewest: int = 500
    fixed: float | None = None

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        if len(lessons) < self.fewest:
            raise TooFewLessons(f"{len(lessons)} lessons, {self.fewest} are needed")
        progress(0.5, "fitting")
        if self.fixed is not None:
            return Fitted(artefact(self.fixed), {"n": len(lessons), "parity": 0.0})
        said = REAL.rules.predict(lessons.rows)
        ratios = [
            float(truth) / one.answer.var
            for one, truth in zip(said, lessons.truths, strict=True)
            if isinstance(one, Given)
        ]
        return Fitted(artefact(self.spoils * float(np.mean(ratios))), {"n": len(lessons), "parity": 1e-7})

    def load(self, artefact: Artefact, version: int) -> Any:
        if "factor" not in artefact.numbers:
            raise BadArtefact("the factor is missing")
        return Scaled(version, artefact.numbers["factor"], artefact.numbers["behaves"])


def artefact(factor: float, behaves: str = "fine") -> Artefact:
    return Artefact(NAME, {}, {"factor": factor, "behaves": behaves})


def _taught(learner: Factor) -> tuple[AnyCapability, ...]:
    goals = Goals(calibration={"coverage_80": (0.0, 1.0)}, least_ratio=0.2)
    toy = replace(REAL, rules=Scaled(0, 1.7), learner=learner, goals=goals)
    return tuple(toy if one.name == REAL.name else replace(one, learner=None) for one in CATALOGUE)


GOOD = _taught(Factor())
WORSE = _taught(Factor(spoils=5.0))
EQUAL = _taught(Factor(fixed=1.7))
#: As good, though not the same bytes; and the same learner gone wrong.
TIED = _taught(Factor(spoils=1.0001))
GONE = _taught(Factor(spoils=9.0))
HUNGRY = _taught(Factor(fewest=1_000_000))
