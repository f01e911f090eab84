"""How liquidity is learned: lessons in, an artefact out, and back to a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.artefacts import onnx_runner
from ml.bars import DAY_MS
from ml.capability import Predictor, Question
from ml.folds import kept
from ml.learning import Artefact, Fitted, Lessons, Progress, TooFewLessons, numbers_of
from ml.liquidity.answer import LiquidityAnswer
from ml.liquidity.ensemble import Ensemble
from ml.liquidity.inputs import COLUMNS, HORIZONS, Starts, clock_of, columns_of
from ml.liquidity.kernel import NAMES
from ml.liquidity.model import LiquidityModel
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.liquidity.ranges import RANGES
from ml.liquidity.truth import SMALLEST_TRUTH
from ml.measured import measured, ranges_of

if TYPE_CHECKING:
    from ml.liquidity.fit import Taught

NAME = "liquidity/nets@2"
#: Fewer than these, of every horizon, make no model. A lesson is a symbol and an instant, with its truths.
FEWEST_LESSONS = 1_000
FEWEST_DAYS = 180
#: More than these teach little and cost much: of more, some instants are left out.
MOST_LESSONS = 120_000
#: Room beyond the lessons within which a model answers, in the unit of the feature.
ROOM = 0.5
_AT = {horizon: k for k, horizon in enumerate(HORIZONS)}


@dataclass(frozen=True, slots=True)
class LiquidityLearner:
    """One set of networks for all symbols and horizons."""

    name: str = NAME
    every_bars: int = 5
    """Has no divisor in common with the 168 hours of the week: lessons of every hour."""

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        """Fits on hourly lessons. About 15 CPU-seconds for 120,000 symbols and instants."""
        from ml.liquidity.fit import fit

        taught = _taught(lessons, seed)
        days = float(np.ptp(taught.as_of)) / DAY_MS if len(taught) else 0.0
        fewest = int(np.isfinite(taught.log_ratio).sum(axis=0).min()) if len(taught) else 0
        if fewest < FEWEST_LESSONS or days < FEWEST_DAYS:
            raise TooFewLessons(
                f"{fewest:,} symbols and instants over {days:.0f} days have their truth of every horizon; "
                f"{FEWEST_LESSONS:,} over {FEWEST_DAYS} days are needed"
            )
        fitted = fit(taught, seed, lambda share: progress(share, "members"))
        numbers = dict(fitted.numbers) | {"columns": list(COLUMNS), "ranges": measured(lessons.rows, RANGES, ROOM)}
        return Fitted(Artefact(NAME, fitted.onnx, numbers), fitted.report)

    def load(self, artefact: Artefact, version: int) -> Predictor[LiquidityAnswer]:
        """The model. Raises BadArtefact."""
        with numbers_of(artefact, NAME, COLUMNS) as told:
            nets = [onnx_runner(artefact.onnx[f"net_{k}"]) for k in range(int(told["members"]))]
            ensemble = Ensemble.of_numbers(told, nets, len(COLUMNS))
            return LiquidityModel(ensemble, version, ranges_of(told["ranges"], RANGES))


LEARNER = LiquidityLearner()


def _taught(lessons: Lessons, seed: int) -> Taught:
    """Lessons of one symbol and instant are put together: they share their row."""
    from ml.liquidity.fit import Taught

    rows = lessons.rows
    whole = np.isfinite(rows.values[:, : len(NAMES)]).all(axis=1) & np.isfinite(clock_of(rows)).all(axis=1)
    moments = _moments(rows.questions, rows.data_through.tolist())
    first: dict[tuple[str, int], int] = {}
    for i in np.flatnonzero(whole).tolist():
        first.setdefault(moments[i], i)
    chosen = kept(rows.as_of[np.array(list(first.values()), dtype=np.int64)], MOST_LESSONS, seed).tolist()
    place = {moment: k for k, moment in enumerate(moment for moment, one in zip(first, chosen, strict=True) if one)}
    rows_at = [first[moment] for moment in place]
    volume = np.full((len(place), len(HORIZONS)), np.nan)
    for i in np.flatnonzero(whole).tolist():
        at, true = place.get(moments[i]), lessons.truths[i]
        if at is not None and isinstance(true, float):
            volume[at, _AT[_horizon(rows.questions[i])]] = max(true, SMALLEST_TRUTH)
    few = rows.pick(rows_at)
    hours = np.array([horizon.bars for horizon in HORIZONS], dtype=np.float64)
    log_ratio = np.log(volume) - np.log(hours) - few.column("log_level")[:, None]
    six = log_ratio[:, _AT[Horizon.H6]]
    thin = np.where(np.isnan(six), np.nan, (six < few.column("thin_below")).astype(np.float64))
    symbols = np.array([question.symbol for question in few.questions], dtype=np.str_)
    return Taught(columns_of(few), clock_of(few), few.as_of, symbols, Starts.of(few), log_ratio, thin)


def _moments(questions: Sequence[Question], through: Sequence[int]) -> list[tuple[str, int]]:
    return [(question.symbol, at) for question, at in zip(questions, through, strict=True)]


def _horizon(question: Question) -> Horizon:
    assert isinstance(question, LiquidityQuestion)
    return question.horizon
