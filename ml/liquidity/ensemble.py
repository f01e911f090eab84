"""A fitted model: small networks that correct the rules, and what puts their level, their bands and their odds right.

One network answers all horizons of a row at once: seven quantiles for each, and the log odds of a thin market. Every
step is elementwise, or runs in a `Runner`: a row has the same bits alone and among many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefacts import Runner
from ml.bars import Floats
from ml.learning import finite
from ml.liquidity.constants import BANDS, RULES
from ml.liquidity.inputs import HORIZONS, N_INPUTS, Starts
from ml.standard import Standard

N_BANDS = len(BANDS)
N_OUTPUTS = len(HORIZONS) * N_BANDS + 1
THIN_AT = N_OUTPUTS - 1
#: ln of the bands of the rules, of all horizons in turn, shape (horizons, bands): what the quantiles start from.
STARTS: Floats = np.log(np.array([RULES[horizon].bands for horizon in HORIZONS]))
_MIDDLE = BANDS.index(0.50)
_AS_ALL: Floats = np.ones(len(HORIZONS))


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Of n rows: quantiles of ln QV_h over h x level, shape (n, horizons, bands), rising; the log odds of a thin market
    (n,)."""

    quantiles: Floats
    odds: Floats

    @property
    def medians(self) -> Floats:
        """Shape (n, horizons)."""
        return self.quantiles[:, :, _MIDDLE]


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """`shifts` are added to the quantiles (horizons, bands), log odds are `odds[0] + odds[1] x odds`, and `widths` says
    by symbol how much wider its bands are than those of all, per horizon: all as lessons that a member had not seen
    would have it. A symbol that was not among the lessons has the bands of all."""

    standard: Standard
    nets: Sequence[Runner]
    shifts: Floats
    odds: Floats
    widths: Mapping[str, Floats]

    def told(self, inputs: Floats, starts: Starts, symbols: Sequence[str]) -> Told:
        """What it says of rows of `symbols`: `inputs` (n, N_INPUTS), and what the rules say."""
        total = np.zeros((len(inputs), N_OUTPUTS))
        for net in self.nets:
            total += net.run(inputs)
        raw = assembled(total / len(self.nets), starts)
        level = Told(np.sort(raw.quantiles + self.shifts, axis=2), self.odds[0] + self.odds[1] * raw.odds)
        return widened(level, np.array([self.widths.get(symbol, _AS_ALL) for symbol in symbols]))

    def to_numbers(self) -> dict[str, Any]:
        """As JSON takes it, without the networks."""
        return {
            **self.standard.to_numbers(),
            "shifts": self.shifts.tolist(),
            "odds": self.odds.tolist(),
            "widths": {symbol: width.tolist() for symbol, width in self.widths.items()},
        }

    @staticmethod
    def of_numbers(told: Mapping[str, Any], nets: Sequence[Runner], n_columns: int) -> Ensemble:
        """Back. KeyError, TypeError or ValueError where these are not the numbers and networks of an ensemble."""
        if not nets or any((net.n_features, net.n_outputs) != (N_INPUTS, N_OUTPUTS) for net in nets):
            raise ValueError(f"networks from {N_INPUTS} inputs to {N_OUTPUTS} outputs are needed")
        standard = Standard.of_numbers(told, n_columns)
        widths = {str(symbol): finite(width, _AS_ALL.shape) for symbol, width in told["widths"].items()}
        return Ensemble(standard, nets, finite(told["shifts"], STARTS.shape), finite(told["odds"], (2,)), widths)


def widened(told: Told, width: Floats) -> Told:
    """The same with bands `width` (n, horizons) times as wide, in logs, about the median."""
    middle = told.quantiles[:, :, _MIDDLE, None]
    return Told(middle + width[:, :, None] * (told.quantiles - middle), told.odds)


def assembled(outputs: Floats, starts: Starts) -> Told:
    """What outputs of a network (n, N_OUTPUTS), which correct the rules, amount to."""
    corrections = outputs[:, :THIN_AT].reshape(len(outputs), *STARTS.shape)
    return Told(starts.medians[:, :, None] + STARTS + corrections, starts.odds + outputs[:, THIN_AT])
