"""Retraining: lessons from history, a training process, the gate, and whatever it decides, with its reasons."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from market.series_info import SeriesInfo
from ml.bars import DAY_MS, WEEK_MS
from ml.capability import AnyCapability, Predictor
from ml.learning import Progress
from ml.timeline import Market
from registry.faults import DamagedBlob, MissingBlob
from registry.gate import Decision, Verdict
from registry.models import Card, State, Version
from registry.models import Decision as Kept
from registry.models import Verdict as Word
from registry.versions import TOLD, InForce, Versions
from workers.classroom import EMBARGO_MS, TRAINING_MS, Classroom
from workers.interrupted import Interrupted
from workers.lessons import BadLessons
from workers.schedule import CutOff
from workers.shown import Losses, Shown
from workers.subjects import Subject, subjects
from workers.train import LOSSES, Course, Failure, Trainer, TrainingFailed
from workers.verdict import Rival, judged

log = logging.getLogger(__name__)

#: The walk-forward goes back so far: the gate asks for 52 whole weeks, and the newest have not settled.
EVIDENCE_MS = 56 * WEEK_MS
#: A promotion is in force so much later than it is decided: callers' clocks may be 2 s ahead of ours, and an answer
#: that was given for then stands.
IN_FORCE_AFTER_MS = 3_000
PROMOTED = TOLD[Word.PROMOTED]


@dataclass(frozen=True, slots=True)
class Retrained:
    """What became of a retraining: the version, and the decision on it as it was written down."""

    version: Version
    decision: Kept


@dataclass(frozen=True, slots=True, eq=False)
class School:
    """What all retrainings share: the market, who trains, and where decisions go.

    `series` lists what is fed; `ready` loads a version for serving, before its alias moves, and says why it cannot be
    served, or None; `champion` gives who would answer a question asked now (ms), or None where the rules would; `turn`
    lets one learn at a time.
    """

    market: Market
    series: Callable[[], Sequence[SeriesInfo]]
    trainer: Trainer
    versions: Versions
    ready: Callable[[str, int], str | None]
    champion: Callable[[str, int], tuple[InForce, Predictor[Any]] | None]
    clock: Callable[[], int]
    refit_ms: int = 91 * DAY_MS
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Retrain:
    """The job of one capability."""

    capability: AnyCapability
    school: School

    async def run(self, tell: Progress) -> None:
        """One run, in a thread. A training that comes to nothing is logged; the job's row keeps its reason."""
        async with self.school.turn:
            try:
                done = await asyncio.to_thread(self.once, tell)
            except TrainingFailed as failed:
                if failed.failure is Failure.STOPPED:  # nothing is lost: it comes again after the start
                    raise CutOff(str(failed)) from failed
                level = logging.INFO if failed.failure is Failure.TOO_FEW_LESSONS else logging.ERROR
                log.log(level, "%s: no new model, %s", self.capability.name, failed)
            else:
                log.info("%s %s: %s", done.version.name, done.decision.verdict, "; ".join(done.decision.reasons))
            finally:
                tell(1.0, "over")

    def once(self, tell: Progress, by: str = "gate") -> Retrained:
        """Trains on what has settled by now, or by the end of the history, asks the gate, and does what it says.

        Raises TrainingFailed; then nothing was registered, and the row of the job says why.
        """
        tell(0.0, "lessons")
        of = self._subjects()
        now = min(self.school.clock(), self._ends(of[0]))
        classroom = self._classroom(of, now)
        lessons = classroom.settled_by(now)
        if not len(lessons):
            raise TrainingFailed(Failure.TOO_FEW_LESSONS, "nothing has settled yet")
        first, every = int(lessons.rows.as_of[0]), self.school.refit_ms
        course = Course(
            capability=self.capability.name,
            lessons=lessons,
            learned_through=int(classroom.settled_at[: len(lessons)].max()),
            seed=0,
            refit_at=tuple(range(max(now - EVIDENCE_MS, first + every), now, every)),
            until=now,
        )
        taught = self.school.trainer.teach(course, tell, f"retrain.{self.capability.name}")
        tell(1.0, "judging")
        return Retrained(
            taught.version, self._settled(taught.version, taught.shown or Shown.of(()), classroom, now, by)
        )

    def _subjects(self) -> tuple[Subject, ...]:
        """What it is to be taught on, the finest bars first."""
        if self.capability.learner is None:
            raise TrainingFailed(Failure.NOT_TAUGHT, f"{self.capability.name} has no learner")
        found = subjects(self.capability, self.school.series())
        if not found:
            raise TrainingFailed(Failure.TOO_FEW_LESSONS, "there are no bars to learn from")
        return found

    def _ends(self, subject: Subject) -> int:
        """Where the history ends (ms)."""
        return max(one.last_close for one in self.school.series() if one.timeframe is subject.timeframe)

    def _classroom(self, of: Sequence[Subject], now: int) -> Classroom:
        market = Interrupted(self.school.market, self.school.trainer.must_go_on)
        return Classroom.of(self.capability, market, of, now - TRAINING_MS, now)

    def _settled(self, version: Version, shown: Shown, classroom: Classroom, now: int, by: str) -> Kept:
        """Does what the gate says, and writes it down."""
        name, number, versions = version.capability, version.version, self.school.versions
        if version.state is State.CHAMPION:
            unserved = self.school.ready(name, number)
            text = f"it is the champion, but {unserved}" if unserved else "it answers already: the same lessons again"
            return versions.keep(name, number, [text], by, self.school.clock())
        card = version.card
        if version.state is not State.CANDIDATE or card is None:
            text = f"the same lessons gave {version.name} again, which is {version.state}"
            return versions.keep(name, number, [text], by, self.school.clock())
        rival = self._rival(card, shown, classroom, now)
        parity = float(card.report.get("parity", 0.0))
        decision = judged(self.capability, shown, now, number, parity, classroom.longest_ms, rival)
        if decision.verdict is not Verdict.PROMOTE:
            return self._refused(version, decision, rival, by)
        unserved = self.school.ready(name, number)
        if unserved:
            return versions.reject(name, number, [f"it passed, but {unserved}"], by, self.school.clock())
        return promoted(versions, version, decision.reasons, by, self.school.clock(), decision.strata)

    def _refused(self, version: Version, decision: Decision, rival: Rival | None, by: str) -> Kept:
        name, versions, now = version.capability, self.school.versions, self.school.clock()
        if decision.withdraws and rival is not None:
            because = [f"a refit of its learner, {version.name}, is better nowhere that it answers", *decision.reasons]
            versions.retire(name, rival.in_force.version, because, by, now + IN_FORCE_AFTER_MS)
        do = versions.reject if decision.verdict is Verdict.REJECT else versions.keep
        return do(name, version.version, decision.reasons, by, now)

    def _rival(self, card: Card, shown: Shown, classroom: Classroom, now: int) -> Rival | None:
        """Who answers now. Since its own cut-off it is asked what the challenger's learner was asked; before that,
        another learner is held to what it showed in its own walk-forward."""
        found = self.school.champion(self.capability.name, self.school.clock())
        if found is None:
            return None
        in_force, predictor = found
        elder = self.school.versions.show(self.capability.name, in_force.version).card
        if elder is None:
            return None
        losses = classroom.shown(predictor, elder.learned_through + EMBARGO_MS, now).losses().on(shown)
        same = card.same_learner(elder)
        if not same:
            before = shown.as_of < elder.learned_through
            losses = np.where(before, self._showed(elder).on(shown), losses)
        return Rival(in_force, losses, same)

    def _showed(self, card: Card) -> Losses:
        """What the learner of a version showed before it; nothing where that was not kept."""
        if card.losses_sha256 is not None:
            try:
                return Losses.from_bytes(self.school.trainer.blobs.read(card.losses_sha256, LOSSES))
            except (MissingBlob, DamagedBlob, BadLessons) as error:
                log.warning("what the learner of %s showed cannot be read: %s", self.capability.name, error)
        return Shown.of(()).losses()


def promoted(
    versions: Versions,
    version: Version,
    reasons: Sequence[str],
    by: str,
    now: int,
    strata: Collection[str] | None = None,
) -> Kept:
    """Promotes, for questions of `strata` or for all, in force a little later than `now` (ms). Raises MoveRefused."""
    at = now + IN_FORCE_AFTER_MS
    return versions.promote(version.capability, version.version, reasons, by, at, strata)
