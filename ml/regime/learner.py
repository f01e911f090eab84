"""How the regime model is learnt: trees and a net on the same rows, then a temperature and a decision.

First on all but the last quarter of the lessons: on that quarter, 48 h later, temperature, class weights and hysteresis
are chosen. Then both are fitted once more on all lessons. Every lesson is also taught upside down, so the model has no
opinion on direction. The truth's own mathematics is in the columns (`ml/regime/columns.py`); what is left to learn is
mild, so a minute's model does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefacts import Runner, onnx_runner
from ml.bars import HOUR_MS, Floats
from ml.capability import Rows, Truth
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, Progress, TooFewLessons, numbers_of
from ml.measured import ranges_of
from ml.parity import check
from ml.regime.columns import BAR_HOURS, MODEL_NAMES, NAMES
from ml.regime.decision import Decision, macro_f1, switched, tuned
from ml.regime.formula import LABELS, Codes
from ml.regime.inputs import NET_WIDTH, WIDTH, Scale, bars_of, mirrored, newest
from ml.regime.model import Chances, RegimeModel, refusals
from ml.regime.rules import RANGES

NAME = "regime/trees-and-net@1"
EMBARGO_MS = 48 * HOUR_MS
FEWEST = 2_000
FEWEST_OF_A_LABEL = 40
HELD_OUT_SHARE = 0.25
MOST_JUDGED = 24_000
"""Held-out lessons that the decision is tuned on, at most, evenly taken."""
MOST_SWITCHES = 11.4 / 168
"""Share of bars, counted within rows: seen from bar to bar it becomes about 11.8 a week on coins."""
MARGINS = tuple(round(0.30 + 0.05 * step, 2) for step in range(19))
_TEMPERATURES = tuple(round(0.80 + 0.02 * step, 2) for step in range(26))
_WIDER = 0.10
"""Ranges reach so far beyond the lessons, as a share of their span."""

_CLOCK = {"hour": (0.0, 23.0), "weekday": (0.0, 6.0)}
"""Every hour is one that was learnt about, though lessons of every fourth bar may see but six of them."""

_CLASSES = len(LABELS)
_CODES: Mapping[Truth, int] = {label.value: code for code, label in enumerate(LABELS)}
_ROUNDS = 60
_TREES: Mapping[str, Any] = {
    "objective": "multi:softprob",
    "num_class": _CLASSES,
    "max_depth": 4,
    "eta": 0.15,
    "subsample": 0.4,
    "colsample_bytree": 0.6,
    "min_child_weight": 50,
    "lambda": 5,
    "max_bin": 64,
}
_EPOCHS = 8
_HIDDEN = (32, 16)
_BATCH = 512
_RATE = 3e-3
_WATCHED = 20
"""Every twentieth lesson is kept from the net, to tell its best epoch."""


@dataclass(frozen=True, slots=True)
class RegimeLearner:
    """Learns `RegimeAnswer` from settled labels."""

    name: str = NAME
    every_bars: int = 4

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        """Fits on lessons in order of `as_of`. ValueError where they are under 2,000, or under 40 of a label."""
        progress(0.0, "reading lessons")
        rows, truth = _taught(lessons)
        early, late = _split(rows)
        values = newest(rows)
        first, _, _ = _grown(values[early], truth[early], seed, _part(progress, 0.0, 0.35))
        progress(0.4, "tuning the decision")
        some = late[:: -(-len(late) // MOST_JUDGED)]
        log_p = first.log_p(bars_of(rows.pick(some.tolist())))
        temperature = _temperature(log_p[:, -1], truth[some])
        decision = tuned(_heated(log_p, temperature), truth[some], MOST_SWITCHES, MARGINS)
        final, models, parity = _grown(values, truth, seed, _part(progress, 0.5, 0.5))
        numbers = {
            "columns": list(MODEL_NAMES),
            "scale": dict(final.scale.numbers),
            "temperature": temperature,
            "log_weights": list(decision.log_weights),
            "margin": decision.margin,
            "usual": np.median(values, axis=0).tolist(),
            "ranges": {name: list(edges) for name, edges in _ranges(rows).items()},
            "fitted": _span(rows),
        }
        report = _report(_heated(log_p, temperature), truth[some], decision, len(rows), len(late))
        progress(1.0, "fitted")
        return Fitted(Artefact(self.name, models, numbers), {**report, "temperature": temperature, "parity": parity})

    def load(self, artefact: Artefact, version: int) -> RegimeModel:
        """The predictor of an artefact. Raises BadArtefact for another learner's, or for other columns."""
        with numbers_of(artefact, self.name, MODEL_NAMES) as told:
            chances = Chances(
                _runner(artefact.onnx["trees"], WIDTH),
                _runner(artefact.onnx["net"], NET_WIDTH),
                Scale.told(told["scale"]),
                float(told["temperature"]),
            )
            decision = Decision(tuple(map(float, told["log_weights"])), float(told["margin"]))
            ranges = ranges_of(told["ranges"], NAMES)
            return RegimeModel(version, ranges, chances, decision, tuple(told["usual"]), str(told["fitted"]))


LEARNER = RegimeLearner()


