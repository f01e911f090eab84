"""The vocabulary of learning: what a learner is given, what it must hand back, and how that becomes a predictor.

Fitting happens in the training process alone, which may import the training libraries; loading happens in the server,
which may not. What travels between them is bytes: one JSON document that holds ONNX models and numbers, found by its
SHA-256, never a pickle.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
    settled before the moment of training. Ordered by `as_of`."""

    rows: Rows
    truths: Sequence[Truth]

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
