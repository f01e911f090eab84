"""How a liquidity model is fitted. Runs in the training process alone.

Members are fitted in threes: each leaves out a third of the blocks of time. So every lesson has a forecast by a member
that has not seen it, nor its neighbours: the levels, the bands and the odds are put right by those. What is served is
the mean of the members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import parity
from ml.artefacts import onnx_runner
from ml.bars import DAY_MS, Floats, Instants
from ml.folds import MEMBERS, Fold, drawn
from ml.learning import Fit
from ml.liquidity.constants import BANDS
from ml.liquidity.ensemble import N_OUTPUTS, STARTS, THIN_AT, Ensemble, Told, assembled
from ml.liquidity.inputs import HORIZONS, N_INPUTS, Starts, inputs_of, standard_of

#: Lessons this near to a block that is left out are left out too: their truths and features reach into it.
PURGED_MS = 2 * DAY_MS
#: Of the instants of the lessons, the share at which the panel is taken for unknown.
PANEL_UNKNOWN = 0.1
#: Bands and odds follow the recent past: a lesson this old counts half.
HALF_LIFE_MS = 182 * DAY_MS
#: Logs of a volume against what the rules say that count in full; beyond, they count as this.
LARGEST_RESIDUAL = 3.0
NET = {"hidden": (128, 64), "dropout": 0.4, "epochs": 5, "batch": 512, "rate": 1e-3, "weight_decay": 1e-2}
#: A symbol with so many recent lessons has half its own width, half that of all; within these.
FEW = 200.0
WIDTHS = (0.6, 1.8)
#: Weight of the odds beside the quantiles.
THIN_WEIGHT = 0.3
_N = len(HORIZONS)


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Lessons, one per symbol and instant, shape (n, ...): columns and clock of the rows, when and of which symbol they
    were asked, what the rules say, ln QV_h over h x level (n, horizons), NaN where it is not known, and whether the 6 h
    were thin (1, 0, or NaN)."""

    columns: Floats
    clock: Floats
    as_of: Instants
    symbol: NDArray[np.str_]
    starts: Starts
    log_ratio: Floats
    thin: Floats

    def __len__(self) -> int:
        return len(self.as_of)


def fit(taught: Taught, seed: int, tell: Callable[[float], None]) -> Fit:
    """Fits on `taught`. Deterministic. `tell` hears the share done. Raises BadArtefact where an export fails its parity
    gate."""
    random = np.random.default_rng(seed)
    standard = standard_of(taught.columns)
    panel = drawn(taught.as_of, random) >= PANEL_UNKNOWN
    inputs = inputs_of(standard, taught.columns, taught.clock, taught.starts, panel=panel)
    held_out = np.zeros((len(taught), N_OUTPUTS))
    onnx: dict[str, bytes] = {}
    for number in range(MEMBERS):
        seen = Fold.of(number, taught.as_of, PURGED_MS)
        onnx[f"net_{number}"], held_out[seen.out] = _member(taught, inputs, seen, seed + number, random)
        tell((number + 1) / MEMBERS)
    recent = np.exp2((taught.as_of - taught.as_of.max()) / HALF_LIFE_MS)
    raw = assembled(held_out, taught.starts)
    shifts = _shifts(taught, raw, recent)
    odds = _odds(taught, raw, recent)
    widths = _widths(taught, Told(np.sort(raw.quantiles + shifts, axis=2), raw.odds), recent)
    numbers = Ensemble(standard, (), shifts, odds, widths).to_numbers() | {"members": MEMBERS}
    return Fit(onnx, numbers, {"lessons": len(taught), "held_out": _report(taught, raw, shifts)})


def _member(taught: Taught, inputs: Floats, seen: Fold, seed: int, random: np.random.Generator) -> tuple[bytes, Floats]:
    """One network as ONNX, and what it says of the lessons that it left out."""
    from ml.fitting import nets

    out, shown, few = seen.out, seen.shown, seen.judged
    targets = np.column_stack(
        [
            np.clip(taught.log_ratio - taught.starts.medians, -LARGEST_RESIDUAL, LARGEST_RESIDUAL),
            np.exp(np.clip(taught.starts.medians, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)),
            taught.thin,
            taught.starts.odds,
        ]
    )
    lesson, judged = nets.Lesson(inputs[shown], targets[shown]), nets.Lesson(inputs[few], targets[few])
    net, _ = nets.fitted(lesson, judged, N_OUTPUTS, _loss, nets.Recipe(**NET), seed)  # type: ignore[arg-type]  # the loss is torch's, which types as Any
    model = nets.to_onnx(net, N_INPUTS)
    parity.check(lambda x: nets.predicted(net, x), onnx_runner(model), inputs, random, largest=10.0)
    return model, nets.predicted(net, inputs[out])


