"""The gate: whether a challenger may answer, and what. Pure: the same evidence and policy give the same decision.

It decides stratum by stratum: a model that is better on some questions answers those, and the rules the others. In a
stratum a challenger must be better than version 0. Walk-forward evidence is looked at once: at least 52 weeks, and the
week-bootstrap interval of the loss ratio below 1. Live evidence is looked at whenever one likes: by the wealth of a
bettor (`ml.evaluation.betting`), at least 1 / alpha.

Where a champion answers, the challenger must be better than it too, on the same rows, out of sample for both; and
nowhere worse by more than a margin. A refit of the champion's own learner need not be better, only not worse by more
than the margin; and where its learner is no longer better than the rules, neither is the champion.

Blocks are weeks unless the labels are long (`registry.evidence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ml.bars import WEEK_MS
from ml.evaluation.betting import log_wealth
from ml.evaluation.intervals import Ratio, ratio_of_losses
from ml.evaluation.weeks import Blocks, added
from registry.evidence import HORIZONS_IN_A_BLOCK, Basis, Calibration, Evidence, Parity, Stratum, span

__all__ = [
    "HORIZONS_IN_A_BLOCK",
    "Basis",
    "Calibration",
    "Comparison",
    "Decision",
    "Evidence",
    "Parity",
    "Policy",
    "Ruling",
    "Stratum",
    "Verdict",
    "decide",
]


class Verdict(StrEnum):
    """What becomes of a challenger, as a whole or in a stratum."""

    PROMOTE = "promote"
    KEEP = "keep"
    """Go on looking: nothing speaks against it, but the evidence does not suffice yet."""
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of a challenger. `least_ratio` and `most_hits` say what is too good to be true: a loss ratio to
    version 0 below the one, or a share of right directions above the other, must be a leak. `margin` is the share of
    the champion's loss by which a challenger may be worse in a stratum. `least_blocks` are needed for any comparison
    that is no walk-forward against the rules."""

    alpha: float = 0.05
    least_weeks: int = 52
    least_blocks: int = 8
    least_share: float = 0.9
    least_ratio: float = 0.5
    most_hits: float = 0.6
    margin: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha is {self.alpha}; it lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger against one other. `enough`: there are blocks enough to tell. `better` and `worse` are shown, not
    guessed; `near`: as measured, it is not worse by more than the margin."""

    against: str
    ratio: Ratio | None
    enough: bool
    better: bool
    worse: bool
    near: bool
    text: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """The word on one stratum: may it answer there, by what it shows beside the rules."""

    stratum: str
    verdict: Verdict
    reasons: tuple[str, ...]
    rules: Comparison

    @property
    def text(self) -> str:
        return f"{self.stratum}: {'; '.join(self.reasons)}" if self.stratum else "; ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and why: sentences with their numbers, the deciding ones first. `strata` are those that a promoted
    challenger may answer. `withdraws`: the champion should answer no longer, for its own learner passes nowhere that it
    answers."""

    verdict: Verdict
    reasons: tuple[str, ...]
    rulings: tuple[Ruling, ...]
    strata: frozenset[str] = frozenset()
    withdraws: bool = False


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Promote, keep or reject. Raises nothing: what evidence cannot be is refused where it is made."""
    rulings = tuple(_ruled(evidence, one, policy) for one in evidence.strata)
    leaks = _leaks(evidence, rulings, policy)
    if leaks:
        return Decision(Verdict.REJECT, tuple(leaks), rulings)
    passed = [one for one in rulings if one.verdict is Verdict.PROMOTE]
    failed = [one.text for one in rulings if one.verdict is not Verdict.PROMOTE]
    if not passed:
        hopeless = bool(rulings) and all(one.verdict is Verdict.REJECT for one in rulings)
        reasons = failed or ["nothing that it was asked about has settled"]
        verdict = Verdict.REJECT if hopeless else Verdict.KEEP
        return Decision(verdict, tuple(reasons), rulings, withdraws=_own_learner_fails(evidence, rulings))
    rivalry = _rivalry(evidence, rulings, policy)
    if rivalry.worse or rivalry.missing:
        verdict = Verdict.REJECT if rivalry.worse else Verdict.KEEP
        withdraws = not rivalry.worse and _own_learner_fails(evidence, rulings)
        return Decision(verdict, (*rivalry.worse, *rivalry.missing), rulings, withdraws=withdraws)
    told = [*(one.text for one in passed), *rivalry.passed]
    told.append(f"the artefact differs from the trained model by at most {evidence.parity.largest_difference:.1g}")
    told += [f"the rules answer {one}" for one in failed]
    return Decision(Verdict.PROMOTE, tuple(told), rulings, frozenset(one.stratum for one in passed))


def _ruled(evidence: Evidence, stratum: Stratum, policy: Policy) -> Ruling:
    """A walk-forward is looked at once: what speaks against the challenger there is final; live it may pass."""
    final = evidence.basis is Basis.WALK_FORWARD
    rules = _compared(evidence, stratum.against_rules, 0, policy, least=policy.least_weeks if final else None)
    unfit = [one.text for one in stratum.calibration if not one.holds]
    if stratum.share_answered < policy.least_share:
        share = f"{stratum.share_answered:.0%} of what the rules answered, {policy.least_share:.0%} are needed"
        unfit.append(f"it answered {share}")
    wrong = [rules.text] if rules.worse else []
    wrong += unfit if final else []
    if wrong:
        return Ruling(stratum.name, Verdict.REJECT, tuple(wrong), rules)
    missing = [rules.text] if not rules.better else []
    missing += [] if stratum.calibration else ["its calibration has not been measured"]
    missing += unfit
    if missing:
        return Ruling(stratum.name, Verdict.KEEP, tuple(missing), rules)
    return Ruling(stratum.name, Verdict.PROMOTE, (rules.text, *(one.text for one in stratum.calibration)), rules)


def _leaks(evidence: Evidence, rulings: Sequence[Ruling], policy: Policy) -> list[str]:
    """What damns the version whole: one leak is enough."""
    found = []
    if not evidence.parity.passed:
        apart = evidence.parity.largest_difference
        found.append(f"the artefact does not answer as the trained model did: they differ by up to {apart:.2g}")
    for stratum, ruling in zip(evidence.strata, rulings, strict=True):
        ratio, where = ruling.rules.ratio, f"{stratum.name}: " if stratum.name else ""
        if ratio is not None and ratio.blocks >= policy.least_blocks and ratio.point < policy.least_ratio:
            found.append(
                f"{where}too good to be true: its loss is {ratio.point:.3f} of that of the rules, below "
                f"{policy.least_ratio:.2f} it must be a leak"
            )
        if stratum.hit_rate is not None and stratum.hit_rate > policy.most_hits:
            found.append(
                f"{where}too good to be true: {stratum.hit_rate:.1%} of its directions are right, above "
                f"{policy.most_hits:.0%} it must be a leak"
            )
    return found


@dataclass(frozen=True, slots=True)
class _Rivalry:
    """What the champion's answers say: for good, for now, and in favour."""

    worse: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()


