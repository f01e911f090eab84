"""From what refits showed to the gate's decision: evidence, stratum by stratum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.bars import WEEK_MS, Floats, Instants
from ml.capability import AnyCapability
from ml.evaluation.intervals import Interval, mean_of_blocks
from ml.evaluation.scores import ece
from ml.evaluation.weeks import Blocks, paired
from registry.aliases import InForce
from registry.gate import (
    HORIZONS_IN_A_BLOCK,
    Basis,
    Calibration,
    Decision,
    Evidence,
    Parity,
    Policy,
    Stratum,
    decide,
)
from workers.shown import CONFIDENCE, IN_80, IN_90, MARKS, RIGHT, Shown


@dataclass(frozen=True, slots=True, eq=False)
class Rival:
    """Who answers now, and would no longer. `losses` are its own on the rows of what was shown, NaN where it has none
    out of sample. `same_learner`: the challenger is a refit of it."""

    in_force: InForce
    losses: Floats
    same_learner: bool


def judged(
    capability: AnyCapability,
    shown: Shown,
    at: int,
    challenger: int,
    parity: float,
    longest_ms: int,
    rival: Rival | None = None,
) -> Decision:
    """The gate's decision at `at` (ms) on a version, by what refits of its learner showed on weeks that were over then.
    `parity` is by how much its artefact differs from the trained model, `longest_ms` the longest horizon asked about.
    """
    block = max(1, -(-int(HORIZONS_IN_A_BLOCK * longest_ms) // WEEK_MS)) * WEEK_MS
    evidence = Evidence(
        capability=capability.name,
        challenger=challenger,
        champion=rival.in_force.version if rival else 0,
        basis=Basis.WALK_FORWARD,
        longest_horizon_ms=longest_ms,
        strata=tuple(_stratum(capability, shown, code, at, block, rival) for code in _by_name(shown)),
        parity=Parity(True, parity),  # a fit that fails parity raises
        same_learner=rival is not None and rival.same_learner,
    )
    return decide(evidence, Policy(least_ratio=capability.goals.least_ratio))


def _by_name(shown: Shown) -> list[int]:
    names = shown.strata.of
    return sorted(np.unique(shown.strata.codes).tolist(), key=lambda code: names[code])


def _stratum(
    capability: AnyCapability, shown: Shown, code: int, at: int, block_ms: int, rival: Rival | None
) -> Stratum:
    here, name = shown.strata.codes == code, shown.strata.of[code]
    part = shown.where(here)
    held = rival is not None and (rival.in_force.strata is None or name in rival.in_force.strata)

    def against(other: Floats) -> Blocks:
        return paired(part.as_of, part.model, other, block_ms=block_ms, settled_through=at)

    return Stratum(
        name=name,
        against_rules=against(part.rules),
        against_champion=against(rival.losses[here]) if rival is not None and held else None,
        calibration=_calibration(capability, part),
        share_answered=float((~np.isnan(part.model)).mean()),
    )


def _calibration(capability: AnyCapability, shown: Shown) -> tuple[Calibration, ...]:
    answered = shown.where(~np.isnan(shown.model))
    mine = _measured(capability, answered.as_of, answered.model_marks)
    rules = _measured(capability, answered.as_of, answered.rules_marks)
    return tuple(
        Calibration(name, value, *capability.goals.calibration[name], interval, rules.get(name, (None, None))[0])
        for name, (value, interval) in mine.items()
    )


def _measured(capability: AnyCapability, as_of: Instants, marks: Floats) -> dict[str, tuple[float, Interval | None]]:
    """The figures that goals are asked of, with their intervals, by name; without those that no row tells."""
    found: dict[str, tuple[float, Interval | None]] = {}
    confident = ~np.isnan(marks[:, CONFIDENCE]) & ~np.isnan(marks[:, RIGHT])
    if confident.any():
        found["ece"] = ece(marks[confident, CONFIDENCE], marks[confident, RIGHT] > 0), None
    own = zip(capability.figures, marks[:, len(MARKS) :].T, strict=True)
    for name, told in (("coverage_80", marks[:, IN_80]), ("coverage_90", marks[:, IN_90]), *own):
        if (~np.isnan(told)).any():
            weekly = paired(as_of, told, told)
            random = np.random.default_rng(Policy().seed)
            found[name] = mean_of_blocks(weekly.mine, weekly.rows.astype(np.float64), random)
    return {name: told for name, told in found.items() if name in capability.goals.calibration}
