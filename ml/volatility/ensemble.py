"""A fitted model of one kind of market: two ways to the variance to come, their mean in logs, and a band.

The first is a linear base, fitted in logs, with small networks on what it leaves; the second is version 0's forecast
with boosted trees on what it leaves. They fail at different times: a fit in logs is too high after calm years turn
wild, a fit of means is too low after wild years turn calm.

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
from ml.capability import Rows
from ml.learning import finite
from ml.standard import Standard
from ml.volatility.constants import BANDS
from ml.volatility.inputs import COLUMNS, N_INPUTS, N_LINEAR, panel_known
from ml.volatility.misses import MISS_NAMES, WINDOWS
from ml.volatility.releases import DUE

#: Inputs on which the width of the band depends, besides what the past tells (`past_of`) and the forecast itself.
WIDTH_COLUMNS = (
    *("range_1", "range_24", "range_168", "steadiness", "jump_24", "squares_720", "long_run", "season"),
    *("market_spread_6", "market_range_6"),
    *DUE,
)
_DUE_AT = [COLUMNS.index(name) for name in DUE]
_WIDTH_AT = [COLUMNS.index(name) for name in WIDTH_COLUMNS]
N_PAST = 1 + len(MISS_NAMES)
N_WIDTH = len(_WIDTH_AT) + 1 + len(WINDOWS) + 2
N_CENTRE = len(WINDOWS) + 1
#: What is mixed: the linear base, the base with the networks, version 0 with the trees, and version 0.
PARTS = ("base", "net", "trees", "rules")
#: The band of a row is never narrower or wider than this, against that of its horizon.
WIDTHS = (0.6, 1.6)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One horizon: weights of the linear base (intercept last) where the panel is known and where it is not, those of
    version 0, the shares of `PARTS`, what is added so that the forecast is a mean and what for each release that is
    `due`, and the band as centre + width x `quantiles` in ln RV/F: `width` and `centre` are the weights of what these
    are read from."""

    with_panel: Floats
    without_panel: Floats
    rules: Floats
    shares: Floats
    shift: float
    due: Floats
    width: Floats
    centre: Floats
    quantiles: Floats

    def to_numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "with_panel": self.with_panel.tolist(),
            "without_panel": self.without_panel.tolist(),
            "rules": self.rules.tolist(),
            "shares": self.shares.tolist(),
            "shift": self.shift,
            "due": self.due.tolist(),
            "width": self.width.tolist(),
            "centre": self.centre.tolist(),
            "quantiles": self.quantiles.tolist(),
        }

    @staticmethod
    def of_numbers(told: Mapping[str, Any]) -> Step:
        """Back. KeyError, TypeError or ValueError where the numbers are not those of a step."""
        return Step(
            finite(told["with_panel"], (N_LINEAR + 1,)),
            finite(told["without_panel"], (N_LINEAR + 1,)),
            finite(told["rules"], (N_LINEAR + 1,)),
            finite(told["shares"], (len(PARTS),)),
            float(told["shift"]),
            finite(told["due"], (len(DUE),)),
            finite(told["width"], (N_WIDTH,)),
            finite(told["centre"], (N_CENTRE,)),
            finite(told["quantiles"], (len(BANDS),)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """`steps` by h. `nets` correct the base, `trees` version 0, each by the mean of what they say."""

    standard: Standard
    steps: Mapping[int, Step]
    nets: Sequence[Runner]
    trees: Sequence[Runner]

    def log_ratio(self, inputs: Floats, hours: Floats) -> Floats:
        """ln of the mean forecast of RV_h over h x level, shape (n,)."""
        read = inputs[:, :N_INPUTS]
        nets, trees = _mean_of(self.nets, read), _mean_of(self.trees, read)
        result = np.full(len(inputs), np.nan)
        known = panel_known(inputs)
        for bars, step in self.steps.items():
            here = hours == bars
            base = np.where(
                known[here], linear(inputs[here], step.with_panel), linear(inputs[here], step.without_panel)
            )
            said = parts(base, nets[here], linear(inputs[here], step.rules), trees[here])
            result[here] = mixed(said, step.shares) + step.shift + due_of(inputs[here], step.due)
        return result

    def bands(self, inputs: Floats, hours: Floats, past: Floats, log_ratio: Floats) -> Floats:
        """Quantiles (`BANDS`) of RV_h over the mean forecast, (n, 7). `past`: of `past_of`."""
        result = np.full((len(inputs), len(BANDS)), np.nan)
        columns = width_columns(inputs, past, log_ratio)
        for bars, step in self.steps.items():
            here = hours == bars
            width = width_of(columns[here], step.width)
            result[here] = np.exp(centre_of(past[here], step.centre)[:, None] + width[:, None] * step.quantiles)
        return result


def due_of(inputs: Floats, weights: Floats) -> Floats:
    """What is added for the releases that are due, shape (n,)."""
    result = np.zeros(len(inputs))
    for at, weight in zip(_DUE_AT, weights.tolist(), strict=True):
        result += np.where(inputs[:, at] > 0.0, weight, 0.0)
    return result


def parts(base: Floats, nets: Floats, rules: Floats, trees: Floats) -> tuple[Floats, ...]:
    """`PARTS`, (n,) each, from what bases and corrections say."""
    return base, base + nets, rules + trees, rules


def mixed(said: Sequence[Floats], shares: Floats) -> Floats:
    """The weighted mean of parts, (n,)."""
    result = np.zeros(len(said[0]))
    for one, share in zip(said, shares.tolist(), strict=True):
        result += share * one
    return result


def rules_as_linear(standard: Standard, constant: float, weights: Mapping[str, float]) -> Floats:
    """Version 0's sum of weight x term as weights of scaled inputs, shape (N_LINEAR + 1,), the constant last. A term
    beyond what inputs may be counts as that."""
    result = np.zeros(N_LINEAR + 1)
    result[-1] = constant
    for name, weight in weights.items():
        at = COLUMNS.index(name)
        result[at] = weight * standard.deviation[at]
        result[-1] += weight * standard.mean[at]
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


def past_of(rows: Rows) -> Floats:
    """What bands read of the symbol's own past, shape (n, N_PAST): ln q90/q10 of RV_h in 90 days, and `MISS_NAMES`."""
    spread = rows.column("rv90_90") - rows.column("rv90_10")
    return np.column_stack([spread, *(rows.column(name) for name in MISS_NAMES)])


def width_columns(inputs: Floats, past: Floats, log_ratio: Floats) -> Floats:
    """What the width of the band is read from, shape (n, N_WIDTH - 1)."""
    return np.column_stack([inputs[:, _WIDTH_AT], past[:, : 1 + len(WINDOWS)], log_ratio])


def centre_of(past: Floats, weights: Floats) -> Floats:
    """Where the middle of the band lies, in ln RV/F: after weeks of misses to one side, a little to that side. (n,)."""
    return linear(past[:, 1 + len(WINDOWS) :], weights)


def width_of(columns: Floats, weights: Floats) -> Floats:
    """Width of the band against that of the horizon, within `WIDTHS`. Shape (n,)."""
    return np.clip(np.exp(linear(columns, weights)), *WIDTHS)


def _mean_of(runners: Sequence[Runner], read: Floats) -> Floats:
    told = np.zeros(len(read))
    for runner in runners:
        told += runner.run(read)[:, 0]
    return told / max(len(runners), 1)
