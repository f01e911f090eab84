"""How volatility is learned: lessons in, an artefact out, and back to a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefacts import onnx_runner
from ml.bars import DAY_MS
from ml.capability import Predictor
from ml.folds import kept
from ml.learning import Artefact, Fitted, Lessons, Progress, TooFewLessons, numbers_of
from ml.measured import measured, ranges_of
from ml.standard import Standard
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.ensemble import Ensemble, Step, past_of
from ml.volatility.inputs import COLUMNS, calendar_of, columns_of, hours_of
from ml.volatility.kernel import NAMES
from ml.volatility.model import VolatilityModel
from ml.volatility.ranges import RANGES
from ml.volatility.season import Kind
from ml.volatility.truth import SMALLEST_TRUTH

NAME = "volatility/ensemble@4"
#: Fewer than these make no model of a kind of market.
FEWEST_LESSONS = 3_000
FEWEST_DAYS = 180
#: More than these teach little and cost much: of more, some instants are left out.
MOST_LESSONS = 400_000
#: Room beyond the lessons within which a model answers, in the unit of the feature.
ROOM = 0.5


@dataclass(frozen=True, slots=True)
class VolatilityLearner:
    """One ensemble for each kind of market that there are lessons of, all symbols and horizons together."""

    name: str = NAME
    every_bars: int = 5
    """Has no divisor in common with the 168 hours of the week: lessons of every hour."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        """Fits on hourly lessons. 20 to 27 CPU-seconds for 300,000 to 400,000 of them."""
        from ml.volatility.fit import fit

        taught = _taught(lessons, seed)
        onnx: dict[str, bytes] = {}
        numbers: dict[str, Any] = {
            "columns": list(COLUMNS),
            "kinds": {},
            "ranges": measured(lessons.rows, RANGES, ROOM),
        }
        report: dict[str, Any] = {}
        if not taught:
            raise TooFewLessons(_too_few(lessons))
        for number, (kind, few) in enumerate(taught.items()):
            done = number / len(taught)
            fitted = fit(
                few,
                kind,
                seed,
                lambda share, done=done: progress(done + share / len(taught), "members"),  # type: ignore[misc]  # mypy infers no lambda with a default
            )
            onnx |= fitted.onnx
            numbers["kinds"][kind.name] = dict(fitted.numbers)
            report[kind.name.lower()] = dict(fitted.report)
        return Fitted(Artefact(NAME, onnx, numbers), report)

    def load(self, artefact: Artefact, version: int) -> Predictor[VolatilityAnswer]:
        """The model. Raises BadArtefact."""
        with numbers_of(artefact, NAME, COLUMNS) as told:
            kinds = {Kind[name]: _ensemble(name, one, artefact.onnx) for name, one in told["kinds"].items()}
            return VolatilityModel(kinds, version, ranges_of(told["ranges"], RANGES))


LEARNER = VolatilityLearner()


def _taught(lessons: Lessons, seed: int) -> Mapping[Kind, Any]:
    from ml.volatility.fit import Taught

    rows = lessons.rows
    hours = hours_of(rows)
    truths = np.array([one if isinstance(one, float) else np.nan for one in lessons.truths], dtype=np.float64)
    usable = np.isfinite(rows.values[:, : len(NAMES)]).all(axis=1) & np.isfinite(truths) & ~np.isnan(hours)
    with np.errstate(invalid="ignore"):
        log_ratio = np.log(np.maximum(truths, SMALLEST_TRUTH)) - np.log(hours) - rows.column("log_level")
    past = past_of(rows)
    columns, calendar, kind_of = columns_of(rows), calendar_of(rows), rows.column("trades_weekends")
    usable &= np.isfinite(calendar).all(axis=1)
    found = {}
    for kind in Kind:
        here = np.flatnonzero(usable & (kind_of == float(kind)))
        here = here[kept(rows.as_of[here], MOST_LESSONS, seed)]
        if len(here) >= FEWEST_LESSONS and np.ptp(rows.as_of[here]) >= FEWEST_DAYS * DAY_MS:
            found[kind] = Taught(
                columns[here], hours[here], calendar[here], rows.as_of[here], log_ratio[here], past[here]
            )
    return found


def _too_few(lessons: Lessons) -> str:
    days = float(np.ptp(lessons.rows.as_of)) / DAY_MS if len(lessons) else 0.0
    return (
        f"{len(lessons):,} lessons over {days:.0f} days; {FEWEST_LESSONS:,} on hourly bars over {FEWEST_DAYS} days are "
        "needed of one kind of market"
    )


def _ensemble(name: str, told: Mapping[str, Any], onnx: Mapping[str, bytes]) -> Ensemble:
    members = int(told["members"])
    nets, trees = ([onnx_runner(onnx[f"{name}_{what}_{k}"]) for k in range(members)] for what in ("net", "trees"))
    steps = {int(h): Step.of_numbers(one) for h, one in told["steps"].items()}
    return Ensemble(Standard.of_numbers(told, len(COLUMNS)), steps, nets, trees)
