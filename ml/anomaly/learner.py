"""How the anomaly model is learnt: trees on planted anomalies, and tails on bars that nothing was planted into.

The trees see the early half of the lessons. Both tails are measured on the late half, later by 48 h at least, which
the trees have not seen: a score says how rare it is on bars that were not there when it was learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import parity
from ml.anomaly.answer import NORMAL
from ml.anomaly.columns import COLUMNS
from ml.anomaly.empirical import FEWEST as FEWEST_OF_A_TAIL
from ml.anomaly.empirical import Tail
from ml.anomaly.model import CLASSES, AnomalyModel, Detector, odds
from ml.anomaly.planting import EVERY_BARS
from ml.anomaly.rules import by_timeframe, of_rules
from ml.artefacts import onnx_runner
from ml.bars import HOUR_MS, Floats, Instants, Timeframe
from ml.capability import Rows
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, Progress, TooFewLessons, numbers_of
from ml.measured import ranges_of

NAME = "anomaly/planted-trees@1"
EMBARGO_MS = 48 * HOUR_MS
TAUGHT_SHARE = 0.5
FEWEST_OF_A_KIND = 20
#: Of the bars without a plant one in so many is taught, with that weight.
THINNED = 4
ROUNDS = 100
TREES: Mapping[str, Any] = {
    "objective": "multi:softprob",
    "num_class": len(CLASSES),
    "max_depth": 4,
    "eta": 0.15,
    "subsample": 0.5,
    "colsample_bytree": 0.6,
    "min_child_weight": 10,
    "max_bin": 64,
}


@dataclass(frozen=True, slots=True)
class AnomalyLearner:
    """Learns `AnomalyAnswer` from planted bars."""

    name: str = NAME
    every_bars: int = EVERY_BARS

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        """Fits on lessons of one timeframe, the commonest among them. TooFewLessons under 5,000 ordinary bars in the
        late half, or 20 plants of a kind in the rest."""
        from ml.fitting import trees

        progress(0.0, "reading lessons")
        rows, kinds, timeframe = _taught(lessons)
        early, late = _split(rows, kinds)
        random = np.random.default_rng(seed)
        kept = early[(kinds[early] > 0) | (random.random(len(early)) < 1.0 / THINNED)]
        values = rows.values[kept][:, : len(COLUMNS)]
        weights = np.where(kinds[kept] > 0, 1.0, float(THINNED))
        booster = trees.grown(
            TREES,
            values,
            kinds[kept].astype(np.float64),
            ROUNDS,
            seed,
            weights=weights,
            tell=lambda share: progress(0.8 * share, "growing trees"),
        )
        model = trees.to_onnx(booster, len(COLUMNS), margin=True)
        runner = onnx_runner(model)
        apart = parity.check(
            lambda x: trees.predicted(booster, x, margin=True),
            runner,
            values,
            random,
            splits=trees.splits(booster, len(COLUMNS)),
        )
        progress(0.9, "measuring tails")
        ordinary = rows.pick(late[kinds[late] == 0].tolist())
        by_rules = of_rules(ordinary).whole
        score = odds(runner.run(ordinary.values[:, : len(COLUMNS)]))
        tail = Tail.of(score)
        both = Tail.of(np.fmax(by_rules, tail.depth(score)))
        numbers = {
            "columns": list(COLUMNS),
            "trees": tail.to_numbers(),
            "both": both.to_numbers(),
            "timeframe": str(timeframe),
            "ranges": {"weekends": _range(rows.column("weekends"))},
            "fitted": _span(rows),
        }
        report = {
            "lessons": len(rows),
            "planted": int((kinds > 0).sum()),
            "measured_on": len(ordinary),
            "shape_of_tail": both.shape,
            "parity": apart,
        }
        progress(1.0, "fitted")
        return Fitted(Artefact(self.name, {"trees": model}, numbers), report)

    def load(self, artefact: Artefact, version: int) -> AnomalyModel:
        """The predictor of an artefact. Raises BadArtefact for another learner's, or for other columns."""
        with numbers_of(artefact, self.name, COLUMNS) as told:
            runner = onnx_runner(artefact.onnx["trees"])
            if (runner.n_features, runner.n_outputs) != (len(COLUMNS), len(CLASSES)):
                raise BadArtefact(f"trees from {runner.n_features} to {runner.n_outputs} numbers")
            detector = Detector(runner, Tail.of_numbers(told["trees"]), Tail.of_numbers(told["both"]))
            ranges = ranges_of(told["ranges"], COLUMNS)
            return AnomalyModel(version, ranges, detector, Timeframe(told["timeframe"]), str(told["fitted"]))


LEARNER = AnomalyLearner()


def _taught(lessons: Lessons) -> tuple[Rows, Instants, Timeframe]:
    """Lessons that the rules can answer, of the commonest timeframe, in order of time; and their classes."""
    if not len(lessons):
        raise TooFewLessons("there are no lessons")
    timeframe, here = max(by_timeframe(lessons.rows), key=lambda one: len(one[1]))
    here = here[~np.isnan(lessons.rows.values[here, 0])]
    order = here[np.argsort(lessons.rows.as_of[here], kind="stable")]
    code = {NORMAL: 0, **{str(one): at for at, one in enumerate(CLASSES)}}
    kinds = np.array([code[str(lessons.truths[i])] for i in order.tolist()], dtype=np.int64)
    return lessons.rows.pick(order.tolist()), kinds, timeframe


def _split(rows: Rows, kinds: Instants) -> tuple[Instants, Instants]:
    """Positions of the lessons for the trees, and of those for the tails."""
    first, last = (int(rows.as_of[0]), int(rows.as_of[-1])) if len(rows) else (0, 0)
    cut = first + int((last - first) * TAUGHT_SHARE)
    early, late = np.flatnonzero(rows.as_of <= cut - EMBARGO_MS), np.flatnonzero(rows.as_of > cut)
    ordinary = int((kinds[late] == 0).sum())
    if ordinary < FEWEST_OF_A_TAIL:
        raise TooFewLessons(f"{ordinary} ordinary bars to measure tails on, {FEWEST_OF_A_TAIL:,} are needed")
    for at, name in enumerate(CLASSES):
        if at and (planted := int((kinds[early] == at).sum())) < FEWEST_OF_A_KIND:
            raise TooFewLessons(f"{planted} bars are planted with {name}, {FEWEST_OF_A_KIND} are needed")
    return early, late


def _range(column: Floats) -> list[float]:
    return [float(column.min()), float(column.max())]


def _span(rows: Rows) -> str:
    days = [str(np.datetime64(int(at), "ms").astype("datetime64[D]")) for at in (rows.as_of[0], rows.as_of[-1])]
    symbols = len({question.symbol for question in rows.questions})
    return f"fitted on {len(rows):,} bars of {symbols} symbols, {days[0]} to {days[1]}"
