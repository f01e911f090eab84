"""A learner walked forward on hourly bars: what is asked, what had settled when, and each refit with its cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asked_rows import known_truths
from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.capability import AnyCapability, Predictor, Rows
from ml.learning import Artefact, Fitted, Lessons
from ml.timeline import StillMarket

SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Rows that are not refused, with their truths and hours, (n,), ordered by time."""

    rows: Rows
    truths: Floats
    hours: Floats

    def at(self, chosen: NDArray[Any]) -> Settled:
        """Those at the positions `chosen`."""
        return Settled(self.rows.pick(chosen.tolist()), self.truths[chosen], self.hours[chosen])

    def between(self, start: int, stop: int) -> Settled:
        """Those asked in [start, stop)."""
        return self.at(np.flatnonzero((self.rows.as_of >= start) & (self.rows.as_of < stop)))

    def known_at(self, instant: int, embargo_ms: int, years: float) -> Instants:
        """Positions of those that had settled `embargo_ms` before an instant, and were asked within `years` of it."""
        closed = self.rows.as_of + (self.hours * HOUR_MS).astype(np.int64)
        known = (closed <= instant - embargo_ms) & (self.rows.as_of >= instant - int(years * 365 * DAY_MS))
        return np.flatnonzero(known)


def settled(capability: AnyCapability, bars: Sequence[Bars], start: int, stop: int, every: int) -> Settled:
    """Every `every`-th hour of each symbol that closed in [start, stop), over all horizons."""
    market = StillMarket.of(*bars)
    questions: list[Any] = []
    instants: list[Instants] = []
    for one in bars:
        at = one.close_at[(one.close_at >= start) & (one.close_at < stop) & (one.close_at // HOUR_MS % every == 0)]
        for question in capability.replayed(one.symbol, Timeframe.H1):
            questions += [question] * len(at)
            instants.append(at)
    as_of = np.concatenate(instants)
    rows = capability.features.rows(questions, as_of, market)
    truths = known_truths(capability, questions, as_of, market)
    good = np.flatnonzero(np.array([why is None for why in rows.cannot]) & np.isfinite(truths))
    order = good[np.argsort(as_of[good], kind="stable")]
    hours = np.array([question.horizon.bars for question in questions], dtype=np.float64)
    return Settled(rows.pick(order.tolist()), truths[order], hours[order])


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """A model that was fitted, read back from its bytes as the server would, and what that cost."""

    model: Predictor[Any]
    fitted: Fitted
    size_bytes: int
    cpu_seconds: float
    wall_seconds: float

    @staticmethod
    def on(capability: AnyCapability, rows: Rows, truths: Floats, seed: int = SEED) -> Refit:
        """By the learner of the capability."""
        assert capability.learner is not None
        learner = capability.learner
        cpu, wall = time.process_time(), time.perf_counter()
        fitted = learner.fit(Lessons(rows, truths.tolist()), seed, lambda _share, _word: None)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        content = fitted.artefact.to_bytes()
        return Refit(learner.load(Artefact.of(content, learner.name), 1), fitted, len(content), cpu, wall)
