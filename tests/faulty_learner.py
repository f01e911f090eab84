"""Models of every capability that answer as the rules do, until they are told to fail in some way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml.capability import AnyCapability, Given, Outcome, Rows, Term
from ml.catalogue import CATALOGUE
from ml.learning import Artefact, Fitted, Lessons, Progress

#: What hangs waits for this; what is slow comes when it is set.
RELEASE = threading.Event()


@dataclass(frozen=True)
class Faulty:
    """The rules of a capability under another version, with a fault."""

    version: int
    rules: Any
    fault: str

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return {}

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Outcome[Any]]:
        return FAULTS[self.fault](self.rules.predict(rows))

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        if self.fault == "mute":
            raise ZeroDivisionError("SECRET")
        if self.fault == "nan terms":
            return [(Term("x", 1.0, "", float("nan"), "x"),)] * len(rows)
        explained: Sequence[tuple[Term, ...]] = self.rules.explain(rows)
        return explained


def _raises(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    raise ZeroDivisionError("SECRET")


def _nan(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    return [_spoiled(one) if isinstance(one, Given) else one for one in said]


def _spoiled(given: Given[Any]) -> Given[Any]:
    number = next((name for name, value in given.answer if type(value) is float), None)
    if number is None:
        return replace(given, confidence=float("nan"))
    return replace(given, answer=given.answer.model_copy(update={number: float("nan")}))


def _waits(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    RELEASE.wait(30)
    return said


def _short(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    return said[1:]


def _well(said: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    return said


FAULTS: Mapping[str, Callable[[Sequence[Outcome[Any]]], Sequence[Outcome[Any]]]] = {
    "none": _well, "mute": _well, "nan terms": _well, "raises": _raises, "NaN": _nan, "hangs": _waits,
    "is slow": _waits, "says too little": _short,
}  # fmt: skip


@dataclass(frozen=True)
class FaultyLearner:
    """Loads what a test has put on disk; fits nothing."""

    rules: Any
    name: str
    every_bars: int = 24

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        raise NotImplementedError

    def load(self, artefact: Artefact, version: int) -> Faulty:
        return Faulty(version, self.rules, artefact.numbers["fault"])


def _faulty(capability: AnyCapability) -> AnyCapability:
    return replace(capability, learner=FaultyLearner(capability.rules, f"{capability.name}/faulty@1"))


FAULTY: tuple[AnyCapability, ...] = tuple(map(_faulty, CATALOGUE))
