"""Retraining: lessons from history, a training process, the gate, and whatever it decides, with its reasons."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from market.series_info import SeriesInfo
from ml.bars import DAY_MS, WEEK_MS, Timeframe
from ml.capability import AnyCapability
from ml.learning import Artefact, Fitted, Lessons, Progress
from ml.timeline import Market
from registry.events import Events
from registry.gate import Decision, Verdict
from registry.models import Decision as Kept
from registry.models import State, Version
from registry.versions import Versions
from workers.relearn import TRAINING_MS, Classroom, Shown, judged
from workers.train import Course, Failure, Trainer, TrainingFailed
from workers.walk_forward import settled_at

log = logging.getLogger(__name__)

#: The walk-forward goes back so far: the gate asks for 52 whole weeks, and the newest have not settled.
EVIDENCE_MS = 56 * WEEK_MS
#: A promotion is in force so much later than it is decided: callers' clocks may be 2 s ahead of ours, and an answer
#: that was given for then stands.
IN_FORCE_AFTER_MS = 3_000
PROMOTED = "model.promoted"
#: Models learn from the finest bars on which the rules were measured, of those that are fed.
FROM = (Timeframe.H1, Timeframe.D1)


@dataclass(frozen=True, slots=True)
class Retrained:
    """What became of a retraining: the version, and the decision on it as it was written down."""

    version: Version
    decision: Kept


@dataclass(frozen=True, slots=True, eq=False)
class School:
    """What all retrainings share: the market, who trains, and where decisions go.

    `series` lists what is fed; `ready` loads a version for serving, before its alias moves, and says why it cannot be
    served, or None; `turn` lets one learn at a time.
    """

    market: Market
    series: Callable[[], Sequence[SeriesInfo]]
    trainer: Trainer
    versions: Versions
    events: Events
    ready: Callable[[str, int], str | None]
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
                level = logging.INFO if failed.failure in (Failure.TOO_FEW_LESSONS, Failure.STOPPED) else logging.ERROR
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
        fed = self._fed()
        now = min(self.school.clock(), max(one.last_close for one in fed))
        lessons = self._lessons(fed, now)
        if not len(lessons):
            raise TrainingFailed(Failure.TOO_FEW_LESSONS, "nothing has settled yet")
        closed, first = settled_at(self.capability, lessons), int(lessons.rows.as_of[0])
        course = Course(
            capability=self.capability.name,
            lessons=lessons,
            learned_through=int(closed.max()),
            seed=0,
            refit_at=tuple(range(max(now - EVIDENCE_MS, first + self.school.refit_ms), now, self.school.refit_ms)),
            until=now,
        )
        taught = self.school.trainer.teach(course, tell, f"retrain.{self.capability.name}")
        tell(1.0, "judging")
        shown, longest = taught.shown or Shown.of(()), int((closed - lessons.rows.as_of).max())
        return Retrained(taught.version, self._settled(taught.version, shown, now, longest, by))

    def _fed(self) -> Sequence[SeriesInfo]:
        """The series to learn from: all of the finest timeframe."""
        every = self.school.series()
        found = next((of for of in FROM if any(one.timeframe is of for one in every)), None)
        if found is None:
            raise TrainingFailed(Failure.TOO_FEW_LESSONS, "there are no bars to learn from")
        return [one for one in every if one.timeframe is found]

    def _lessons(self, fed: Sequence[SeriesInfo], now: int) -> Lessons:
        learner = self.capability.learner
        if learner is None:
            raise TrainingFailed(Failure.NOT_TAUGHT, f"{self.capability.name} has no learner")
        symbols, timeframe = sorted(one.symbol for one in fed), fed[0].timeframe
        start = now - TRAINING_MS
        school = Classroom.of(self.capability, self.school.market, symbols, timeframe, start, now, learner.every_bars)
        return school.settled_by(now)

    def _settled(self, version: Version, shown: Shown, now: int, longest_ms: int, by: str) -> Kept:
        """Does what the gate says, and writes it down."""
        name, number = version.capability, version.version
        if version.state is State.CHAMPION:
            unserved = self.school.ready(name, number)
            text = f"it is the champion, but {unserved}" if unserved else "it answers already: the same lessons again"
            return self.school.versions.keep(name, number, [text], by, self.school.clock())
        if version.state is not State.CANDIDATE:
            text = f"the same lessons gave {version.name} again, which is {version.state}"
            return self.school.versions.keep(name, number, [text], by, self.school.clock())
        decision = self._judged(version, shown, now, longest_ms)
        if decision.verdict is Verdict.REJECT:
            return self.school.versions.reject(name, number, decision.reasons, by, self.school.clock())
        if decision.verdict is Verdict.KEEP:
            return self.school.versions.keep(name, number, decision.reasons, by, self.school.clock())
        unserved = self.school.ready(name, number)
        if unserved:
            return self.school.versions.reject(name, number, [f"it passed, but {unserved}"], by, self.school.clock())
        return promoted(self.school.versions, self.school.events, version, decision.reasons, by, self.school.clock())

    def _judged(self, version: Version, shown: Shown, now: int, longest_ms: int) -> Decision:
        card = version.card
        assert card is not None, "the rules are never a candidate"
        fitted = Fitted(Artefact(card.learner, {}, {}), card.report)
        return judged(self.capability, shown, now, version.version, fitted, longest_ms)


def promoted(versions: Versions, events: Events, version: Version, reasons: Sequence[str], by: str, now: int) -> Kept:
    """Promotes, and tells the outbox. Raises MoveRefused."""
    at = now + IN_FORCE_AFTER_MS
    decision = versions.promote(version.capability, version.version, reasons, by, at)
    payload = {"capability": version.capability, "version": version.version, "in_force_from": at, "by": by}
    key = f"{version.name}#{decision.number}"
    events.publish(key, PROMOTED, json.dumps({**payload, "reasons": list(reasons)}), now)
    return decision
