"""What lessons held out decide: the shares of an ensemble's parts, the level of the forecast, and the band."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from ml.bars import Floats
from ml.volatility.constants import BANDS
from ml.volatility.ensemble import N_PAST, N_WIDTH, PARTS, centre_of, linear, mixed, width_columns, width_of
from ml.volatility.misses import WINDOWS

RIDGE = 200.0
LARGEST_RATIO = 20.0
#: Shares of the parts among which the loss on lessons held out chooses: all that are quarters.
SHARES = tuple(one for one in product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=len(PARTS)) if sum(one) == 1.0)
#: The loss of one part, or of a mixture, on every fifth lesson chooses as well as that on all.
_EVERY = 5


def shares_of(said: Mapping[str, Floats], truths: Floats) -> Floats:
    """The shares with the least loss on lessons held out, their ratios capped; of equal ones, more of version 0."""
    few = {part: one[::_EVERY] for part, one in said.items()}
    losses = [qlike(truths[::_EVERY], together(few, np.array(shares)), LARGEST_RATIO) for shares in SHARES]
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
