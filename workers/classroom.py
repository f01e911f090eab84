"""The rows of a walk through history with their truths, worked out once: what is learnt from, and judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.background import Background
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Floats, Instants
from ml.capability import AnyCapability, Given, Outcome, Predictor, Question, Rows, Truth
from ml.learning import Lessons
from ml.timeline import Market
from workers.lessons import in_file
from workers.shown import MARKS, Names, Shown
from workers.subjects import Subject

#: Between the newest label and the moment of training: neighbouring windows overlap.
EMBARGO_MS = 48 * HOUR_MS
#: A fit looks back this far.
TRAINING_MS = 3 * 365 * DAY_MS
#: Rows are made a year at a time, and answered so many at a time: answers are large.
MADE_MS, ANSWERED = 365 * DAY_MS, 20_000
#: Evidence is at most so many rows a week: else of every fifth instant, ... (5 and 25 have no divisor in common with
#: the hours of a day).
MOST_A_WEEK, PARTS = 4_000, (1, 5, 25)
#: A label has no bands.
NO_BANDS = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class Classroom:
    """Lessons in order of `as_of`; `settled_at` (ms) is when each truth had closed, `longest_ms` the longest horizon
    that was asked about: 0 where truths are made, for these are known at once."""

    capability: AnyCapability
    lessons: Lessons
    settled_at: Instants
    longest_ms: int

    @staticmethod
    def of(
        capability: AnyCapability,
        market: Market,
        subjects: Sequence[Subject],
        start: int,
        end: int,
        file: Path | None = None,
    ) -> Classroom:
        """Of closes of bars in [start, end) (ms). With `file`, the values of the rows lie there, and in memory only
        while they are used. A capability with a market of its own to practise in is asked there; its background is of
        the real one."""
        series = [(symbol, one.timeframe) for one in subjects for symbol in one.symbols]
        background = capability.background(market, series, start, end) if capability.background else None
        market = capability.practice(market) if capability.practice else market
        grid = _grid(capability, market, subjects, start, end)
        parts = [_made(capability, market, *asked, file) for asked in grid if len(asked[0])]
        return Classroom.over(capability, _together(capability, parts, file, background))

    @staticmethod
    def over(capability: AnyCapability, lessons: Lessons) -> Classroom:
        """Of lessons that are there already."""
        closed = settled_at(capability, lessons.rows)
        return Classroom(capability, lessons, closed, int((closed - lessons.rows.as_of).max(initial=0)))

    def settled_by(self, at: int) -> Lessons:
        """What may be learnt at `at`: all that was asked for so long before that the longest truth had closed, an
        embargo apart. A view of the rows, not a copy."""
        as_of = self.lessons.rows.as_of
        edges = (at - TRAINING_MS, at - EMBARGO_MS - self.longest_ms)
        start, stop = np.searchsorted(as_of, edges, side="right").tolist()
        background = self.lessons.background
        seen = None if background is None else background.between(at - TRAINING_MS, at - EMBARGO_MS)
        return _between(self.lessons, start, max(start, stop), seen)

    def shown(self, predictor: Predictor[Any], start: int, end: int) -> Shown:
        """What a predictor shows on rows asked in [start, end) (ms), beside the rules on the same questions. Of very
        many rows a part is asked, the same whoever is: weeks are the sample, and rows of a week resemble each other."""
        first, last = np.searchsorted(self.lessons.rows.as_of, (start, end)).tolist()
        asked = first + np.flatnonzero(self._asked()[first:last])
        return Shown.of([self._shown(predictor, asked[at : at + ANSWERED]) for at in range(0, len(asked), ANSWERED)])

    def _asked(self) -> NDArray[np.bool_]:
        """Which rows are asked: of each timeframe those of every instant, every fifth, ...; told from the instants
        alone."""
        rows = self.lessons.rows
        timeframes = Names.told([str(question.timeframe) for question in rows.questions])
        asked = np.zeros(len(rows), dtype=np.bool_)
        for code in range(len(timeframes.of)):
            here = timeframes.codes == code
            asked[here] = _part(rows.as_of[here])
        return asked

    def _shown(self, predictor: Predictor[Any], asked: Instants) -> Shown:
        of, taught = self.capability, self.lessons
        rows, truths = taught.rows.pick(asked.tolist()), [taught.truths[i] for i in asked.tolist()]
        rules, rules_marks = scores(of, of.rules.predict(rows, reasons=False), truths)
        answered = np.flatnonzero(~np.isnan(rules))
        rows, truths = rows.pick(answered.tolist()), [truths[i] for i in answered.tolist()]
        said = predictor.predict(rows, reasons=False) if len(rows) else ()
        model, model_marks = scores(of, said, truths)
        series = Names.told([_series(question) for question in rows.questions])
        strata = Names.told(of.strata(rows))
        closed = self.settled_at[asked[answered]]
        return Shown(rows.as_of, closed, series, strata, model, rules[answered], model_marks, rules_marks[answered])


def settled_at(capability: AnyCapability, rows: Rows) -> Instants:
    """When the truth of each row had closed (ms), shape (n,): at once where it was made."""
    if capability.practice:
        return rows.as_of
    distinct = {id(one): one for one in rows.questions}  # some dozens, each asked many times
    horizon = {which: capability.horizon_ms(one) for which, one in distinct.items()}
    spans = np.array([horizon[id(one)] for one in rows.questions], dtype=np.int64)
    return np.asarray(rows.as_of + spans, dtype=np.int64)


def scores(capability: AnyCapability, said: Sequence[Outcome[Any]], truths: Sequence[Truth]) -> tuple[Floats, Floats]:
    """For each outcome its loss, (n,), and its marks, (n, 4 + k), as `Shown` has them; NaN where it abstained."""
    pairs = zip(said, truths, strict=True)
    told = [(*_scored(capability, one, truth), *_own(capability, one, truth)) for one, truth in pairs]
    found = np.array(told, dtype=np.float64).reshape(-1, 1 + len(MARKS) + len(capability.figures))
    return found[:, 0], found[:, 1:]


def _own(capability: AnyCapability, said: Outcome[Any], truth: Truth) -> list[float | None]:
    """The capability's own figures of an outcome; None where one tells nothing."""
    return [tells(said.answer, truth) if isinstance(said, Given) else None for tells in capability.figures.values()]


