"""Many fits at once, each in a process of its own: for replays, which refit dozens of times.

What goes in is one folder of lessons, which all share, and for each fit the instant up to which it may learn; what
comes back are an artefact's bytes and a report: nothing of the training libraries comes near the process that asks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.learning import Artefact, Fitted, TooFewLessons
from workers.lessons import from_bytes, to_bytes

if TYPE_CHECKING:
    from workers.classroom import Classroom

#: Names of the files in the folder: the values of the rows, and the rest of the lessons.
VALUES, LESSONS = "values.f64", "lessons.npz"


@dataclass(frozen=True, slots=True)
class NotFitted:
    """Why there is no model: too few lessons. Everything else that goes wrong in a fit is raised."""

    why: str


@dataclass(frozen=True, slots=True)
class FittingPool:
    """Fits the catalogue's `capability` in so many `processes`, over a `folder` of its own (which is there). The values
    of the lessons must lie in `values`."""

    capability: str
    folder: Path
    processes: int = 2

    @property
    def values(self) -> Path:
        """Where the values of the lessons are to be put."""
        return self.folder / VALUES

    def fit_each(self, school: Classroom, refit_at: Sequence[int], seed: int) -> Iterator[Fitted | NotFitted]:
        """One outcome per instant (ms), in order."""
        (self.folder / LESSONS).write_bytes(to_bytes(school.lessons, values=False))
        pool = ProcessPoolExecutor(self.processes, mp_context=get_context("spawn"))
        try:
            fitted = partial(_fitted, list(sys.path), self.capability, str(self.folder), seed=seed)
            for told in pool.map(fitted, refit_at):
                yield _told(told)
        finally:  # whoever asked may have seen enough
            pool.shutdown(cancel_futures=True)


def _told(text: str) -> Fitted | NotFitted:
    told: Mapping[str, Any] = json.loads(text)
    if "why" in told:
        return NotFitted(told["why"])
    return Fitted(Artefact.of(told["artefact"].encode("ascii"), told["learner"]), told["report"])


def _fitted(path: list[str], capability: str, folder: str, at: int, seed: int) -> str:
    """Runs in a child: fits, and tells it as JSON."""
    sys.path[:] = path
    school = _school(capability, folder)
    learner = school.capability.learner
    if learner is None:
        return json.dumps({"why": "nothing to learn with"})
    try:
        fitted = learner.fit(school.settled_by(at), seed, _unheard)
    except TooFewLessons as few:
        return json.dumps({"why": str(few)})
    artefact = fitted.artefact.to_bytes().decode("ascii")
    return json.dumps({"artefact": artefact, "learner": learner.name, "report": dict(fitted.report)})


@lru_cache(maxsize=1)
def _school(capability: str, folder: str) -> Classroom:
    """Once for all fits of a child: the rows are views of the file."""
    from ml.catalogue import CATALOGUE
    from workers.classroom import Classroom

    chosen = next(one for one in CATALOGUE if one.name == capability)
    content = (Path(folder) / LESSONS).read_bytes()
    return Classroom.over(chosen, from_bytes(content, chosen.question, Path(folder) / VALUES))


def _unheard(share: float, word: str) -> None:
    """Progress inside one fit: whoever asked counts the fits."""
