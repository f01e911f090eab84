"""Models in a replay: refits along history, by the gate or not at all, and the road over them."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import Progress

from commands.terminal import err
from market.fed import Fed
from ml.bars import DAY_MS, WEEK_MS, Timeframe
from ml.capability import AnyCapability, CannotAnswer, Why
from registry.aliases import AT_FIRST, RULES, InForce
from server import House
from tools.ask import Ask
from tools.chain import Absent, Earned, Link
from workers.fitting_pool import FittingPool
from workers.relearn import Refit, boundaries, relearn

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


def retrained(
    house: House,
    capability: AnyCapability,
    timeframe: Timeframe,
    first: int,
    last: int,
    every_ms: int,
    *,
    silent: bool,
) -> tuple[Ask, tuple[str, ...]]:
    """The road for questions between `first` and `last` (ms), and what the gate said along it. The market is complete
    before the first question, so all of it is the panel, and every symbol teaches."""
    market = Fed(house.history, house.observations, panel=None)
    ask = replace(house.ask, market=market)
    infos = [one for one in house.history.series() if one.timeframe is timeframe]
    if capability.learner is None or not infos:
        return ask, (f"{capability.name} has nothing to learn with",) if capability.learner is None else ()
    begins = min(one.first_open for one in infos) + FIRST_LESSONS_MS
    until = min(last, max(one.last_close for one in infos)) + WEEK_MS
    # Evidence is gathered as a server gathers it, by refits that are further apart than those that serve.
    refit_at = boundaries(first, last, every_ms, begins, DAY_MS * house.config.models.walk_forward_refit_days)
    with (
        tempfile.TemporaryDirectory(prefix="barograph-lessons-") as folder,
        Progress(console=err, transient=True, disable=silent) as bar,
    ):
        task = bar.add_task(f"{capability.name}: learning", total=1.0)
        pool = FittingPool(capability.name, Path(folder))
        symbols = [one.symbol for one in infos]
        refits = relearn(
            capability,
            market,
            symbols,
            timeframe,
            refit_at,
            until,
            pool.fit_each,
            lambda share, word: bar.update(task, completed=share, description=f"{capability.name}: {word}"),
            file=pool.values,
        )
    rules, too_old = Link(f"{capability.name}@0", capability.rules), house.config.models.too_old(capability.name)
    chains = Retrained(capability, tuple(refits), rules, too_old)
    return replace(ask, chains=chains), _told(capability, refits)


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
