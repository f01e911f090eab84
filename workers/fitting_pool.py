"""Many fits at once, each in a process of its own: for replays, which refit dozens of times.

What goes in is a file of lessons, what comes back are an artefact's bytes and a report: nothing of the training
libraries comes near the process that asks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ml.learning import Artefact, Fitted, Lessons, TooFewLessons
from workers.lessons import from_bytes, to_bytes


@dataclass(frozen=True, slots=True)
class NotFitted:
    """Why there is no model: too few lessons. Everything else that goes wrong in a fit is raised."""

    why: str


@dataclass(frozen=True, slots=True)
class FittingPool:
    """Fits the catalogue's `capability` in so many `processes`, over files in `folder` (which is there)."""

    capability: str
    folder: Path
    processes: int = 2

    def fit_each(self, lessons: Iterable[Lessons], seed: int) -> Iterator[Fitted | NotFitted]:
        """One outcome per set of lessons, in order. At most `processes` + 1 sets are on disk at once."""
        with ProcessPoolExecutor(self.processes, mp_context=get_context("spawn")) as pool:
            waiting: list[tuple[Path, Future[str]]] = []
            for number, taught in enumerate(lessons):
                path = self.folder / f"lessons-{number}.npz"
                path.write_bytes(to_bytes(taught))
                waiting.append((path, pool.submit(_fitted, list(sys.path), self.capability, str(path), seed)))
                while len(waiting) > self.processes:
                    yield self._told(*waiting.pop(0))
            for one in waiting:
                yield self._told(*one)

    def _told(self, path: Path, done: Future[str]) -> Fitted | NotFitted:
        told: Mapping[str, Any] = json.loads(done.result())
        path.unlink()
        if "why" in told:
            return NotFitted(told["why"])
        return Fitted(Artefact.of(told["artefact"].encode("ascii"), told["learner"]), told["report"])


def _fitted(path: list[str], capability: str, lessons: str, seed: int) -> str:
    """Runs in a child: fits, and tells it as JSON."""
    sys.path[:] = path
    from ml.catalogue import CATALOGUE

    chosen = next(one for one in CATALOGUE if one.name == capability)
    learner = chosen.learner
    if learner is None:
        return json.dumps({"why": "nothing to learn with"})
    try:
        fitted = learner.fit(from_bytes(Path(lessons).read_bytes(), chosen.question), seed, _unheard)
    except TooFewLessons as few:
        return json.dumps({"why": str(few)})
    artefact = fitted.artefact.to_bytes().decode("ascii")
    return json.dumps({"artefact": artefact, "learner": learner.name, "report": dict(fitted.report)})


def _unheard(share: float, word: str) -> None:
    """Progress inside one fit: whoever asked counts the fits."""
