"""Anomaly models along history: refitted every quarter on what had settled then, and what they and the rules say.

Imported by the tables of skill (`benchmarks.skill_anomaly`, `benchmarks.anomaly_rates`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml.anomaly import ANOMALY, AnomalyQuestion
from ml.anomaly.channels import CHANNELS
from ml.anomaly.columns import columns
from ml.anomaly.features import ROW_NAMES
from ml.anomaly.model import AnomalyModel
from ml.anomaly.rules import of_rules
from ml.anomaly.winner import winners
from ml.bars import DAY_MS, Bars, Floats, Instants, Timeframe
from ml.capability import Rows
from ml.timeline import StillMarket
from workers.classroom import TRAINING_MS, Classroom
from workers.subjects import Subject

REFIT_MS = 91 * DAY_MS
#: When a model was fitted (ms), and the model.
Fitted: TypeAlias = tuple[int, AnomalyModel]
KINDS = np.array([str(channel.kind) for channel in CHANNELS])


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What predictors say of bars, n of them: when each closed, `depth` and `kind` by predictor ("rules", "model"; NaN
    and "" where it was not asked), what was planted, and the number of the plant (-1: none)."""

    close_at: Instants
    depth: dict[str, Floats]
    kind: dict[str, NDArray[np.str_]]
    label: NDArray[np.str_]
    event: Instants


def refits(bars: Sequence[Bars], begin: int, end: int) -> Iterator[Fitted]:
    """Models and when each was fitted (ms), on what had settled then."""
    learner = ANOMALY.learner
    assert learner is not None
    market = _Unpanelled(StillMarket.of(*bars))
    room = Classroom.of(ANOMALY, market, taught_on(bars), begin - TRAINING_MS, end)
    for at in range(begin, end, REFIT_MS):
        fitted = learner.fit(room.settled_by(at), 0, lambda _share, _word: None)
        model = learner.load(fitted.artefact, 1)
        assert isinstance(model, AnomalyModel)
        yield at, model


def taught_on(bars: Sequence[Bars]) -> list[Subject]:
    """What a model of these bars is taught on."""
    learner = ANOMALY.learner
    assert learner is not None
    every = {Timeframe.H1: learner.every_bars, **ANOMALY.beside}
    of = {one: tuple(sorted(part.symbol for part in bars if part.timeframe is one)) for one in every}
    return [Subject(one, symbols, every[one]) for one, symbols in of.items() if symbols]


class _Unpanelled(StillMarket):
    """Without a panel: the share of others does not enter the score."""

    def __init__(self, of: StillMarket) -> None:
        super().__init__(of.timelines)

    def panel(self, timeframe: Timeframe) -> Sequence[str]:  # noqa: ARG002 - there is none
        return []


def along(
    bars: Bars,
    models: Sequence[Fitted],
    labels: NDArray[np.str_] | None = None,
    event: Instants | None = None,
) -> Seen:
    values = columns(bars, None)
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    closed = bars.close_at[known]
    question = AnomalyQuestion(symbol=bars.symbol, timeframe=bars.timeframe)
    table = np.full((len(known), len(ROW_NAMES)), np.nan)
    table[:, : values.shape[1]] = values[known]
    rows = Rows(ROW_NAMES, table, (question,) * len(known), closed, closed, (None,) * len(known))
    rules = of_rules(rows)
    depth = {"rules": rules.whole, "model": np.full(len(known), np.nan)}
    kind = {"rules": KINDS[winners(rows.values, rules)], "model": np.full(len(known), "", dtype=KINDS.dtype)}
    edges = [at for at, _ in models] + [int(closed[-1]) + 1 if len(closed) else 0]
    for number, (at, model) in enumerate(models):
        here = np.flatnonzero((closed >= at) & (closed < edges[number + 1]))
        if len(here):
            found = model.detector.found(rows.pick(here.tolist()))
            depth["model"][here], kind["model"][here] = found.whole, KINDS[found.channel]
    nothing = np.full(len(known), "", dtype="<U12"), np.full(len(known), -1)
    told = (nothing[0] if labels is None else labels[known], nothing[1] if event is None else event[known])
    return Seen(closed, depth, kind, *told)