def _taught(lessons: Lessons) -> tuple[Rows, Codes]:
    """Lessons that can be answered, in order of time."""
    fit = np.flatnonzero([why is None for why in refusals(lessons.rows)])
    order = fit[np.argsort(lessons.rows.as_of[fit], kind="stable")].tolist()
    rows = lessons.rows.pick(order)
    truth = np.asarray([_CODES[lessons.truths[i]] for i in order], dtype=np.int64)
    counts = Counter(truth.tolist())
    if len(rows) < FEWEST:
        raise TooFewLessons(f"{len(rows)} lessons can be learnt from, {FEWEST:,} are needed")
    for code, label in enumerate(LABELS):
        if counts[code] < FEWEST_OF_A_LABEL:
            raise TooFewLessons(f"{counts[code]} lessons came true as {label}, {FEWEST_OF_A_LABEL} are needed")
    return rows, truth


def _split(rows: Rows) -> tuple[Codes, Codes]:
    """Positions of the early lessons, and of the last quarter of the time, 48 h apart."""
    first, last = int(rows.as_of[0]), int(rows.as_of[-1])
    cut = last - int((last - first) * HELD_OUT_SHARE)
    early, late = np.flatnonzero(rows.as_of <= cut - EMBARGO_MS), np.flatnonzero(rows.as_of > cut)
    if len(early) < FEWEST // 2 or len(late) < FEWEST // 8:
        raise TooFewLessons(f"{len(early)} early and {len(late)} late lessons are too few to tune on")
    return early, late


def _grown(values: Floats, truth: Codes, seed: int, progress: Progress) -> tuple[Chances, Mapping[str, bytes], float]:
    """Trees and net on rows (n, 17) and their mirror images, exported, and compared with what was trained."""
    from ml.fitting import nets, trees

    other, swapped = mirrored(values, truth)
    both, labels = np.concatenate([values, other]), np.concatenate([truth, swapped])
    booster = trees.grown(
        _TREES,
        both,
        labels.astype(np.float64),
        _ROUNDS,
        seed,
        tell=lambda share: progress(0.6 * share, "growing trees"),
    )
    scale = Scale.of(both)
    seen, wanted = scale.scaled(both), np.eye(_CLASSES)[labels]
    watched = np.arange(len(seen)) % _WATCHED == 0
    net, _ = nets.fitted(
        nets.Lesson(seen[~watched], wanted[~watched]),
        nets.Lesson(seen[watched], wanted[watched]),
        n_outputs=_CLASSES,
        loss=lambda out, target: -(out.log_softmax(1) * target).sum(1),
        recipe=nets.Recipe(hidden=_HIDDEN, epochs=_EPOCHS, batch=_BATCH, rate=_RATE, patience=_EPOCHS),
        seed=seed,
        tell=lambda share: progress(0.6 + 0.4 * share, "fitting the net"),
    )
    models = {"trees": trees.to_onnx(booster, WIDTH, margin=True), "net": nets.to_onnx(net, NET_WIDTH)}
    chances = Chances(onnx_runner(models["trees"]), onnx_runner(models["net"]), scale, 1.0)
    random = np.random.default_rng(seed)
    splits = trees.splits(booster, WIDTH)
    grown = check(lambda x: trees.predicted(booster, x, margin=True), chances.trees, both, random, splits=splits)
    fitted = check(lambda x: nets.predicted(net, x), chances.net, seen, random, largest=float(np.abs(seen).max()))
    return chances, models, max(grown, fitted)


def _temperature(log_p: Floats, truth: Codes) -> float:
    at = np.arange(len(truth))
    return min(_TEMPERATURES, key=lambda heat: -float(_heated(log_p, heat)[at, truth].mean()))


def _heated(log_p: Floats, temperature: float) -> Floats:
    logits = log_p / temperature
    top = logits.max(axis=-1, keepdims=True)
    heated: Floats = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    return heated


def _ranges(rows: Rows) -> Mapping[str, tuple[float, float]]:
    """What was measured: the rules' domains, this kind of market, and the model's columns as the lessons had them."""
    ranges = dict(RANGES)
    for name in (BAR_HOURS, "sessions"):
        ranges[name] = (float(rows.column(name).min()), float(rows.column(name).max()))
    values = newest(rows)
    for name, low, high in zip(MODEL_NAMES, values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True):
        room = _WIDER * (high - low)
        ranges[name] = _CLOCK.get(name, (low - room, high + room))
    return ranges


def _span(rows: Rows) -> str:
    days = [str(np.datetime64(int(at), "ms").astype("datetime64[D]")) for at in (rows.as_of[0], rows.as_of[-1])]
    symbols = len({question.symbol for question in rows.questions})
    return f"{len(rows):,} bars of {symbols} symbols, {days[0]} to {days[1]}"


def _report(log_p: Floats, truth: Codes, decision: Decision, lessons: int, held_out: int) -> Mapping[str, Any]:
    path = decision.path(log_p)
    free = Decision(decision.log_weights, 0.0).path(log_p[:, -1:])[:, -1]
    return {
        "lessons": lessons,
        "held_out": held_out,
        "held_out_log_loss": float(-log_p[np.arange(len(truth)), -1, truth].mean()),
        "held_out_macro_f1": macro_f1(path[:, -1], truth, _CLASSES),
        "held_out_macro_f1_free": macro_f1(free, truth, _CLASSES),
        "held_out_switches_per_168_bars": switched(decision, log_p) * 168,
        "margin": decision.margin,
    }


def _runner(model: bytes, width: int) -> Runner:
    runner = onnx_runner(model)
    if (runner.n_features, runner.n_outputs) != (width, _CLASSES):
        raise BadArtefact(f"a model from {runner.n_features} to {runner.n_outputs} numbers, not {width} to {_CLASSES}")
    return runner


def _part(progress: Progress, start: float, share: float) -> Progress:
    return lambda done, doing: progress(start + share * done, doing)
