"""Walk-forward: how models of this learner would have done, refitted again and again on what had settled by then.

It runs in the training process, on the lessons alone; the gate reads what it shows.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from ml.bars import Instants
from ml.capability import AnyCapability
from ml.learning import Lessons, TooFewLessons
from workers.lessons import BadLessons
from workers.relearn import Classroom, Shown, Tell, losses


def walked(
    capability: AnyCapability, lessons: Lessons, refit_at: Sequence[int], until: int, seed: int, tell: Tell
) -> Shown:
    """What refits at `refit_at` (ms, ascending) show beside the rules, each on the stretch up to the next one, the last
    up to `until`. A refit for which there were too few lessons shows nothing."""
    learner = capability.learner
    if learner is None:
        return Shown.of(())
    school = _school(capability, lessons)
    shown = []
    for number, at in enumerate(refit_at):
        tell(number / len(refit_at), f"walk-forward {number + 1} of {len(refit_at)}")
        try:
            fitted = learner.fit(school.settled_by(at), seed, _unheard)
        except TooFewLessons:
            continue
        following = refit_at[number + 1] if number + 1 < len(refit_at) else until
        shown.append(school.shown(capability, learner.load(fitted.artefact, 1), at, following))
    return Shown.of(shown)


def settled_at(capability: AnyCapability, lessons: Lessons) -> Instants:
    """When the truth of each lesson had closed (ms), shape (n,)."""
    horizons = [capability.horizon_ms(question) for question in lessons.rows.questions]
    return np.asarray(lessons.rows.as_of + np.array(horizons, dtype=np.int64), dtype=np.int64)


def to_bytes(shown: Shown) -> bytes:
    """What was shown, as an `.npz`."""
    kept = io.BytesIO()
    np.savez(kept, **{one.name: getattr(shown, one.name) for one in fields(Shown)})
    return kept.getvalue()


def from_bytes(content: bytes) -> Shown:
    """Back from bytes whose hash was checked. Raises BadLessons."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return Shown(**{one.name: kept[one.name] for one in fields(Shown)})
    except (ValueError, LookupError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BadLessons(f"these bytes are no evidence: {type(error).__name__}") from error


def _unheard(share: float, doing: str) -> None:
    """Progress inside one fit: the walk tells its own."""


def _school(capability: AnyCapability, lessons: Lessons) -> Classroom:
    closed = settled_at(capability, lessons)
    longest = int((closed - lessons.rows.as_of).max(initial=0))
    truths = tuple(lessons.truths)
    rules = losses(capability, capability.rules, lessons.rows, truths)
    return Classroom(lessons.rows, truths, closed, rules, longest)
