"""What lessons held out decide: the shares of an ensemble's parts, the level of the forecast, and the band."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from ml.bars import WEEK_MS, Floats, Instants
from ml.volatility.constants import BANDS
from ml.volatility.ensemble import N_PAST, N_WIDTH, PARTS, centre_of, due_of, linear, mixed, width_columns, width_of
from ml.volatility.misses import WINDOWS
from ml.volatility.releases import DUE

RIDGE = 200.0
LARGEST_RATIO = 20.0
#: Shares of the parts among which the loss on lessons held out chooses: all that are quarters.
SHARES = tuple(one for one in product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=len(PARTS)) if sum(one) == 1.0)
#: The loss of one part, or of a mixture, on so many lessons chooses as well as that on more.
_ENOUGH = 20_000
#: So many weeks with a release count for it as much as that it does nothing more than members say.
FEW_WEEKS = 4.0


def shares_of(said: Mapping[str, Floats], truths: Floats) -> Floats:
    """The shares with the least loss on lessons held out, their ratios capped; of equal ones, more of version 0."""
    every = 1 + len(truths) // _ENOUGH
    few = {part: one[::every] for part, one in said.items()}
    losses = [qlike(truths[::every], together(few, np.array(shares)), LARGEST_RATIO) for shares in SHARES]
    return np.array(SHARES[int(np.argmin(losses))])


def together(said: Mapping[str, Floats], shares: Floats) -> Floats:
    """The mixture of `PARTS`, (n,)."""
    return mixed([said[part] for part in PARTS], shares)


def level_of(truths: Floats, forecast: Floats, weights: Floats | None = None) -> float:
    """What to add to `forecast` (logs) so that truth over forecast, capped at 20, is 1 on (weighted) average."""
    shift = 0.0
    for _ in range(20):
        ratio = np.minimum(np.exp(truths - forecast - shift), LARGEST_RATIO)
        shift += float(np.log(np.average(ratio, weights=weights)))
    return shift


def band_of(
    inputs: Floats, past: Floats, forecast: Floats, truths: Floats, recent: Floats
) -> tuple[Floats, Floats, Floats]:
    """Weights of width and centre, and quantiles of ln RV/F: least squares for the centre, then for the log of the
    distance from it."""
    assert past.shape[1] == N_PAST
    apart = truths - forecast
    centre = _least_squares(past[:, 1 + len(WINDOWS) :], apart)
    centre[-1] += float(np.median(apart - centre_of(past, centre)))
    apart = apart - centre_of(past, centre)
    columns = width_columns(inputs, past, forecast)
    weights = _least_squares(columns, np.log(np.maximum(np.abs(apart), 0.02)))
    assert len(weights) == N_WIDTH
    weights[-1] -= float(np.mean(linear(columns, weights)))
    scaled = apart / width_of(columns, weights)
    quantiles: Floats = np.quantile(scaled, BANDS, weights=recent, method="inverted_cdf").astype(np.float64)
    return weights, centre, quantiles


def _least_squares(columns: Floats, target: Floats) -> Floats:
    full = np.column_stack([columns, np.ones(len(columns))])
    gram = full.T @ full + RIDGE * np.diag([1.0] * columns.shape[1] + [1e-9])
    return np.asarray(np.linalg.solve(gram, full.T @ target), dtype=np.float64)


def qlike(truths: Floats, forecast: Floats, largest: float = np.inf) -> float:
    """Mean loss of a forecast (logs) after its level is set, ratios capped at `largest`."""
    apart = truths - forecast - level_of(truths, forecast)
    return round(float(np.mean(np.minimum(np.exp(apart), largest) - apart - 1.0)), 4)


def due_shifts(inputs: Floats, as_of: Instants, truths: Floats, forecast: Floats, recent: Floats) -> Floats:
    """What to add to `forecast` (logs) where a release is due, by `DUE`: what lessons held out missed there, late ones
    more (`recent`, (n,)), and the less the fewer weeks saw one. What a release does changes from year to year, faster
    than three years of lessons tell."""
    found = np.zeros(len(DUE))
    for k in range(len(DUE)):
        weight = np.zeros(len(DUE))
        weight[k] = 1.0
        here = due_of(inputs, weight) > 0.0
        if not here.any():
            continue
        _, first = np.unique(as_of[here] // WEEK_MS, return_index=True)
        seen = float(recent[here][first].sum())
        missed = level_of(truths[here], (forecast + due_of(inputs, found))[here], recent[here])
        found[k] = missed * seen / (seen + FEW_WEEKS)
    return found
