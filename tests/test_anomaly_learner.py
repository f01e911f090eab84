"""The anomaly learner: trees on planted bars, tails on the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.anomaly import ANOMALY
from ml.anomaly.empirical import FEWEST, Tail
from ml.anomaly.fed import FED
from ml.anomaly.learner import LEARNER
from ml.anomaly.model import AnomalyModel
from ml.bars import Timeframe
from ml.capability import CannotAnswer, Given, Why
from ml.checks import LAWS, Case, Law, bars_for_laws
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, TooFewLessons
from ml.timeline import StillMarket
from tests.test_anomaly_fed import CALM, funding, rows_of
from workers.classroom import Classroom
from workers.subjects import Subject

LAW_BARS = bars_for_laws(np.random.default_rng(7), Timeframe.H1, 6_000)
SYMBOLS = ("AAA", "BBB", "CCC")


@cache
def lessons() -> Lessons:
    """Of hours, and of 4h bars beside."""
    hours = [bars_for_laws(np.random.default_rng(i), Timeframe.H1, 20_000, name) for i, name in enumerate(SYMBOLS)]
    fours = [bars_for_laws(np.random.default_rng(9 + i), Timeframe.H4, 5_000, one) for i, one in enumerate(SYMBOLS)]
    market = StillMarket.of(*hours, *fours)
    last = int(hours[0].close_at[-1])
    taught = [Subject(Timeframe.H1, SYMBOLS, LEARNER.every_bars), Subject(Timeframe.H4, SYMBOLS, 1)]
    return Classroom.of(ANOMALY, market, taught, 0, last).lessons


@cache
def fitted() -> Fitted:
    return LEARNER.fit(lessons(), 3, lambda _share, _word: None)


@cache
def model() -> AnomalyModel:
    return LEARNER.load(fitted().artefact, 1)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_fitted_model_obeys_every_law(law: Law) -> None:
    law.check(Case(ANOMALY, model(), LAW_BARS))


@pytest.mark.parametrize("timeframe", [Timeframe.H1, Timeframe.H4])
def test_it_finds_planted_anomalies_better_than_the_rules_and_its_rates_hold(timeframe: Timeframe) -> None:
    n, asked = len(lessons()), lessons().rows.questions
    some = [i for i in range(n // 2, n, 2) if asked[i].timeframe is timeframe]
    rows, truths = lessons().rows.pick(some), [str(lessons().truths[i]) for i in some]

    def judged(predictor: AnomalyModel) -> tuple[float, float]:
        pairs = [
            (one.answer, t) for one, t in zip(predictor.predict(rows), truths, strict=True) if isinstance(one, Given)
        ]
        rates = [rate for said, t in pairs if (rate := ANOMALY.figures["rate_50"](said, t)) is not None]
        return float(np.mean([ANOMALY.loss(said, t) for said, t in pairs])), float(np.mean(rates))

    mine, rate = judged(model())
    rules, _ = judged(ANOMALY.rules)  # type: ignore[arg-type]  # rules are a predictor of their own answer
    assert mine < 0.95 * rules
    assert 0.5 < rate < 1.5


def test_the_same_lessons_and_seed_give_the_same_bytes_and_they_come_back_as_the_same_model() -> None:
    again = LEARNER.fit(lessons(), 3, lambda _share, _word: None)
    content = fitted().artefact.to_bytes()
    assert again.artefact.to_bytes() == content
    other = LEARNER.load(Artefact.of(content, LEARNER.name), 1)
    rows = lessons().rows.pick(range(0, 300, 7))
    assert other.predict(rows) == model().predict(rows)
    assert other.explain(rows) == model().explain(rows)


def test_what_is_not_its_artefact_is_refused() -> None:
    mine = fitted().artefact
    with pytest.raises(BadArtefact, match="was expected"):
        LEARNER.load(replace(mine, learner="regime/other@1"), 1)
    with pytest.raises(BadArtefact, match="other columns"):
        LEARNER.load(replace(mine, numbers={**mine.numbers, "columns": ["move"]}), 1)
    with pytest.raises(BadArtefact, match="missing"):
        LEARNER.load(replace(mine, numbers={"columns": mine.numbers["columns"]}), 1)
    with pytest.raises(BadArtefact, match="missing"):
        LEARNER.load(replace(mine, numbers={**mine.numbers, "both": {"1h": {"knots": [1.0]}}}), 1)
    with pytest.raises(BadArtefact, match="no tables"):
        LEARNER.load(replace(mine, numbers={**mine.numbers, **_elsewhere(mine.numbers)}), 1)


def _elsewhere(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    return {part: {"2h": numbers[part]["1h"]} for part in ("scales", "trees", "both")}


def test_too_few_lessons_are_refused_with_their_number() -> None:
    seen = lessons().background
    few = Lessons(lessons().rows.pick(range(900)), lessons().truths[:900], seen)
    with pytest.raises(TooFewLessons, match="ordinary bars"):
        LEARNER.fit(few, 3, lambda _share, _word: None)
    unplanted = Lessons(lessons().rows, ["normal"] * len(lessons()), seen)
    with pytest.raises(TooFewLessons, match="0 bars are planted with price"):
        LEARNER.fit(unplanted, 3, lambda _share, _word: None)
    with pytest.raises(TooFewLessons, match="there are no lessons"):
        LEARNER.fit(Lessons(lessons().rows.pick([]), [], seen), 3, lambda _share, _word: None)


@pytest.mark.parametrize("until_ms", [None, 0])
def test_without_a_market_as_it_was_there_is_no_scale_and_no_model(until_ms: int | None) -> None:
    seen = lessons().background
    assert seen is not None
    unseen = replace(lessons(), background=None if until_ms is None else seen.between(-1, until_ms))
    with pytest.raises(TooFewLessons, match="0 real bars to measure the rules' scale on, 1,000 are needed"):
        LEARNER.fit(unseen, 3, lambda _share, _word: None)


def test_it_answers_on_longer_bars_and_in_markets_among_its_lessons_alone() -> None:
    asked = lessons().rows.questions
    fours = lessons().rows.pick([i for i, question in enumerate(asked) if question.timeframe is Timeframe.H4][-50:])
    for said in model().predict(fours):
        assert isinstance(said, Given)
        assert any("trees on 1h alone" in reason for reason in said.reasons)
    values = fours.values.copy()
    values[:, fours.names.index("weekends")] = 0.0
    for said in model().predict(replace(fours, values=values)):
        assert isinstance(said, CannotAnswer)
        assert "too few bars of such markets" in said.text


def test_bars_of_another_timeframe_are_left_to_the_rules() -> None:
    rows = lessons().rows.pick([5])
    question = rows.questions[0].model_copy(update={"timeframe": Timeframe.D1})
    (said,) = model().predict(replace(rows, questions=(question,)))
    assert isinstance(said, CannotAnswer)
    assert said.why is Why.NOT_MEASURED
    assert model().explain(replace(rows, questions=(question,))) == [()]


def test_an_answer_says_what_the_trees_found_and_on_what_they_were_fitted() -> None:
    planted = [i for i, truth in enumerate(lessons().truths) if truth != "normal"][:20]
    rows = lessons().rows.pick(planted)
    for said, terms in zip(model().predict(rows), model().explain(rows), strict=True):
        assert isinstance(said, Given)
        assert any("fitted on" in reason and "3 symbols" in reason for reason in said.reasons)
        assert "trees" in [term.name for term in terms]


def test_what_is_fed_counts_for_a_model_as_it_does_for_the_rules_and_its_absence_changes_nothing() -> None:
    rows = rows_of(CALM)
    fed = rows_of(CALM, funding(0.003))
    (calm,), (said,) = model().predict(rows), model().predict(fed)
    assert isinstance(calm, Given)
    assert isinstance(said, Given)
    assert not calm.answer.is_anomaly
    assert (said.answer.type, said.answer.channel, said.answer.is_anomaly) == ("derivatives", "funding", True)
    assert model().explain(fed)[0][0].name == "funding"
    before = replace(rows, names=rows.names[: -len(FED)], values=rows.values[:, : -len(FED)])
    assert model().predict(before) == [calm]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3.0))
def test_a_tail_says_of_its_own_distribution_how_often_a_value_is_exceeded(seed: int, scale: float) -> None:
    values = scale * np.random.default_rng(seed).standard_exponential(4 * FEWEST)
    tail = Tail.of(values)
    for chance, near in ((0.1, 0.06), (0.01, 0.2), (0.0005, 0.7)):  # 40 values lie beyond the Pareto's beginning
        told = float(tail.depth(np.array([-scale * np.log(chance)]))[0])
        assert told == pytest.approx(-np.log10(chance), abs=near)
    assert (np.diff(tail.depth(np.linspace(0.0, 40.0 * scale, 200))) >= 0.0).all()
    again = Tail.of_numbers(tail.to_numbers())
    assert again.depth(values[:50]).tobytes() == tail.depth(values[:50]).tobytes()


def test_a_tail_of_few_values_is_refused() -> None:
    with pytest.raises(ValueError, match="are needed"):
        Tail.of(np.arange(10.0))
