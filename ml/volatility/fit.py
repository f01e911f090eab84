"""How a model of one kind of market is fitted. Runs in the training process alone.

Members are fitted in threes: each leaves out a third of the blocks of time, and is judged on it. So every lesson has a
forecast by a member that has not seen it, nor its neighbours: that is what the level of the forecast and the band are
set by. What is served is the mean of the members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import parity
from ml.artefacts import onnx_runner
from ml.bars import DAY_MS, WEEK_MS, Floats, Instants
from ml.volatility.constants import BANDS
from ml.volatility.ensemble import N_WIDTH, Step, base_of, linear, width_columns, width_of
from ml.volatility.inputs import FROM_PANEL, N_INPUTS, Scale, panel_known

MEMBERS = 3
BLOCK_MS = 8 * WEEK_MS
#: Lessons this near to a block that is left out are left out too: their truths and features reach into it.
PURGED_MS = 3 * DAY_MS
#: Of the instants of the lessons, the share at which the panel is taken for unknown.
PANEL_UNKNOWN = 0.1
RIDGE = 200.0
#: The level of the forecast and the band follow the recent past: a lesson this old counts half.
HALF_LIFE_MS = 365 * DAY_MS
LARGEST_RATIO = 20.0
#: Logs of RV over the base that count in full; beyond, they count as this.
LARGEST_RESIDUAL = 3.0
WEIGHTS = (0.6, 0.6)
NET = {"hidden": (64, 32), "dropout": 0.3, "epochs": 2, "batch": 1024, "rate": 1e-3, "weight_decay": 1e-2}
TREES = {
    "objective": "reg:squarederror",
    "base_score": 0.0,
    "max_depth": 4,
    "eta": 0.06,
    "subsample": 0.3,
    "colsample_bytree": 0.4,
    "min_child_weight": 200.0,
    "lambda": 5.0,
    "max_bin": 64,
}
ROUNDS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Lessons of one kind of market, shape (n, ...): columns and calendar of the rows, h, when asked, ln RV_h over
    h x level, and the spread of the last 90 days."""

    columns: Floats
    hours: Floats
    calendar: Floats
    as_of: Instants
    log_ratio: Floats
    spread: Floats

    def __len__(self) -> int:
        return len(self.hours)

    def at(self, chosen: NDArray[Any]) -> Taught:
        """Those at `chosen`."""
        return Taught(*(getattr(self, name)[chosen] for name in Taught.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What came of it: ONNX models by name, numbers as JSON takes them, and a report."""

    onnx: Mapping[str, bytes]
    numbers: Mapping[str, Any]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """One member: its linear bases by h (panel known, panel unknown), its two ONNX models, and what each part says of
    the lessons that it left out, at `out`."""

    bases: Mapping[int, tuple[Floats, Floats]]
    net: bytes
    trees: bytes
    out: NDArray[np.bool_]
    said: Mapping[str, Floats]


def fit(taught: Taught, prefix: str, seed: int, tell: Callable[[float], None]) -> Fit:
    """Fits on `taught`. Deterministic. `prefix` begins the names of the ONNX models; `tell` hears the share done.

    Raises BadArtefact where an export fails its parity gate.
    """
    random = np.random.default_rng(seed)
    scale = Scale.of(taught.columns)
    inputs = scale.inputs(taught.columns, taught.hours, taught.calendar, panel=_panel_shown(taught.as_of, random))
    members: list[_Member] = []
    for number in range(MEMBERS):
        members.append(_member(taught, inputs, number, seed + number, random))
        tell((number + 1) / MEMBERS)
    held_out = {part: np.zeros(len(taught)) for part in ("base", "net", "trees")}
    for member in members:
        for part, said in member.said.items():
            held_out[part][member.out] = said
    corrected = held_out["base"] + WEIGHTS[0] * held_out["net"] + WEIGHTS[1] * held_out["trees"]
    steps, losses = {}, {}
    for h in np.unique(taught.hours).astype(int).tolist():
        here = taught.hours == h
        steps[str(h)] = _step(taught.at(here), inputs[here], corrected[here], [one.bases[h] for one in members])
        losses[str(h)] = {
            "base": _qlike(taught.log_ratio[here], held_out["base"][here]),
            "base_net": _qlike(taught.log_ratio[here], (held_out["base"] + held_out["net"])[here]),
            "base_trees": _qlike(taught.log_ratio[here], (held_out["base"] + held_out["trees"])[here]),
            "all": _qlike(taught.log_ratio[here], corrected[here]),
        }
    onnx = {f"{prefix}_net_{number}": one.net for number, one in enumerate(members)}
    onnx |= {f"{prefix}_trees_{number}": one.trees for number, one in enumerate(members)}
    numbers = {
        "mean": scale.mean.tolist(),
        "deviation": scale.deviation.tolist(),
        "weights": list(WEIGHTS),
        "steps": {h: step.to_numbers() for h, step in steps.items()},
        "members": MEMBERS,
    }
    return Fit(onnx, numbers, {"lessons": len(taught), "held_out_qlike": losses})


def _member(taught: Taught, inputs: Floats, number: int, seed: int, random: np.random.Generator) -> _Member:
    from ml.fitting import nets, trees

    out = (taught.as_of // BLOCK_MS) % MEMBERS == number
    shown = ~out & ~_near(taught.as_of, number)
    bases = _bases(inputs[shown], taught.hours[shown], taught.log_ratio[shown])
    base = base_of(bases, inputs, taught.hours)
    left = np.clip(taught.log_ratio - base, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    read = inputs[:, :N_INPUTS]
    few = np.flatnonzero(out)[::5]  # enough to choose an epoch by
    lesson, judged = nets.Lesson(read[shown], left[shown, None]), nets.Lesson(read[few], left[few, None])
    net, _ = nets.fitted(lesson, judged, 1, _loss, nets.Recipe(**NET), seed)  # type: ignore[arg-type]
    net_model = nets.to_onnx(net, N_INPUTS)
    parity.check(lambda x: nets.predicted(net, x), onnx_runner(net_model), read, random, largest=10.0)
    booster = trees.grown(TREES, read[shown], left[shown], ROUNDS, seed)
    trees_model = trees.to_onnx(booster, N_INPUTS)
    splits = trees.splits(booster, N_INPUTS)
    parity.check(lambda x: trees.predicted(booster, x), onnx_runner(trees_model), read, random, splits=splits)
    said = {
        "base": base[out],
        "net": nets.predicted(net, read[out])[:, 0],
        "trees": trees.predicted(booster, read[out]),
    }
    return _Member(bases, net_model, trees_model, out, said)


def _step(taught: Taught, inputs: Floats, corrected: Floats, bases: list[tuple[Floats, Floats]]) -> Step:
    """One horizon: the mean of the members' bases; level and band from forecasts of lessons held out."""
    recent = np.exp2((taught.as_of - taught.as_of.max()) / HALF_LIFE_MS)
    shift = level_of(taught.log_ratio, corrected, recent)
    width, middle, quantiles = _band(inputs, taught.spread, corrected + shift, taught.log_ratio, recent)
    with_panel, without_panel = (np.mean([pair[k] for pair in bases], axis=0) for k in (0, 1))
    return Step(with_panel, without_panel, shift, width, middle, quantiles)


def level_of(truths: Floats, forecast: Floats, weights: Floats | None = None) -> float:
    """What to add to `forecast` (logs) so that truth over forecast, capped at 20, is 1 on (weighted) average."""
    shift = 0.0
    for _ in range(20):
        ratio = np.minimum(np.exp(truths - forecast - shift), LARGEST_RATIO)
        shift += float(np.log(np.average(ratio, weights=weights)))
    return shift


def _loss(out: Any, target: Any) -> Any:  # noqa: ANN401 - tensors, whose library is not known here
    apart = target[:, 0] - out[:, 0]
    return apart.exp() - apart + 0.25 * apart * apart


def _panel_shown(as_of: Instants, random: np.random.Generator) -> NDArray[np.bool_]:
    times, of_time = np.unique(as_of, return_inverse=True)
    return np.asarray(random.random(len(times)) >= PANEL_UNKNOWN)[of_time]


def _near(as_of: Instants, member: int) -> NDArray[np.bool_]:
    before, after = (((as_of + shift) // BLOCK_MS) % MEMBERS == member for shift in (PURGED_MS, -PURGED_MS))
    return np.asarray(before | after)


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


def _band(
    inputs: Floats, spread: Floats, forecast: Floats, truths: Floats, recent: Floats
) -> tuple[Floats, float, Floats]:
    """Width weights, middle and quantiles of ln RV/F: least squares on the log of the distance from the median."""
    apart = truths - forecast
    middle = float(np.median(apart))
    distance = np.log(np.maximum(np.abs(apart - middle), 0.02))
    columns = width_columns(inputs, spread, forecast)
    full = np.column_stack([columns, np.ones(len(columns))])
    gram = full.T @ full + RIDGE * np.diag([1.0] * columns.shape[1] + [1e-9])
    weights: Floats = np.linalg.solve(gram, full.T @ distance).astype(np.float64)
    assert len(weights) == N_WIDTH
    weights[-1] -= float(np.mean(linear(columns, weights)))
    scaled = (apart - middle) / width_of(columns, weights)
    quantiles: Floats = np.quantile(scaled, BANDS, weights=recent, method="inverted_cdf").astype(np.float64)
    return weights, middle, quantiles


def _qlike(truths: Floats, forecast: Floats) -> float:
    """Mean loss of a forecast (logs) after its level is set."""
    apart = truths - forecast - level_of(truths, forecast)
    return round(float(np.mean(np.exp(apart) - apart - 1.0)), 4)
