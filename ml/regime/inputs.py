"""From feature rows to what the trees and the net are given: bars by columns, their mirror image, the net's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.bars import Floats
from ml.capability import Rows
from ml.regime.columns import LAGS, MODEL_NAMES
from ml.regime.formula import TREND_DOWN, TREND_UP, Codes
from ml.regime.state import NAMES as STATE_NAMES

BARS = LAGS + 1
"""Bars that one row holds the columns of."""
WIDTH = len(MODEL_NAMES)
NET_WIDTH = WIDTH + 2
_OLDEST_FIRST = tuple(name if lag == 0 else f"{name}@{lag}" for lag in range(LAGS, -1, -1) for name in MODEL_NAMES)
_SIGNED = tuple(MODEL_NAMES.index(name) for name in ("z_12", "z_18", "move_96", "move_480"))
_UP, _DOWN = MODEL_NAMES.index("up_margin"), MODEL_NAMES.index("down_margin")
_CLOCK = ((MODEL_NAMES.index("hour"), 24.0), (MODEL_NAMES.index("weekday"), 7.0))
_OUTLIERS = 0.002


def bars_of(rows: Rows) -> Floats:
    """The model's columns at the 9 bars that each row holds, oldest first, shape (n, 9, 18). KeyError where a column is
    missing."""
    return rows.columns(_OLDEST_FIRST).reshape(len(rows), BARS, WIDTH)


def newest(rows: Rows) -> Floats:
    """The model's columns at the row's own bar, shape (n, 18)."""
    return rows.columns(MODEL_NAMES)


def of_the_rules(rows: Rows) -> Floats:
    """The columns of version 0, shape (n, 7)."""
    return rows.columns(STATE_NAMES)


def mirrored(values: Floats, labels: Codes) -> tuple[Floats, Codes]:
    """The same market turned upside down: moves change their sign, upward trends become downward ones.

    Fitting on both sides takes direction out of the model: a rise is treated as a fall is. Shapes (n, 18) and (n,).
    """
    other = values.copy()
    other[:, _SIGNED] *= -1.0
    other[:, [_UP, _DOWN]] = values[:, [_DOWN, _UP]]
    swapped = np.where(labels == TREND_UP, TREND_DOWN, np.where(labels == TREND_DOWN, TREND_UP, labels))
    return other, swapped


@dataclass(frozen=True, slots=True)
class Scale:
    """How the net sees a row: hour and weekday as points on circles, each number cut at `low` and `high`, centred by
    `mean` and divided by `spread`; a missing number is an ordinary one. Each has 20 entries."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    @staticmethod
    def of(values: Floats) -> Scale:
        """The scale of rows to be fitted on, shape (n, 18): cut beyond 2 in 1,000 on either side."""
        round_ = _round_the_clock(values)
        low, high = np.nanquantile(round_, [_OUTLIERS, 1.0 - _OUTLIERS], axis=0)
        cut = np.clip(round_, low, high)
        spread = np.maximum(np.nanstd(cut, axis=0), 1e-6)
        return Scale(*(tuple(one.tolist()) for one in (low, high, np.nanmean(cut, axis=0), spread)))

    @staticmethod
    def told(numbers: Mapping[str, Sequence[float]]) -> Scale:
        """Back from `numbers`."""
        return Scale(*(tuple(numbers[name]) for name in ("low", "high", "mean", "spread")))

    @property
    def numbers(self) -> Mapping[str, Any]:
        return {"low": self.low, "high": self.high, "mean": self.mean, "spread": self.spread}

    def scaled(self, values: Floats) -> Floats:
        """What the net is given of rows (n, 18): shape (n, 20), finite."""
        cut = np.clip(_round_the_clock(values), self.low, self.high)
        seen = (cut - np.asarray(self.mean)) / np.asarray(self.spread)
        return np.where(np.isnan(seen), 0.0, seen)


def _round_the_clock(values: Floats) -> Floats:
    """Hour and weekday become points on circles: hour 23 is next to hour 0."""
    with np.errstate(invalid="ignore"):  # an infinite hour becomes NaN, and that an ordinary one
        angles = [values[:, column] * (2.0 * np.pi / period) for column, period in _CLOCK]
        circles = np.column_stack([turn(angle) for angle in angles for turn in (np.sin, np.cos)])
    return np.concatenate([np.delete(values, [column for column, _ in _CLOCK], axis=1), circles], axis=1)
