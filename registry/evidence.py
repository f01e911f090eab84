"""What is known of a challenger, stratum by stratum: what the gate decides on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ml.bars import DAY_MS, HOUR_MS
from ml.evaluation.intervals import Interval
from ml.evaluation.weeks import Blocks

#: A block must be this many times the longest horizon, as a week is to 48 h: answers of one block then share at most
#: 2/7 of their bars with the next, and what dependence that leaves is estimated and paid for.
HORIZONS_IN_A_BLOCK = 3.5


class Basis(StrEnum):
    """Where the losses come from."""

    WALK_FORWARD = "walk-forward"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A measured figure and its goal, the closed interval [low, high]: ECE in [0, .015], coverage in [.77, .83].

    Where weeks tell how sure the figure is, `interval` says so: then a model is turned away only when all of it lies
    outside the goal. The `rules` that would answer instead are held to no goal; but nobody is turned away for a figure
    in which they, on the same rows, are as far outside or farther.
    """

    name: str
    value: float
    low: float
    high: float
    interval: Interval | None = None
    rules: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure is within its goal, or not shown to be outside, or at least as near as the rules come."""
        return self._may_be_within or self._no_farther

    @property
    def _may_be_within(self) -> bool:
        interval = self.interval
        return self._within or (interval is not None and interval.low <= self.high and interval.high >= self.low)

    @property
    def _no_farther(self) -> bool:
        return self.rules is not None and self._outside(self.value) <= self._outside(self.rules)

    def _outside(self, value: float) -> float:
        return max(self.low - value, value - self.high, 0.0)

    @property
    def _within(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def text(self) -> str:
        where = "within" if self._within else "not shown to be outside" if self._may_be_within else "outside"
        between = f" ({self.interval.low:.3f} to {self.interval.high:.3f})" if self.interval else ""
        told = f"{self.name} is {self.value:.3f}{between}, {where} its goal of {self.low:g} to {self.high:g}"
        return told if self.rules is None or self._may_be_within else f"{told}; that of the rules is {self.rules:.3f}"


@dataclass(frozen=True, slots=True)
class Parity:
    """Whether the exported artefact answers as the trained model did, and their largest difference."""

    passed: bool
    largest_difference: float


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """The challenger on questions of one kind: a horizon, a timeframe, a kind of market.

    `against_*` hold its losses as `mine`, on rows that both answered, settled blocks alone; `against_champion` is None
    where the champion does not answer: the rules do. `share_answered` is the share of the rows that version 0 answered
    which the challenger answered too; `hit_rate` the share of right directions, for capabilities that say one.
    """

    name: str
    against_rules: Blocks
    against_champion: Blocks | None
    calibration: tuple[Calibration, ...]
    share_answered: float
    hit_rate: float | None = None

    @property
    def blocks(self) -> Iterable[Blocks]:
        return (one for one in (self.against_rules, self.against_champion) if one is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of a challenger. `champion` is 0 where nobody but the rules answers. `same_learner` marks a refit
    of the champion's learner on newer data: evidence against its learner is then evidence against the champion."""

    capability: str
    challenger: int
    champion: int
    basis: Basis
    longest_horizon_ms: int
    strata: tuple[Stratum, ...]
    parity: Parity
    same_learner: bool = False

    def __post_init__(self) -> None:
        if self.champion == 0 and any(one.against_champion is not None for one in self.strata):
            raise ValueError("there are losses against a champion, but the champion is version 0")
        for stratum in self.strata:
            for blocks in stratum.blocks:
                self._check(blocks)

    def _check(self, blocks: Blocks) -> None:
        if not (np.isfinite(blocks.mine).all() and np.isfinite(blocks.other).all()):
            raise ValueError("a loss is not finite: nothing can be decided on it")
        if blocks.block_ms < HORIZONS_IN_A_BLOCK * self.longest_horizon_ms:
            raise ValueError(
                f"blocks of {span(blocks.block_ms)} are too short for labels of {span(self.longest_horizon_ms)}: "
                f"{HORIZONS_IN_A_BLOCK} times as long are needed"
            )


def span(milliseconds: int) -> str:
    return f"{milliseconds / DAY_MS:.3g} days" if milliseconds >= DAY_MS else f"{milliseconds / HOUR_MS:.3g} h"
