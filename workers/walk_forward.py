"""Walk-forward: how models of this learner would have done, refitted again and again on what had settled by then.

It runs in the training process, on the lessons alone; the gate reads what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ml.capability import AnyCapability
from ml.learning import Lessons, TooFewLessons
from workers.classroom import Classroom
from workers.shown import Shown


def walked(
    capability: AnyCapability,
    lessons: Lessons,
    refit_at: Sequence[int],
    until: int,
    seed: int,
    tell: Callable[[float, str], None],
) -> Shown:
    """What refits at `refit_at` (ms, ascending) show beside the rules, each on the stretch up to the next one, the last
    up to `until`. A refit for which there were too few lessons shows nothing."""
    learner = capability.learner
    if learner is None:
        return Shown.of(())
    school = Classroom.over(capability, lessons)
    shown = []
    for number, at in enumerate(refit_at):
        tell(number / len(refit_at), f"walk-forward {number + 1} of {len(refit_at)}")
        try:
            fitted = learner.fit(school.settled_by(at), seed, _unheard)
        except TooFewLessons:
            continue
        following = refit_at[number + 1] if number + 1 < len(refit_at) else until
        shown.append(school.shown(learner.load(fitted.artefact, 1), at, following))
    return Shown.of(shown)


def _unheard(share: float, doing: str) -> None:
    """Progress inside one fit: the walk tells its own."""
