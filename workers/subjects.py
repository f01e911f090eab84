"""What a model is taught on: which bars, of those that are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from market.series_info import SeriesInfo
from ml.bars import Timeframe
from ml.capability import AnyCapability

#: Models learn from the finest bars on which the rules were measured, of those that are fed.
FROM = (Timeframe.H1, Timeframe.D1)


@dataclass(frozen=True, slots=True)
class Subject:
    """Bars of these symbols; lessons are taken `every_bars` apart, on one clock for all."""

    timeframe: Timeframe
    symbols: tuple[str, ...]
    every_bars: int


def subjects(
    capability: AnyCapability, fed: Sequence[SeriesInfo], answered: Timeframe | None = None
) -> tuple[Subject, ...]:
    """The finest bars to learn from, and the longer ones on which such a model answers beside; or of these only what it
    takes to answer on `answered`. None where nothing is fed that it could learn from, or nothing learns."""
    of = {found: tuple(sorted(i.symbol for i in fed if i.timeframe is found)) for found in {i.timeframe for i in fed}}
    finest = next((one for one in FROM if one in of), None)
    if answered is not None and (finest is None or answered not in _beside(capability, finest)):
        finest = answered
    if capability.learner is None or finest not in of or answered not in (None, *of):
        return ()
    beside = [one for one in _beside(capability, finest) if one in of and answered in (None, one)]
    main = Subject(finest, of[finest], capability.learner.every_bars)
    return main, *(Subject(one, of[one], capability.beside[one]) for one in beside)


def finer(capability: AnyCapability, answered: Timeframe) -> tuple[Timeframe, ...]:
    """The bars beside those of `answered` that a model may learn from which answers there."""
    return tuple(one for one in FROM if capability.learner is not None and answered in _beside(capability, one))


def _beside(capability: AnyCapability, finest: Timeframe) -> list[Timeframe]:
    return [one for one in capability.beside if one.milliseconds > finest.milliseconds]
