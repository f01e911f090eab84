"""A tail as it was seen: the empirical distribution, and beyond its last 500th a generalised Pareto tail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.bars import Floats

#: Shares at which the empirical distribution is kept.
KEPT = tuple(float(one) for one in np.round(np.logspace(0.0, np.log10(0.002), 41), 6))[1:]
#: Beyond this share the tail is Pareto.
BEYOND = KEPT[-1]
#: Fewer values make no tail.
FEWEST = 5_000
_SHAPES = (0.0, 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """`knots` are exceeded by shares `KEPT` of the values; beyond the last, by `scale` and `shape` of the Pareto."""

    knots: Floats
    scale: float
    shape: float

    @staticmethod
    def of(values: Floats) -> Tail:
        """Fitted on at least `FEWEST` values, shape (n,). Source of the tail: Hosking and Wallis 1987, probability
        weighted moments; shapes are kept within 0 (exponential) and .5, as score tails have them."""
        if len(values) < FEWEST:
            raise ValueError(f"{len(values)} values make no tail, {FEWEST:,} are needed")
        knots = np.maximum.accumulate(np.quantile(values, 1.0 - np.array(KEPT)))
        over = np.sort(values[values > knots[-1]] - knots[-1])
        mean = float(over.mean()) if len(over) else 1e-6
        weighted = float(np.mean(over * (1.0 - (np.arange(1, len(over) + 1) - 0.35) / len(over)))) if len(over) else 0.0
        ratio = mean / max(mean - 2.0 * weighted, 1e-12)
        shape = float(np.clip(2.0 - ratio, *_SHAPES))
        return Tail(knots, max(mean * (1.0 - shape), 1e-6), shape)

    def depth(self, values: Floats) -> Floats:
        """-log10 of the chance to exceed each of `values`, shape (n,)."""
        depths = -np.log10(np.array(KEPT))
        inside = np.interp(values, self.knots, depths, left=0.0)
        over = np.maximum(values - self.knots[-1], 0.0) / self.scale
        stretched = np.log1p(self.shape * over) / self.shape if self.shape > 0.0 else over
        return np.asarray(np.where(values > self.knots[-1], depths[-1] + stretched / np.log(10.0), inside))

    def to_numbers(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"knots": self.knots.tolist(), "scale": self.scale, "shape": self.shape}

    @staticmethod
    def of_numbers(told: Mapping[str, Any]) -> Tail:
        """Back. KeyError, TypeError or ValueError where the numbers are not those of a tail."""
        knots = np.asarray(told["knots"], dtype=np.float64)
        scale, shape = float(told["scale"]), float(told["shape"])
        if knots.shape != (len(KEPT),) or not np.isfinite([*knots, scale, shape]).all() or scale <= 0.0:
            raise ValueError("no tail: its knots or its scale cannot be")
        return Tail(knots, scale, shape)
