"""The gate: whether a challenger may answer. Pure: the same evidence and policy give the same decision.

A challenger must be better than version 0, and than the champion, on the same rows. Walk-forward evidence is looked at
once: at least 52 weeks, and the week-bootstrap interval of the loss ratio below 1. Live evidence is looked at whenever
one likes: by the wealth of a bettor (`ml.evaluation.betting`), at least 1 / alpha.

Blocks are weeks unless the labels are short. A block must be at least 3.5 times the longest horizon, as a week is to 48
h: answers of one block then share at most 2/7 of their bars with the next, and what dependence that leaves is estimated
and paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ml.bars import DAY_MS, WEEK_MS
from ml.evaluation.betting import log_wealth
from ml.evaluation.intervals import Ratio, ratio_of_losses
from ml.evaluation.weeks import Blocks

#: A week is 3.5 times 48 h, the longest horizon on hourly bars.
HORIZONS_IN_A_BLOCK = 3.5


class Verdict(StrEnum):
    """What becomes of a challenger."""

    PROMOTE = "promote"
    KEEP = "keep"
    """Go on looking: nothing speaks against it, but the evidence does not suffice yet."""
    REJECT = "reject"


class Basis(StrEnum):
    """Where the losses come from."""

    WALK_FORWARD = "walk-forward"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A measured figure and its goal, the closed interval [low, high]: ECE in [0, .015], coverage in [.77, .83]."""

    name: str
    value: float
    low: float
    high: float

    @property
    def within(self) -> bool:
        return self.low <= self.value <= self.high


@dataclass(frozen=True, slots=True)
class Parity:
    """Whether the exported artefact answers as the trained model did, and their largest difference."""

    passed: bool
    largest_difference: float


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of a challenger. `against_*` hold its losses as `mine`, on rows that both answered, settled blocks
    alone; `against_champion` is None where the champion is version 0. `share_answered` is the share of the rows that
    version 0 answered which the challenger answered too; `hit_rate` the share of right directions, for capabilities
    that say one. `same_learner` marks a refit of the champion's learner on newer data."""

    capability: str
    challenger: int
    champion: int
    basis: Basis
    longest_horizon_ms: int
    against_rules: Blocks
    against_champion: Blocks | None
    calibration: tuple[Calibration, ...]
    parity: Parity
    share_answered: float
    hit_rate: float | None = None
    same_learner: bool = False

    def __post_init__(self) -> None:
        if (self.champion == 0) != (self.against_champion is None):
            raise ValueError("losses against the champion are needed, unless the champion is version 0")
        for blocks in (self.against_rules, self.against_champion):
            if blocks is None:
                continue
            if not (np.isfinite(blocks.mine).all() and np.isfinite(blocks.other).all()):
                raise ValueError("a loss is not finite: nothing can be decided on it")
            if blocks.block_ms < HORIZONS_IN_A_BLOCK * self.longest_horizon_ms:
                raise ValueError(
                    f"blocks of {_span(blocks.block_ms)} are too short for labels of {_span(self.longest_horizon_ms)}: "
                    f"{HORIZONS_IN_A_BLOCK} times as long are needed"
                )


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of a challenger. `least_ratio` and `most_hits` say what is too good to be true: a loss ratio to
    version 0 below the one, or a share of right directions above the other, must be a leak. `refit_margin`: a refit of
    the champion's own learner need not beat it, only not be worse by more than this share of its loss."""

    alpha: float = 0.05
    least_weeks: int = 52
    least_live_blocks: int = 8
    least_share: float = 0.9
    least_ratio: float = 0.5
    most_hits: float = 0.6
    refit_margin: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha is {self.alpha}; it lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger against one other. `wealth` is the bettor's, `worse_wealth` that of the bettor on the other."""

    against: str
    ratio: Ratio | None
    wealth: float
    worse_wealth: float
    better: bool
    worse: bool
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and why: sentences with their numbers, the deciding ones first."""

    verdict: Verdict
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Promote, keep or reject. Raises nothing: what evidence cannot be is refused where it is made."""
    rules = _compared(evidence, evidence.against_rules, 0, policy, margin=0.0)
    comparisons = [rules]
    if evidence.against_champion is not None:
        margin = policy.refit_margin if evidence.same_learner else 0.0
        comparisons.append(_compared(evidence, evidence.against_champion, evidence.champion, policy, margin))
    wrong = _wrong(evidence, policy, comparisons)
    if wrong:
        return Decision(Verdict.REJECT, tuple(wrong), tuple(comparisons))
    missing = _missing(evidence, policy, comparisons)
    if missing:
        return Decision(Verdict.KEEP, tuple(missing), tuple(comparisons))
    told = [one.text for one in comparisons]
    told += [_calibrated(one) for one in evidence.calibration]
    told.append(f"the artefact differs from the trained model by at most {evidence.parity.largest_difference:.1g}")
    return Decision(Verdict.PROMOTE, tuple(told), tuple(comparisons))


