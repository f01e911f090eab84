"""How the anomaly model is learnt: trees on planted anomalies, and tails on bars that nothing was planted into.

The trees see the early half of the lessons of the finest timeframe. Their tails are measured on the late half, later by
48 h at least, which they have not seen, on each timeframe and kind of market by itself: a score says how rare it is on
bars that were not there when it was learnt. The rules' scale is measured on all bars of the real market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import parity
from ml.anomaly.answer import NORMAL
from ml.anomaly.calibrated import CALIBRATED_ANEW
from ml.anomaly.columns import COLUMNS
from ml.anomaly.empirical import FEWEST as FEWEST_OF_A_TAIL
from ml.anomaly.empirical import Tail
from ml.anomaly.kernel import NAMES
from ml.anomaly.model import CLASSES, AnomalyModel, Detector, Measured, odds
from ml.anomaly.planting import EVERY_BARS
from ml.anomaly.rules import by_timeframe, of_rules
from ml.anomaly.scale import FEWEST as FEWEST_OF_A_SCALE
from ml.anomaly.scale import Scale
from ml.anomaly.tails import groups
from ml.artefacts import Runner, onnx_runner
from ml.background import Background
from ml.bars import HOUR_MS, Floats, Instants, Timeframe
from ml.capability import Rows
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, Progress, TooFewLessons, numbers_of
from ml.measured import ranges_of

NAME = "anomaly/planted-trees@2"
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
        """Trees from lessons of the finest timeframe among them; scales and tails of all. TooFewLessons where no kind
        of market has 5,000 ordinary bars in the late half, or a background of 1,000; or with under 20 plants of a kind
        in the rest."""
        from ml.fitting import trees

        progress(0.0, "reading lessons")
        rows, kinds, timeframe = _taught(lessons)
        early, late = _split(rows, kinds, timeframe)
        seen = _seen(lessons.background, late)
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
        measured = {name: _measured(late[name], depths, runner) for name, depths in seen.items()}
        numbers = {
            "columns": list(COLUMNS),
            "scales": {name: one.scale.to_numbers() for name, one in measured.items()},
            "trees": {name: one.trees.to_numbers() for name, one in measured.items()},
            "both": {name: one.both.to_numbers() for name, one in measured.items()},
            "ranges": {"weekends": _range(rows.column("weekends"))},
            "fitted": _span(rows, timeframe),
        }
        report = {
            "lessons": len(rows),
            "planted": int((kinds > 0).sum()),
            "measured_on": {name: len(late[name]) for name in measured},
            "scaled_on": {name: len(depths) for name, depths in seen.items()},
            "shape_of_tail": {name: one.both.shape for name, one in measured.items()},
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
            measured = {
                name: Measured(
                    Scale.of_numbers(scale), Tail.of_numbers(told["trees"][name]), Tail.of_numbers(told["both"][name])
                )
                for name, scale in told["scales"].items()
            }
            if not set(measured) <= set(CALIBRATED_ANEW):
                raise BadArtefact("it was measured on markets that have no tables")
            ranges = ranges_of(told["ranges"], COLUMNS)
            return AnomalyModel(version, ranges, Detector(runner, measured), str(told["fitted"]))


LEARNER = AnomalyLearner()


def _taught(lessons: Lessons) -> tuple[Rows, Instants, Timeframe]:
    """Lessons that the rules can answer, in order of time; their classes; and the finest timeframe among them."""
    known = np.flatnonzero(~np.isnan(lessons.rows.values[:, 0]))
    if not len(known):
        raise TooFewLessons("there are no lessons")
    order = known[np.argsort(lessons.rows.as_of[known], kind="stable")].tolist()
    code = {NORMAL: 0, **{str(one): at for at, one in enumerate(CLASSES)}}
    kinds = np.array([code[str(lessons.truths[i])] for i in order], dtype=np.int64)
    rows = lessons.rows.pick(order)
    finest = min((timeframe for timeframe, _ in by_timeframe(rows)), key=lambda one: one.milliseconds)
    return rows, kinds, finest


def _split(rows: Rows, kinds: Instants, timeframe: Timeframe) -> tuple[Instants, Mapping[str, Rows]]:
    """Positions of the lessons for the trees; and the ordinary ones for the tails by group of tables, where there are
    enough."""
    own = next(here for one, here in by_timeframe(rows) if one is timeframe)
    first, last = int(rows.as_of[own[0]]), int(rows.as_of[own[-1]])
    cut = first + int((last - first) * TAUGHT_SHARE)
    early = own[rows.as_of[own] <= cut - EMBARGO_MS]
    late = rows.pick(np.flatnonzero((rows.as_of > cut) & (kinds == 0)).tolist())
    grouped = _by_group(late)
    most = max((len(part) for part in grouped.values()), default=0)
    if most < FEWEST_OF_A_TAIL:
        raise TooFewLessons(f"{most} ordinary bars to measure tails on, {FEWEST_OF_A_TAIL:,} are needed")
    for at, name in enumerate(CLASSES):
        if at and (planted := int((kinds[early] == at).sum())) < FEWEST_OF_A_KIND:
            raise TooFewLessons(f"{planted} bars are planted with {name}, {FEWEST_OF_A_KIND} are needed")
    return early, {name: part for name, part in grouped.items() if len(part) >= FEWEST_OF_A_TAIL}


def _by_group(rows: Rows) -> dict[str, Rows]:
    found = {}
    for timeframe, here in by_timeframe(rows):
        for name, some in groups(rows.values[here][:, : len(NAMES)], timeframe):
            found[name] = rows.pick(here[some].tolist())
    return found


def _seen(background: Background | None, late: Mapping[str, Rows]) -> dict[str, Floats]:
    """What the rules said of real bars, by group of tables, of those in `late`, where there was enough."""
    every = {} if background is None else background.by_kind()
    found = {name: every[name] for name in late if len(every.get(name, ())) >= FEWEST_OF_A_SCALE}
    if not found:
        most = max((len(every.get(name, ())) for name in late), default=0)
        raise TooFewLessons(f"{most} real bars to measure the rules' scale on, {FEWEST_OF_A_SCALE:,} are needed")
    return found


def _measured(ordinary: Rows, depths: Floats, runner: Runner) -> Measured:
    """On rows of one group that the trees have not seen, and on what the rules said of all its real bars."""
    scale, score = Scale.of(depths), odds(runner.run(ordinary.values[:, : len(COLUMNS)]))
    tail = Tail.of(score)
    return Measured(scale, tail, Tail.of(np.fmax(scale.depth(of_rules(ordinary).whole), tail.depth(score))))


def _range(column: Floats) -> list[float]:
    return [float(column.min()), float(column.max())]


def _span(rows: Rows, timeframe: Timeframe) -> str:
    days = [str(np.datetime64(int(at), "ms").astype("datetime64[D]")) for at in (rows.as_of[0], rows.as_of[-1])]
    symbols = len({question.symbol for question in rows.questions})
    return f"fitted on {len(rows):,} bars of {symbols} symbols, {days[0]} to {days[1]}, trees on {timeframe} alone"
