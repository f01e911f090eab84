"""A fitted model of one kind of market: a linear base, small networks and trees on what it leaves, and a band.

All in logs of variance against the symbol's own level. Every step is elementwise, or runs in a `Runner`: a row has the
same bits alone and among many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefacts import Runner
from ml.bars import Floats
from ml.volatility.constants import BANDS
from ml.volatility.inputs import COLUMNS, N_INPUTS, N_LINEAR, Scale, panel_known

#: Inputs on which the width of the band depends, besides the spread of the last 90 days and the forecast itself.
WIDTH_COLUMNS = (
    *("range_1", "range_24", "range_168", "steadiness", "jump_24", "squares_720", "long_run", "season"),
    *("market_spread_6", "market_range_6"),
)
_WIDTH_AT = [COLUMNS.index(name) for name in WIDTH_COLUMNS]
N_WIDTH = len(_WIDTH_AT) + 3
#: The band of a row is never narrower or wider than this, against that of its horizon.
WIDTHS = (0.6, 1.6)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One horizon: weights of the linear base (intercept last) where the panel is known and where it is not, what is
    added so that the forecast is a mean, and the band as `middle` + width x `quantiles` in ln RV/F."""

    with_panel: Floats
    without_panel: Floats
    shift: float
    width: Floats
    middle: float
    quantiles: Floats

    def to_numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "with_panel": self.with_panel.tolist(),
            "without_panel": self.without_panel.tolist(),
            "shift": self.shift,
            "width": self.width.tolist(),
            "middle": self.middle,
            "quantiles": self.quantiles.tolist(),
        }

    @staticmethod
    def of_numbers(told: Mapping[str, Any]) -> Step:
        """Back. KeyError, TypeError or ValueError where the numbers are not those of a step."""
        return Step(
            _numbers(told["with_panel"], N_LINEAR + 1),
            _numbers(told["without_panel"], N_LINEAR + 1),
            float(told["shift"]),
            _numbers(told["width"], N_WIDTH),
            float(told["middle"]),
            _numbers(told["quantiles"], len(BANDS)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """`steps` by h. `nets` and `trees` correct the base by the weighted mean of what they say."""

    scale: Scale
    steps: Mapping[int, Step]
    nets: Sequence[Runner]
    trees: Sequence[Runner]
    weights: tuple[float, float]

    def log_ratio(self, inputs: Floats, hours: Floats) -> Floats:
        """ln of the mean forecast of RV_h over h x level, shape (n,)."""
        result = base_of(
            {bars: (step.with_panel, step.without_panel) for bars, step in self.steps.items()}, inputs, hours
        )
        for runners, weight in zip((self.nets, self.trees), self.weights, strict=True):
            told = np.zeros(len(inputs))
            for runner in runners:
                told += runner.run(inputs[:, :N_INPUTS])[:, 0]
            result += weight * told / max(len(runners), 1)
        for bars, step in self.steps.items():
            result += np.where(hours == bars, step.shift, 0.0)
        return result

    def bands(self, inputs: Floats, hours: Floats, spread: Floats, log_ratio: Floats) -> Floats:
        """Quantiles (`BANDS`) of RV_h over the mean forecast, (n, 7). `spread`: ln q90/q10 of RV_h in 90 days."""
        result = np.full((len(inputs), len(BANDS)), np.nan)
        columns = width_columns(inputs, spread, log_ratio)
        for bars, step in self.steps.items():
            here = hours == bars
            width = width_of(columns[here], step.width)
            result[here] = np.exp(step.middle + width[:, None] * step.quantiles)
        return result


def base_of(weights: Mapping[int, tuple[Floats, Floats]], inputs: Floats, hours: Floats) -> Floats:
    """What linear bases say, shape (n,): by h, one for rows that know the panel and one for those that do not."""
    result = np.full(len(inputs), np.nan)
    known = panel_known(inputs)
    for bars, pair in weights.items():
        for panel, one in zip((True, False), pair, strict=True):
            here = (hours == bars) & (known == panel)
            result[here] = linear(inputs[here], one)
    return result


def linear(columns: Floats, weights: Floats) -> Floats:
    """columns (n, k) times weights (k + 1,), the last of them added: column by column, so that rows stand alone."""
    result = np.full(len(columns), float(weights[-1]))
    for k, weight in enumerate(weights[:-1].tolist()):
        result += columns[:, k] * weight
    return result


def width_columns(inputs: Floats, spread: Floats, log_ratio: Floats) -> Floats:
    """What the width of the band is read from, shape (n, N_WIDTH - 1)."""
    return np.column_stack([inputs[:, _WIDTH_AT], spread, log_ratio])


def width_of(columns: Floats, weights: Floats) -> Floats:
    """Width of the band against that of the horizon, within `WIDTHS`. Shape (n,)."""
    return np.clip(np.exp(linear(columns, weights)), *WIDTHS)


def _numbers(told: Any, n: int) -> Floats:  # noqa: ANN401 - JSON
    found = np.array(told, dtype=np.float64)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise ValueError(f"{n} finite numbers are needed, not {found.shape}")
    return found