def _loss(out: Any, target: Any) -> Any:  # noqa: ANN401 - tensors, whose library is not known here
    """Pinball loss of the logs at each quantile, absolute error of the median as a share of the level, and log loss of
    the odds. What is not known counts for nothing."""
    shares = out.new_tensor(BANDS)
    total = 0.0 * out[:, 0]
    for k in range(_N):
        left, size = target[:, k], target[:, _N + k]
        known = (left == left).float()
        left = left.nan_to_num(0.0)
        said = out[:, k * len(BANDS) : (k + 1) * len(BANDS)] + out.new_tensor(STARTS[k].tolist())
        apart = left[:, None] - said
        pinball = (shares * apart + (-apart).clamp(min=0.0)).sum(1)
        median = said[:, len(BANDS) // 2].clamp(max=LARGEST_RESIDUAL)
        total = total + known * (0.5 * pinball + size * (left.exp() - median.exp()).abs())
    thin, odds = target[:, 2 * _N], target[:, 2 * _N + 1] + out[:, THIN_AT]
    known = (thin == thin).float()
    log_loss = odds.clamp(min=0.0) - odds * thin.nan_to_num(0.0) + ((-odds.abs()).exp() + 1.0).log()
    return total / _N + THIN_WEIGHT * known * log_loss


def _shifts(taught: Taught, raw: Told, recent: Floats) -> Floats:
    """What to add to each quantile so that its share of the lessons lies below it."""
    shifts = np.zeros(STARTS.shape)
    for k in range(_N):
        known = np.isfinite(taught.log_ratio[:, k])
        apart = taught.log_ratio[known, k, None] - raw.quantiles[known, k]
        for b, share in enumerate(BANDS):
            shifts[k, b] = np.quantile(apart[:, b], share, weights=recent[known], method="inverted_cdf")
    return shifts


def _widths(taught: Taught, told: Told, recent: Floats) -> dict[str, Floats]:
    """By symbol and horizon how many times wider the bands must be to hold 80% of its lessons, drawn to 1 where they
    are few."""
    low, middle, high = (told.quantiles[:, :, BANDS.index(share)] for share in (0.10, 0.50, 0.90))
    apart = taught.log_ratio - middle
    share = np.abs(apart) / np.maximum(np.where(apart > 0.0, high - middle, middle - low), 1e-6)
    found = {}
    for symbol in np.unique(taught.symbol).tolist():
        width = np.ones(_N)
        for k in range(_N):
            here = (taught.symbol == symbol) & np.isfinite(share[:, k])
            if here.any():
                needed = np.quantile(share[here, k], 0.80, weights=recent[here], method="inverted_cdf")
                trust = recent[here].sum() / (recent[here].sum() + FEW)
                width[k] = np.clip(needed, *WIDTHS) ** trust
        found[str(symbol)] = width
    return found


def _odds(taught: Taught, raw: Told, recent: Floats) -> Floats:
    """Intercept and slope by which log odds are put right: a logistic regression, by Newton's method, drawn to (0,
    1)."""
    known = np.isfinite(taught.thin)
    columns = np.column_stack([np.ones(int(known.sum())), raw.odds[known]])
    weight, thin = recent[known], taught.thin[known]
    start, found = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    for _ in range(25):
        chance = 1.0 / (1.0 + np.exp(-np.clip(columns @ found, -30.0, 30.0)))
        slope = columns.T @ (weight * (thin - chance)) - 10.0 * (found - start)
        curved = (columns * (weight * chance * (1.0 - chance))[:, None]).T @ columns + 10.0 * np.eye(2)
        found = found + np.linalg.solve(curved, slope)
    return np.asarray(np.clip(found, (-3.0, 0.2), (3.0, 3.0)), dtype=np.float64)


def _report(taught: Taught, raw: Told, shifts: Floats) -> dict[str, dict[str, float]]:
    """Mean |qv - QV| over the usual volume on lessons held out, beside that of the rules, by horizon."""
    found = {}
    for k, horizon in enumerate(HORIZONS):
        known = np.isfinite(taught.log_ratio[:, k])
        true = np.exp(taught.log_ratio[known, k])
        median = raw.medians[known, k] + shifts[k, len(BANDS) // 2]
        rules = float(np.mean(np.abs(np.exp(taught.starts.medians[known, k]) - true)))
        found[str(horizon)] = {
            "model": round(float(np.mean(np.abs(np.exp(median) - true))), 4),
            "rules": round(rules, 4),
        }
    return found
