"""A catalogue of toys for the training process: learners that learn a mean, grow trees, or go wrong in every way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefacts import onnx_runner
from ml.capability import Question
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, Progress, TooFewLessons

FEWEST = 3


@dataclass(frozen=True)
class Mean:
    """Learns the mean of the truths, and a number drawn from the seed."""

    name: str = "toy/mean@1"
    every_bars: int = 1

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        if len(lessons) < FEWEST:
            raise TooFewLessons(f"{len(lessons)} lessons, {FEWEST} are needed")
        progress(0.5, f"pid {os.getpid()}")
        drawn = float(np.random.default_rng(seed).normal())
        numbers = {"mean": float(np.mean([float(one) for one in lessons.truths])), "drawn": drawn}
        return Fitted(Artefact(self.name, {}, numbers), {"n": len(lessons)})

    def load(self, artefact: Artefact, version: int) -> Any:
        return artefact.numbers["mean"]


@dataclass(frozen=True)
class Trees(Mean):
    """Grows real trees and exports them, through the parity gate."""

    name: str = "toy/trees@1"

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        from ml import parity
        from ml.fitting import trees

        rows, truths = lessons.rows.values, np.array(lessons.truths, dtype=np.float64)
        told = {"objective": "reg:squarederror", "max_depth": 3, "subsample": 0.7}
        booster = trees.grown(told, rows, truths, 10, seed, tell=lambda share: progress(share, "trees"))
        model = trees.to_onnx(booster, rows.shape[1])
        random, splits = np.random.default_rng(seed), trees.splits(booster, rows.shape[1])
        parity.check(lambda x: trees.predicted(booster, x), onnx_runner(model), rows, random, splits=splits)
        return Fitted(Artefact(self.name, {"trees": model}, {}), {})

    def load(self, artefact: Artefact, version: int) -> Any:
        return onnx_runner(artefact.onnx["trees"])


@dataclass(frozen=True)
class Hanging(Mean):
    """Says that it began, and never ends."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        progress(0.1, f"pid {os.getpid()}")
        threading.Event().wait()
        raise AssertionError


@dataclass(frozen=True)
class Signalled(Mean):
    """Gets a signal in the middle of its work."""

    signal: signal.Signals = signal.SIGKILL

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        progress(0.1, "struck")
        os.kill(os.getpid(), self.signal)
        return super().fit(lessons, seed, progress)


@dataclass(frozen=True)
class Crashing(Mean):
    """Crashes, with something to read in its traceback."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        raise ValueError("shapes (3,) and (4,) do not fit")


@dataclass(frozen=True)
class Unloadable(Mean):
    """Writes what it cannot load."""

    def load(self, artefact: Artefact, version: int) -> Any:
        raise BadArtefact("a model with the operator 'Loop', which we do not run")


@dataclass(frozen=True)
class Loud(Mean):
    """Prints where libraries print."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        sys.stdout.write("[0] train-rmse: 1.0\n")
        sys.stdout.flush()
        os.write(1, b"and past Python's own buffer\n")
        return super().fit(lessons, seed, progress)


@dataclass(frozen=True)
class Toy:
    """What the training process looks at in a capability."""

    name: str
    learner: Mean | None
    question: type[Question] = Question


CATALOGUE = (
    Toy("mean", Mean()),
    Toy("trees", Trees()),
    Toy("hanging", Hanging()),
    Toy("killed", Signalled()),
    Toy("frozen", Signalled(signal=signal.SIGSTOP)),
    Toy("crashing", Crashing()),
    Toy("unloadable", Unloadable()),
    Toy("loud", Loud()),
    Toy("untaught", None),
)