def _rivalry(evidence: Evidence, rulings: Sequence[Ruling], policy: Policy) -> _Rivalry:
    """The challenger against the champion, wherever that answers."""
    worse, missing, passed = [], [], []
    fought: list[Blocks] = []
    for stratum, ruling in zip(evidence.strata, rulings, strict=True):
        blocks, where = stratum.against_champion, f"{stratum.name}: " if stratum.name else ""
        if blocks is None:
            continue
        one = _compared(evidence, blocks, evidence.champion, policy, margin=policy.margin)
        if ruling.verdict is not Verdict.PROMOTE:
            if not evidence.same_learner:
                missing.append(f"{where}{one.against} answers there, and the rules would again: {ruling.reasons[0]}")
            continue
        fought.append(blocks)
        if one.worse:
            worse.append(f"{where}{one.text}")
        elif one.enough and not one.near:
            missing.append(f"{where}{one.text}")
        elif evidence.same_learner:
            passed.append(f"{where}{one.text if one.enough else _too_early(one)}")
    if fought and not evidence.same_learner:
        pooled = _compared(evidence, added(fought), evidence.champion, policy)
        (passed if pooled.better else missing).append(pooled.text)
    return _Rivalry(tuple(worse), tuple(missing), tuple(passed))


def _too_early(one: Comparison) -> str:
    blocks = one.ratio.blocks if one.ratio else 0
    return (
        f"a refit of the learner of {one.against}: the walk-forward speaks for both, and {blocks} blocks after that "
        "one's cut-off are too few to tell them apart"
    )


def _own_learner_fails(evidence: Evidence, rulings: Sequence[Ruling]) -> bool:
    held = [ruled for one, ruled in zip(evidence.strata, rulings, strict=True) if one.against_champion is not None]
    return evidence.same_learner and bool(held) and all(one.verdict is not Verdict.PROMOTE for one in held)


def _compared(
    evidence: Evidence, blocks: Blocks, version: int, policy: Policy, *, margin: float = 0.0, least: int | None = None
) -> Comparison:
    """`least` asks for so many weeks; else `policy.least_blocks` are enough."""
    name = f"{evidence.capability}@{version}"
    ratio = ratio_of_losses(blocks, np.random.default_rng(policy.seed))
    have, needed = len(blocks), policy.least_blocks
    what = f"{have} settled blocks of {span(blocks.block_ms)}"
    if least is not None:
        have, needed = have * blocks.block_ms // WEEK_MS, least
        what = f"{have} weeks of walk-forward"
    enough, wealth = have >= needed, ""
    if evidence.basis is Basis.WALK_FORWARD:
        better = ratio is not None and ratio.interval is not None and ratio.interval.high < 1.0
        worse = ratio is not None and ratio.interval is not None and ratio.interval.low > 1.0 + margin
    else:
        mine, other, riches = _wealth(blocks, 1.0), _wealth(blocks, -1.0), 1.0 / policy.alpha
        better = ratio is not None and ratio.point < 1.0 and mine >= riches
        worse = ratio is not None and ratio.point > 1.0 + margin and other >= riches and enough
        wealth = f", evidence {other if worse else mine:.3g} of {riches:.0f}" if enough else ""
    near = enough and ratio is not None and ratio.point <= 1.0 + margin
    if worse:
        text = f"worse than {name}" + (f" by more than {margin:.0%}" if margin else "")
    elif not enough:
        text = f"not shown to be better than {name}: {what}, {needed} are needed"
    elif better:
        text = f"better than {name}"
    elif margin and near:
        text = f"not worse than {name} by more than {margin:.0%}"
    else:
        text = f"not shown to be better than {name}"
    return Comparison(name, ratio, enough, enough and better, worse, near, f"{text}{wealth}; {_numbers(ratio)}")


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