def _scored(capability: AnyCapability, said: Outcome[Any], truth: Truth) -> tuple[float, ...]:
    nothing = float("nan")
    if not isinstance(said, Given):
        return (nothing,) * 5
    answer, loss = said.answer, capability.loss(said.answer, truth)
    if isinstance(truth, str):
        right = float(answer.label == truth) if said.confidence is not None else nothing
        return loss, nothing if said.confidence is None else said.confidence, right, *NO_BANDS
    low_80, high_80, low_90, high_90 = (getattr(answer, name, nothing) for name in ("q10", "q90", "q05", "q95"))
    return loss, nothing, nothing, float(low_80 <= truth <= high_80), float(low_90 <= truth <= high_90)


def _grid(
    capability: AnyCapability,
    market: Market,
    subjects: Sequence[Subject],
    start: int,
    end: int,
) -> Iterator[tuple[list[Question], Instants]]:
    """What is asked and when, ordered by time, a year at a time."""
    found: list[tuple[tuple[Question, ...], Instants]] = []
    for subject in subjects:
        step = subject.every_bars * subject.timeframe.milliseconds
        for symbol in subject.symbols:
            timeline = market.timeline(symbol, subject.timeframe)
            if timeline is not None:
                closes = timeline.latest().close_at
                inside = closes[(closes >= start) & (closes < end) & (closes % step == 0)]
                found.append((capability.replayed(symbol, subject.timeframe), inside))
    first = min((int(closes[0]) for _, closes in found if len(closes)), default=end)
    for begins in range(first, end, MADE_MS):
        asked = [
            (at, question)
            for questions, closes in found
            for question in questions
            for at in closes[(closes >= begins) & (closes < begins + MADE_MS)].tolist()
        ]
        asked.sort(key=lambda one: one[0])
        yield [question for _, question in asked], np.array([at for at, _ in asked], dtype=np.int64)


def _made(
    capability: AnyCapability, market: Market, questions: Sequence[Question], as_of: Instants, file: Path | None
) -> Lessons:
    """The lessons of one part of the grid; their values go to the end of the file, where there is one."""
    rows = capability.features.rows(questions, as_of, market)
    truths = capability.truth(questions, as_of, market)
    usable = [i for i, truth in enumerate(truths) if truth is not None and rows.cannot[i] is None]
    lessons = Lessons(rows.pick(usable), [truth for i in usable if (truth := truths[i]) is not None])
    if file is None:
        return lessons
    with file.open("ab") as kept:
        lessons.rows.values.tofile(kept)
    return Lessons(replace(lessons.rows, values=np.empty((0, len(rows.names)))), lessons.truths)


def _together(
    capability: AnyCapability, parts: Sequence[Lessons], file: Path | None, background: Background | None
) -> Lessons:
    names = tuple(capability.features.names)
    rows = [part.rows for part in parts]
    questions = tuple(one for part in rows for one in part.questions)
    nowhen = np.zeros(0, dtype=np.int64)
    if file is None or not questions:
        values = np.concatenate([np.empty((0, len(names))), *(part.values for part in rows)])
    else:
        values = in_file(file, len(questions), len(names))
    return Lessons(
        Rows(
            names,
            values,
            questions,
            np.concatenate([nowhen, *(part.as_of for part in rows)]),
            np.concatenate([nowhen, *(part.data_through for part in rows)]),
            (None,) * len(questions),
        ),
        [truth for part in parts for truth in part.truths],
        background,
    )


def _between(lessons: Lessons, start: int, stop: int, background: Background | None) -> Lessons:
    of, some = lessons.rows, slice(start, stop)
    through, cannot = of.data_through[some], of.cannot[some]
    rows = Rows(of.names, of.values[some], of.questions[some], of.as_of[some], through, cannot)
    return Lessons(rows, lessons.truths[some], background)


def _part(as_of: Instants) -> NDArray[np.bool_]:
    """Of so many rows a week, those that are asked."""
    instants = np.unique(as_of)
    if len(instants) < 2:
        return np.ones(len(as_of), dtype=np.bool_)
    weekly = len(as_of) * WEEK_MS / (int(instants[-1]) - int(instants[0]))
    part = next((part for part in PARTS if weekly / part <= MOST_A_WEEK), PARTS[-1])
    return np.asarray((as_of // int(np.diff(instants).min())) % part == 0)


def _series(question: Question) -> str:
    return f"{question.symbol} {question.timeframe} {getattr(question, 'horizon', '')}"
