"""The vocabulary of learning: what a learner is given, what it must hand back, and how that becomes a predictor.

Fitting happens in the training process alone, which may import the training libraries; loading happens in the server,
which may not. What travels between them is bytes: one JSON document that holds ONNX models and numbers, found by its
SHA-256, never a pickle.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ml.background import Background
from ml.bars import Floats
from ml.capability import A_co, Predictor, Rows, Truth

#: Told as fitting goes on: a share in [0, 1] and a word on what is being done.
Progress = Callable[[float, str], None]


class BadArtefact(Exception):  # noqa: N818 - told as it is
    """Bytes that are not an artefact of this learner: damaged, of another format, or with operators we do not run."""


class TooFewLessons(ValueError):  # noqa: N818 - told as it is
    """Too little to learn from, with the numbers. Any other ValueError of a learner is a mistake in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What came true, row by row: `rows` as the predictors see them (with their questions), `truths` all known and all
    settled before the moment of training. Ordered by `as_of`. `background` is what was seen by then of the market as it
    was, where the capability has such a thing (`Capability.background`)."""

    rows: Rows
    truths: Sequence[Truth]
    background: Background | None = None

    def __len__(self) -> int:
        return len(self.truths)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A fitted model as bytes: ONNX models by name, and numbers. Immutable; the same content has the same `sha256`."""

    learner: str
    """`capability/learner@format`, so that bytes are only ever loaded by what wrote them."""
    onnx: Mapping[str, bytes]
    numbers: Mapping[str, Any]
    """Whatever JSON takes: feature names, scales, quantiles, thresholds."""

    def to_bytes(self) -> bytes:
        """The canonical bytes: sorted keys, no spaces, so that equal artefacts are equal byte for byte."""
        told = {
            "learner": self.learner,
            "numbers": dict(self.numbers),
            "onnx": {name: base64.b64encode(model).decode("ascii") for name, model in self.onnx.items()},
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")

    @staticmethod
    def of(content: bytes, learner: str) -> Artefact:
        """Back from bytes whose hash was checked. Raises BadArtefact where they were not written by `learner`."""
        try:
            told = json.loads(content)
            onnx = {name: base64.b64decode(model, validate=True) for name, model in told["onnx"].items()}
            artefact = Artefact(told["learner"], onnx, told["numbers"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadArtefact(f"these bytes are no artefact: {type(error).__name__}") from error
        if artefact.learner != learner:
            raise BadArtefact(f"an artefact of {artefact.learner}, where {learner} was expected")
        return artefact

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


@contextmanager
def numbers_of(artefact: Artefact, learner: str, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The numbers of an artefact of `learner`, whose model reads `columns`, for as long as they are read.

    Raises BadArtefact for another learner's, for other columns, and for what turns out missing or wrong in the block.
    """
    if artefact.learner != learner:
        raise BadArtefact(f"an artefact of {artefact.learner}, where {learner} was expected")
    try:
        if tuple(artefact.numbers["columns"]) != tuple(columns):
            raise BadArtefact("the model reads other columns than there are")
        yield artefact.numbers
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadArtefact(f"numbers of the model are missing or not whole: {type(error).__name__}: {error}") from error


def finite(told: Any, shape: tuple[int, ...]) -> Floats:  # noqa: ANN401 - JSON
    """Numbers back from JSON. ValueError or TypeError where they are not finite numbers of this shape."""
    found = np.array(told, dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"finite numbers of shape {shape} are needed, not {found.shape}")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A part of an artefact, or all of it, before it has a name: ONNX models, numbers as JSON takes them, a report."""

    onnx: Mapping[str, bytes]
    numbers: Mapping[str, Any]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting hands back: the artefact, and a report for the registry (JSON: sizes, losses inside the window)."""

    artefact: Artefact
    report: Mapping[str, Any]


class Learner(Protocol[A_co]):
    """How a capability learns. One per capability; its artefacts become versions 1, 2, ..."""

    @property
    def name(self) -> str:
        """`capability/learner@format`."""

    @property
    def every_bars(self) -> int:
        """Lessons are taken this many bars apart: overlapping rows teach little and cost much."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        """Fits on lessons. Deterministic: the same lessons and seed give the same bytes. Imports the training libraries
        inside; raises TooFewLessons, with the numbers, and BadArtefact where an export fails its parity gate."""

    def load(self, artefact: Artefact, version: int) -> Predictor[A_co]:
        """The predictor of an artefact. Raises BadArtefact. Imports no training library."""
