"""Models in a replay: refits along history, by the gate or not at all, and the road over them."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from market.fed import Fed
from ml.bars import DAY_MS, WEEK_MS, Timeframe
from ml.capability import AnyCapability, CannotAnswer, Why
from registry.aliases import AT_FIRST, RULES, InForce
from server import House
from tools.ask import Ask
from tools.chain import Absent, Earned, Link
from workers.fitting_pool import FittingPool
from workers.relearn import Refit, Tell, boundaries, relearn
from workers.subjects import subjects

#: A model needs some history before its first lessons mean anything.
FIRST_LESSONS_MS = 90 * DAY_MS


@dataclass(frozen=True, slots=True)
class Retrained:
    """Chains of a replay: at each `as_of` the refit that was in force then, for what it had earned, then the rules. One
    that is older than `too_old_days` is passed over, as by a server."""

    capability: AnyCapability
    refits: tuple[Refit, ...]
    rules: Link
    too_old_days: int

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        number = bisect_right([one.at for one in self.refits], as_of) - 1
        in_force = self.refits[number].in_force if number >= 0 else AT_FIRST
        if in_force.version == RULES:
            return (self.rules,)
        refit, name = self.refits[in_force.version - 1], f"{capability}@{in_force.version}"
        if refit.predictor is None:
            raise AssertionError("a refit in force has its predictor")
        days = (as_of - refit.at) // DAY_MS
        if days > self.too_old_days:
            why = CannotAnswer(Why.NOT_MEASURED, f"model is {days} days old, the limit is {self.too_old_days}")
            return Link(name, Absent(in_force.version, why)), self.rules
        earned = None if in_force.strata is None else Earned(in_force.strata, self.capability.strata)
        return Link(name, refit.predictor, earned=earned), self.rules


@dataclass(frozen=True, slots=True)
class Stretch:
    """Questions with `begins` <= as_of < `until` (ms), and the road for them."""

    road: Ask
    begins: int
    until: int


@dataclass(frozen=True, slots=True)
class Retraining:
    """A capability's refits along history. The market is complete before the first question, so all of it is the
    panel, and every symbol teaches."""

    house: House
    capability: AnyCapability
    timeframe: Timeframe
    every_ms: int
    _refits: list[Refit] = field(default_factory=list)

    def stretches(self, first: int, last: int, tell: Tell) -> Generator[Stretch]:
        """The questions from `first` to `last` (ms), between refits. A stretch can be asked as soon as its model is
        fitted and judged; those after it are fitted meanwhile, by other processes."""
        market = Fed(self.house.history, self.house.observations, None, self.house.ask.market.calendar())
        ask = replace(self.house.ask, market=market)
        fed = self.house.history.series()
        taught = subjects(self.capability, fed, self.timeframe)
        if not taught:
            yield Stretch(ask, first, last + 1)
            return
        infos = [one for one in fed if one.timeframe is taught[0].timeframe]
        begins = min(one.first_open for one in infos) + FIRST_LESSONS_MS
        until = min(last, max(one.last_close for one in infos)) + WEEK_MS
        # Evidence is gathered as a server gathers it, by refits that are further apart than those that serve.
        days = self.house.config.models.walk_forward_refit_days
        refit_at = boundaries(first, last, self.every_ms, begins, DAY_MS * days)
        if not refit_at:  # all of it is too early
            yield Stretch(ask, first, last + 1)
            return
        if first < refit_at[0]:
            yield Stretch(ask, first, refit_at[0])
        rules = Link(f"{self.capability.name}@0", self.capability.rules)
        too_old = self.house.config.models.too_old(self.capability.name)
        with tempfile.TemporaryDirectory(prefix="barograph-lessons-") as folder:
            pool = FittingPool(self.capability.name, Path(folder))
            refits = relearn(
                self.capability,
                market,
                taught,
                refit_at,
                until,
                pool.fit_each,
                tell,
                file=pool.values,
            )
            with closing(refits):
                for one, end in zip(refits, (*refit_at[1:], last + 1), strict=True):
                    self._refits.append(one)
                    if end > first:
                        chains = Retrained(self.capability, tuple(self._refits), rules, too_old)
                        yield Stretch(replace(ask, chains=chains), max(one.at, first), end)

    def told(self) -> tuple[str, ...]:
        """What the gate said along it, as far as it was walked."""
        if self.capability.learner is None:
            return (f"{self.capability.name} has nothing to learn with",)
        return _told(self.capability, self._refits)


def _told(capability: AnyCapability, refits: Sequence[Refit]) -> tuple[str, ...]:
    """What the gate said, where it changed its mind."""
    told: list[str] = []
    before: InForce | None = None
    for one in refits:
        name, after = f"{capability.name}@{one.version}", one.in_force
        if before is None or (after.version == RULES, after.strata) != (before.version == RULES, before.strata):
            who = f"{name} is promoted" if one.promoted else f"{name} is not promoted"
            told.append(f"{who}: {'; '.join(one.reasons)}")
        before = after
    return tuple(told)