def _wrong(evidence: Evidence, policy: Policy, comparisons: Sequence[Comparison]) -> list[str]:
    """What no further evidence could mend: versions are immutable."""
    found = []
    if not evidence.parity.passed:
        apart = evidence.parity.largest_difference
        found.append(f"the artefact does not answer as the trained model did: they differ by up to {apart:.2g}")
    ratio, hits = comparisons[0].ratio, evidence.hit_rate
    if ratio is not None and ratio.blocks >= policy.least_live_blocks and ratio.point < policy.least_ratio:
        found.append(
            f"too good to be true: its loss is {ratio.point:.3f} of that of the rules, below {policy.least_ratio:.2f} "
            "it must be a leak"
        )
    if hits is not None and hits > policy.most_hits:
        found.append(
            f"too good to be true: {hits:.1%} of its directions are right, above {policy.most_hits:.0%} it must be a "
            "leak"
        )
    found += [one.text for one in comparisons if one.worse]
    if evidence.basis is Basis.WALK_FORWARD:
        found += _unfit(evidence, policy)
    return found


def _missing(evidence: Evidence, policy: Policy, comparisons: Sequence[Comparison]) -> list[str]:
    """What further evidence may bring."""
    found = [one.text for one in comparisons if not one.better]
    if not evidence.calibration:
        found.append("its calibration has not been measured")
    if evidence.basis is Basis.LIVE:
        found += _unfit(evidence, policy)
    return found


def _unfit(evidence: Evidence, policy: Policy) -> list[str]:
    """Calibration outside its goal, too few answers: final on a walk-forward, a passing state live."""
    found = [_calibrated(one) for one in evidence.calibration if not one.within]
    if evidence.share_answered < policy.least_share:
        share = f"{evidence.share_answered:.0%} of what the rules answered, {policy.least_share:.0%} are needed"
        found.append(f"it answered {share}")
    return found


def _compared(evidence: Evidence, blocks: Blocks, version: int, policy: Policy, margin: float) -> Comparison:
    name = f"{evidence.capability}@{version}"
    ratio = ratio_of_losses(blocks, np.random.default_rng(policy.seed))
    wealth, worse_wealth = _wealth(blocks, 1.0), _wealth(blocks, -1.0)
    needed = 1.0 / policy.alpha
    high = ratio.interval.high if ratio and ratio.interval else math.inf
    low = ratio.interval.low if ratio and ratio.interval else -math.inf
    if evidence.basis is Basis.WALK_FORWARD:
        weeks = len(blocks) if blocks.block_ms == WEEK_MS else 0
        enough, better, worse = weeks >= policy.least_weeks, high < 1.0, low > 1.0
        short = f"{weeks} weeks of walk-forward, {policy.least_weeks} are needed"
    else:
        enough = len(blocks) >= policy.least_live_blocks
        better = wealth >= needed and ratio is not None and ratio.point < 1.0
        worse = worse_wealth >= needed and enough and ratio is not None and ratio.point > 1.0
        short = f"{len(blocks)} settled blocks of {_span(blocks.block_ms)}, {policy.least_live_blocks} are needed"
    tied = margin > 0.0 and high <= 1.0 + margin
    good = enough and (better or tied)
    if not enough and not worse:
        text = f"not shown to be better than {name}: {short}"
    elif worse:
        text = f"worse than {name}"
    elif good:
        text = f"better than {name}" if better else f"a refit, not worse than {name} by more than {margin:.0%}"
    else:
        text = f"not shown to be better than {name}"
    if evidence.basis is Basis.LIVE and enough:
        text += f", evidence {worse_wealth if worse else wealth:.3g} of {needed:.0f}"
    return Comparison(name, ratio, wealth, worse_wealth, good, worse, f"{text}; {_numbers(ratio)}")


def _wealth(blocks: Blocks, sign: float) -> float:
    """The bettor's wealth now; 1 before any block."""
    if not len(blocks):
        return 1.0
    return math.exp(min(float(log_wealth(sign * blocks.differences)[-1]), 700.0))


def _numbers(ratio: Ratio | None) -> str:
    if ratio is None:
        return "no rows that both answered have settled"
    between = f" ({ratio.interval.low:.3f} to {ratio.interval.high:.3f})" if ratio.interval else ""
    return f"loss ratio {ratio.point:.3f}{between} on {ratio.rows:,} answers in {ratio.blocks} blocks"


def _calibrated(one: Calibration) -> str:
    where = "within" if one.within else "outside"
    return f"{one.name} is {one.value:.3f}, {where} its goal of {one.low:g} to {one.high:g}"


def _span(milliseconds: int) -> str:
    return f"{milliseconds / DAY_MS:.3g} days" if milliseconds >= DAY_MS else f"{milliseconds / (DAY_MS / 24):.3g} h"
