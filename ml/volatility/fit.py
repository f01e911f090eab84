"""How a model of one kind of market is fitted. Runs in the training process alone.

Members are fitted in threes: each leaves out a third of the blocks of time, and is judged on it. So every lesson has a
forecast by a member that has not seen it, nor its neighbours: that is what the shares of the parts, the level of the
forecast and the band are set by. What is served is the mean of the members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import parity
from ml.artefacts import onnx_runner
from ml.bars import DAY_MS, Floats, Instants
from ml.folds import MEMBERS, Fold, drawn
from ml.learning import Fit
from ml.standard import Standard
from ml.volatility.constants import RULES, TERMS
from ml.volatility.ensemble import (
    PARTS,
    Step,
    base_of,
    due_of,
    linear,
    parts,
    rules_as_linear,
)
from ml.volatility.held_out import LARGEST_RATIO, RIDGE, band_of, due_shifts, level_of, qlike, shares_of, together
from ml.volatility.inputs import FROM_PANEL, HOURS, N_INPUTS, inputs_of, panel_known, standard_of
from ml.volatility.season import Kind

#: Lessons this near to a block that is left out are left out too: their truths and features reach into it.
PURGED_MS = 3 * DAY_MS
#: Of the instants of the lessons, the share at which the panel is taken for unknown.
PANEL_UNKNOWN = 0.1
#: Logs of RV over the base that count in full; beyond, they count as this.
LARGEST_RESIDUAL = 3.0
#: Logs of RV over version 0's forecast, as trees are shown them.
RATIOS = (-6.0, float(np.log(LARGEST_RATIO)))
#: The level of the forecast and the band follow the recent past: a lesson this old counts half.
HALF_LIFE_MS = 365 * DAY_MS
NET = {"hidden": (64, 32), "dropout": 0.3, "epochs": 2, "batch": 1024, "rate": 1e-3, "weight_decay": 1e-2}
TREES = {
    "objective": "reg:gamma",
    "base_score": 1.0,
    "max_depth": 4,
    "eta": 0.06,
    "subsample": 0.3,
    "colsample_bytree": 0.3,
    "min_child_weight": 200.0,
    "lambda": 5.0,
    "max_bin": 64,
}
ROUNDS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Lessons of one kind of market, shape (n, ...): columns and calendar of the rows, h, when asked, ln RV_h over
    h x level, and what bands read of the past."""

    columns: Floats
    hours: Floats
    calendar: Floats
    as_of: Instants
    log_ratio: Floats
    past: Floats

    def __len__(self) -> int:
        return len(self.hours)

    def at(self, chosen: NDArray[Any]) -> Taught:
        """Those at `chosen`."""
        return Taught(*(getattr(self, name)[chosen] for name in Taught.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """One member: its linear bases by h (panel known, panel unknown), its two ONNX models, and what each part says of
    the lessons that it left out, at `out` (`PARTS`)."""

    bases: Mapping[int, tuple[Floats, Floats]]
    net: bytes
    trees: bytes
    out: NDArray[np.bool_]
    said: Mapping[str, Floats]


def fit(taught: Taught, kind: Kind, seed: int, tell: Callable[[float], None]) -> Fit:
    """Fits on `taught`, lessons of one `kind` of market, whose name begins those of the ONNX models. Deterministic.
    `tell` hears the share done.

    Raises BadArtefact where an export fails its parity gate.
    """
    random = np.random.default_rng(seed)
    standard = standard_of(taught.columns)
    panel = drawn(taught.as_of, random) >= PANEL_UNKNOWN
    inputs = inputs_of(standard, taught.columns, taught.hours, taught.calendar, panel=panel)
    by_h = {h: taught.hours == h for h in np.unique(taught.hours).astype(int).tolist()}
    rules = {h: _rules(standard, kind, h) for h in by_h}
    members: list[_Member] = []
    for number in range(MEMBERS):
        members.append(_member(taught, inputs, rules, number, seed + number, random))
        tell((number + 1) / MEMBERS)
    held_out = {part: np.zeros(len(taught)) for part in PARTS}
    for member in members:
        for part, said in member.said.items():
            held_out[part][member.out] = said
    steps, losses, chosen = {}, {}, {}
    for h, here in by_h.items():
        of_h = {part: held_out[part][here] for part in PARTS}
        step = _step(taught.at(here), inputs[here], of_h, [one.bases[h] for one in members], rules[h])
        steps[str(h)], chosen[str(h)] = step, step.shares.tolist()
        losses[str(h)] = {part: qlike(taught.log_ratio[here], one) for part, one in of_h.items()}
        losses[str(h)]["all"] = qlike(taught.log_ratio[here], together(of_h, step.shares))
    onnx = {f"{kind.name}_net_{number}": one.net for number, one in enumerate(members)}
    onnx |= {f"{kind.name}_trees_{number}": one.trees for number, one in enumerate(members)}
    numbers = {
        **standard.to_numbers(),
        "steps": {h: step.to_numbers() for h, step in steps.items()},
        "members": MEMBERS,
    }
    return Fit(onnx, numbers, {"lessons": len(taught), "held_out_qlike": losses, "shares": chosen})


def _rules(standard: Standard, kind: Kind, h: int) -> Floats:
    rule = RULES[kind, next(one for one in HOURS if one.bars == h)]
    weights = {name: weight for name, weight in zip(TERMS, rule.weights, strict=True) if weight}
    return rules_as_linear(standard, rule.constant, weights)


def _member(
    taught: Taught,
    inputs: Floats,
    rules: Mapping[int, Floats],
    number: int,
    seed: int,
    random: np.random.Generator,
) -> _Member:
    from ml.fitting import nets, trees

    seen = Fold.of(number, taught.as_of, PURGED_MS)
    out, shown, few = seen.out, seen.shown, seen.judged
    bases = _bases(inputs[shown], taught.hours[shown], taught.log_ratio[shown])
    base = base_of(bases, inputs, taught.hours)
    first = base_of({h: (one, one) for h, one in rules.items()}, inputs, taught.hours)
    left = np.clip(taught.log_ratio - base, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    read = inputs[:, :N_INPUTS]
    lesson, judged = nets.Lesson(read[shown], left[shown, None]), nets.Lesson(read[few], left[few, None])
    net, _ = nets.fitted(lesson, judged, 1, _loss, nets.Recipe(**NET), seed)  # type: ignore[arg-type]  # the loss is torch's, which types as Any
    net_model = nets.to_onnx(net, N_INPUTS)
    parity.check(lambda x: nets.predicted(net, x), onnx_runner(net_model), read, random, largest=10.0)
    ratio = np.exp(np.clip(taught.log_ratio - first, *RATIOS))
    booster = trees.grown(TREES, read[shown], ratio[shown], ROUNDS, seed)
    trees_model = trees.to_onnx(booster, N_INPUTS, margin=True)
    splits = trees.splits(booster, N_INPUTS)
    runner = onnx_runner(trees_model)
    parity.check(lambda x: trees.predicted(booster, x, margin=True), runner, read, random, splits=splits)
    told = nets.predicted(net, read[out])[:, 0], trees.predicted(booster, read[out], margin=True)
    said = dict(zip(PARTS, parts(base[out], told[0], first[out], told[1]), strict=True))
    return _Member(bases, net_model, trees_model, out, said)


def _step(
    taught: Taught, inputs: Floats, said: Mapping[str, Floats], bases: list[tuple[Floats, Floats]], rules: Floats
) -> Step:
    """One horizon: the mean of the members' bases; level and band from forecasts of lessons held out."""
    recent = np.exp2((taught.as_of - taught.as_of.max()) / HALF_LIFE_MS)
    shares = shares_of(said, taught.log_ratio)
    mixture = together(said, shares)
    shift = level_of(taught.log_ratio, mixture, recent)
    due = due_shifts(inputs, taught.as_of, taught.log_ratio, mixture + shift, recent)
    mixture = mixture + due_of(inputs, due)
    width, centre, quantiles = band_of(inputs, taught.past, mixture + shift, taught.log_ratio, recent)
    with_panel, without_panel = (np.mean([pair[k] for pair in bases], axis=0) for k in (0, 1))
    return Step(with_panel, without_panel, rules, shares, shift, due, width, centre, quantiles)


def _loss(out: Any, target: Any) -> Any:  # noqa: ANN401 - tensors, whose library is not known here
    apart = target[:, 0] - out[:, 0]
    return apart.exp() - apart + 0.25 * apart * apart


def _bases(inputs: Floats, hours: Floats, truths: Floats) -> dict[int, tuple[Floats, Floats]]:
    """Per horizon least squares in logs, panel known and unknown, rescaled to a mean: steadier than least QLIKE."""
    known = panel_known(inputs)
    result = {}
    for h in np.unique(hours).astype(int).tolist():
        here = hours == h
        with_panel = _least_squares(inputs[here & known], truths[here & known])
        result[h] = with_panel, _least_squares(_without_panel(inputs[here]), truths[here])
    return result


def _without_panel(inputs: Floats) -> Floats:
    result = inputs.copy()
    result[:, : len(FROM_PANEL)][:, FROM_PANEL] = 0.0
    return result


def _least_squares(inputs: Floats, truths: Floats) -> Floats:
    columns = np.column_stack([inputs, np.ones(len(inputs))])
    gram = columns.T @ columns + RIDGE * np.diag([1.0] * inputs.shape[1] + [1e-9])
    weights: Floats = np.linalg.solve(gram, columns.T @ truths).astype(np.float64)
    weights[-1] += level_of(truths, linear(inputs, weights))
    return weights
