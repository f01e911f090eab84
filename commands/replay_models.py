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
from ml.capability import AnyCapability
from server import House
from tools.ask import Ask
from tools.chain import Link
from workers.fitting_pool import FittingPool
from workers.relearn import Refit, boundaries, relearn

#: A model needs some history before its first lessons mean anything.
FIRST_LESSONS_MS = 90 * DAY_MS


@dataclass(frozen=True, slots=True)
class Retrained:
    """Chains of a replay: at each `as_of` the newest refit that the gate had promoted by then, then the rules."""

    refits: tuple[Refit, ...]
    rules: Link

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        number = bisect_right([one.at for one in self.refits], as_of) - 1
        if number < 0 or not self.refits[number].promoted:
            return (self.rules,)
        refit = self.refits[number]
        if refit.predictor is None:
            raise AssertionError("a promoted refit has its predictor")
        return Link(f"{capability}@{refit.version}", refit.predictor), self.rules


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
    market = Fed(house.history, panel=None)
    ask = replace(house.ask, market=market)
    infos = [one for one in house.history.series() if one.timeframe is timeframe]
    if capability.learner is None or not infos:
        return ask, (f"{capability.name} has nothing to learn with",) if capability.learner is None else ()
    begins = min(one.first_open for one in infos) + FIRST_LESSONS_MS
    until = min(last, max(one.last_close for one in infos)) + WEEK_MS
    refit_at = boundaries(first, last, every_ms, begins)
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
        )
    chains = Retrained(tuple(refits), Link(f"{capability.name}@0", capability.rules))
    return replace(ask, chains=chains), _told(capability, refits)


def _told(capability: AnyCapability, refits: Sequence[Refit]) -> tuple[str, ...]:
    """What the gate said, where it changed its mind."""
    told: list[str] = []
    before: bool | None = None
    for one in refits:
        if one.promoted is not before:
            verdict = "is promoted" if one.promoted else "is not promoted"
            told.append(f"{capability.name}@{one.version} {verdict}: {'; '.join(one.reasons)}")
        before = one.promoted
    return tuple(told)
