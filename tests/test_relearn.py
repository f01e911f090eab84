"""Refits along history: learnt from what had settled, judged on what came after, promoted when they have earned it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from commands.replay_models import Retrained
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Floats, Timeframe
from ml.capability import AnyCapability, CannotAnswer, Given, Goals, Outcome, Rows, Term
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from ml.learning import Artefact, Fitted, Lessons, Progress
from ml.timeline import StillMarket
from tools.chain import Link
from workers.classroom import Classroom
from workers.fitting_pool import NotFitted
from workers.relearn import EMBARGO_MS, Refit, boundaries, relearn
from workers.subjects import Subject

VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
BARS = bars_for_laws(np.random.default_rng(3), Timeframe.H1, 24 * 7 * 90, "AAA")
MARKET = StillMarket.of(BARS)
FIRST = int(BARS.close_at[24 * 7 * 20])
LAST = int(BARS.close_at[-1])

TAUGHT = [Subject(Timeframe.H1, ("AAA",), 24)]


@dataclass(frozen=True)
class Scaled:
    """The rules, times a factor: a predictor whose skill a test chooses."""

    factor: float
    version: int = 0

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return {}

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Outcome[Any]]:
        return [self._scaled(one) for one in VOLATILITY.rules.predict(rows)]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        return [()] * len(rows)

    def _scaled(self, one: Outcome[Any]) -> Outcome[Any]:
        if isinstance(one, CannotAnswer):
            return one
        return replace(one, answer=one.answer.model_copy(update={"var": one.answer.var * self.factor}))


@dataclass(frozen=True)
class Leveller:
    """Learns the factor that makes rules of half the size right again: the mean of truth over rules."""

    name: str = "volatility/leveller@1"
    every_bars: int = 24

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        truths = np.array(lessons.truths, dtype=np.float64)
        said = VOLATILITY.rules.predict(lessons.rows)
        ratio = [truth / one.answer.var for one, truth in zip(said, truths, strict=True) if isinstance(one, Given)]
        return Fitted(Artefact(self.name, {}, {"factor": float(np.mean(ratio))}), {})

    def load(self, artefact: Artefact, version: int) -> Scaled:
        return Scaled(artefact.numbers["factor"], version)


@dataclass(frozen=True)
class Graded:
    """Learns what came true, on average, in each tenth of what the rules say; `shuffled`: truths of other times."""

    shuffled: bool = False
    name: str = "volatility/graded@1"
    every_bars: int = 24

    def fit(self, lessons: Lessons, seed: int, progress: Progress) -> Fitted:
        said = rules_say(lessons.rows)
        truths = np.array(lessons.truths, dtype=np.float64)
        if self.shuffled:
            truths = np.random.default_rng(seed).permutation(truths)
        edges = np.quantile(said, np.linspace(0.1, 0.9, 9))
        tenth = np.searchsorted(edges, said)
        means = [float(truths[tenth == k].mean()) for k in range(10)]
        return Fitted(Artefact(self.name, {}, {"edges": edges.tolist(), "means": means}), {})

    def load(self, artefact: Artefact, version: int) -> Tenths:
        return Tenths(1.0, version, tuple(artefact.numbers["edges"]), tuple(artefact.numbers["means"]))


@dataclass(frozen=True)
class Tenths(Scaled):
    """What `Graded` learnt."""

    edges: tuple[float, ...] = ()
    means: tuple[float, ...] = ()

    def _scaled(self, one: Outcome[Any]) -> Outcome[Any]:
        if isinstance(one, CannotAnswer):
            return one
        mean = self.means[int(np.searchsorted(self.edges, one.answer.var))]
        return replace(one, answer=one.answer.model_copy(update={"var": mean}))


def rules_say(rows: Rows) -> Floats:
    return np.array([one.answer.var for one in VOLATILITY.rules.predict(rows) if isinstance(one, Given)])


def alone(capability: AnyCapability) -> AnyCapability:
    """Asked about 24 h alone, to be quick; bands are not judged here."""
    asked = capability.examples[0].model_copy(update={"symbol": "AAA"})
    return replace(
        capability, replayed=lambda symbol, timeframe: (asked,), goals=Goals({"coverage_80": (0.0, 1.0)}, 0.1)
    )


def halved(learner: Any, factor: float = 0.3) -> AnyCapability:
    """Volatility with rules that say a part of what they should: there is something to learn."""
    return replace(alone(VOLATILITY), rules=Scaled(factor), learner=learner)


def walked(capability: AnyCapability, seen: list[tuple[int, Lessons]] | None = None) -> list[Refit]:
    refit_at = boundaries(FIRST + 54 * WEEK_MS, LAST, 28 * DAY_MS, FIRST)
    learner = capability.learner
    assert learner is not None

    def fit_each(school: Classroom, instants: Sequence[int], seed: int) -> Iterator[Fitted | NotFitted]:
        for at in instants:
            taught = school.settled_by(at)
            if seen is not None:
                seen.append((at, taught))
            yield learner.fit(taught, seed, lambda share, word: None)

    return list(relearn(capability, MARKET, TAUGHT, refit_at, LAST, fit_each, lambda share, word: None))


def test_refits_begin_a_year_before_the_first_question_or_as_early_as_history_allows() -> None:
    assert boundaries(100 * WEEK_MS, 101 * WEEK_MS, WEEK_MS, 0)[0] <= 48 * WEEK_MS
    assert boundaries(10 * WEEK_MS, 11 * WEEK_MS, WEEK_MS, 3 * WEEK_MS)[0] == 3 * WEEK_MS
    weeks = [at // WEEK_MS for at in boundaries(100 * WEEK_MS, 112 * WEEK_MS, 4 * WEEK_MS, 0, 13 * WEEK_MS)]
    assert weeks == [46, 59, 72, 85, 98, 100, 104, 108, 112]
    assert boundaries(WEEK_MS, 3 * WEEK_MS, WEEK_MS, 2 * WEEK_MS) == [2 * WEEK_MS, 3 * WEEK_MS]


def test_a_refit_learns_from_what_had_settled_an_embargo_before_alone() -> None:
    seen: list[tuple[int, Lessons]] = []
    walked(halved(Leveller()), seen)
    assert len(seen) > 10
    for at, lessons in seen:
        assert len(lessons) > 0
        assert int(lessons.rows.as_of.max()) + 24 * HOUR_MS + EMBARGO_MS <= at


def test_a_model_that_is_better_is_promoted_once_a_year_of_weeks_says_so_and_not_before() -> None:
    refits = walked(halved(Leveller()))
    promoted = [one for one in refits if one.promoted]
    assert promoted
    assert promoted[0].at - refits[0].at >= 52 * WEEK_MS
    assert all(one.promoted for one in refits[refits.index(promoted[0]) :])
    assert "better than volatility@0" in promoted[0].reasons[0]
    assert "weeks of walk-forward, 52 are needed" in refits[5].reasons[0]


def test_a_model_equal_to_the_rules_is_never_promoted() -> None:
    @dataclass(frozen=True)
    class Equal(Leveller):
        def load(self, artefact: Artefact, version: int) -> Scaled:
            return Scaled(1.0, version)

    refits = walked(replace(alone(VOLATILITY), learner=Equal()))
    assert not any(one.promoted for one in refits)
    assert "not shown to be better" in refits[-1].reasons[0]


def test_a_label_shuffled_in_time_shows_no_skill() -> None:
    """The same learner, rules and weeks: with honest labels it is promoted, with labels of other times never."""
    assert any(one.promoted for one in walked(halved(Graded(), 0.55)))
    shuffled = walked(halved(Graded(shuffled=True), 0.55))
    assert not any(one.promoted for one in shuffled)
    assert "worse than volatility@0" in shuffled[-1].reasons[0]


def test_a_model_that_looks_too_good_is_rejected_as_a_leak() -> None:
    capability = replace(halved(Leveller()), goals=Goals({"coverage_80": (0.0, 1.0)}, least_ratio=0.99))
    refits = walked(capability)
    assert not any(one.promoted for one in refits)
    assert "too good to be true" in refits[-1].reasons[0]


def test_the_road_of_a_replay_asks_the_refit_in_force_and_the_rules_before() -> None:
    refits = walked(halved(Leveller()))
    chains = Retrained(VOLATILITY, tuple(refits), Link("volatility@0", VOLATILITY.rules), 62)
    first = next(one for one in refits if one.promoted)
    before, after = chains.chain("volatility", first.at - 1), chains.chain("volatility", first.at)
    assert [link.name for link in before] == ["volatility@0"]
    assert [link.name for link in after] == [f"volatility@{first.version}", "volatility@0"]
    assert [link.name for link in chains.chain("volatility", 0)] == ["volatility@0"]
    assert after[0].earned is not None
    assert after[0].earned.names == {"24h, 1h bars, markets that never close"}
    late = chains.chain("volatility", refits[-1].at + 63 * DAY_MS)
    assert late[0].absent is not None
    assert late[0].absent.text == "model is 63 days old, the limit is 62"


def test_a_refit_with_too_few_lessons_is_passed_over_with_the_reason() -> None:
    wrong = "7 lessons, 4,000 are needed"
    capability = halved(Leveller())
    refit_at = [FIRST, FIRST + WEEK_MS]

    def fit_each(school: Classroom, instants: Sequence[int], seed: int) -> Iterator[Fitted | NotFitted]:
        yield from (NotFitted(wrong) for _ in instants)

    refits = list(relearn(capability, MARKET, TAUGHT, refit_at, LAST, fit_each, lambda *_: None))
    assert [one.reasons for one in refits] == [(wrong,), (wrong,)]
    assert not any(one.promoted for one in refits)
