"""The regime learner: its models load, obey the laws, remember, and know nothing where there is nothing to know."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import Timeframe
from ml.capability import Given, Rows
from ml.checks import LAWS, Case, Law, bars_for_laws
from ml.learning import Artefact, BadArtefact, Fitted, Lessons
from ml.regime import REGIME, RegimeAnswer, RegimeQuestion
from ml.regime.answer import loss, probabilities
from ml.regime.columns import FEATURES_FOR_MODELS
from ml.regime.decision import Decision, macro_f1, run_length, switched, tuned
from ml.regime.learner import LEARNER
from ml.regime.model import RegimeModel
from ml.timeline import StillMarket

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
CAPABILITY = replace(REGIME, features=FEATURES_FOR_MODELS)
LAW_BARS = bars_for_laws(np.random.default_rng(7), Timeframe.H1, 6_000)


@cache
def lessons() -> Lessons:
    market = StillMarket.of(
        *(bars_for_laws(np.random.default_rng(i), Timeframe.H1, 6_400, name) for i, name in enumerate(SYMBOLS))
    )
    questions, instants = [], []
    for name in SYMBOLS:
        timeline = market.timeline(name, Timeframe.H1)
        assert timeline is not None
        at = timeline.latest().close_at[1_640 : -40 : LEARNER.every_bars]
        questions += [RegimeQuestion(symbol=name)] * len(at)
        instants += at.tolist()
    as_of = np.asarray(instants)
    order = np.argsort(as_of, kind="stable")
    asked = [questions[i] for i in order]
    rows = FEATURES_FOR_MODELS.rows(asked, as_of[order], market)
    truths = CAPABILITY.truth(asked, as_of[order], market)
    known = [i for i, truth in enumerate(truths) if truth is not None]
    return Lessons(rows.pick(known), [truths[i] or "" for i in known])


@cache
def fitted() -> Fitted:
    return LEARNER.fit(lessons(), 3, lambda _share, _word: None)


@cache
def model() -> RegimeModel:
    return LEARNER.load(fitted().artefact, 1)


def mean_loss(predictor: RegimeModel, on: Lessons) -> float:
    said = predictor.predict(on.rows)
    return float(
        np.mean(
            [loss(one.answer, str(true)) for one, true in zip(said, on.truths, strict=True) if isinstance(one, Given)]
        )
    )


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_fitted_model_obeys_every_law(law: Law) -> None:
    law.check(Case(CAPABILITY, model(), LAW_BARS))


def test_the_same_lessons_and_seed_give_the_same_bytes() -> None:
    again = LEARNER.fit(lessons(), 3, lambda _share, _word: None)
    assert again.artefact.to_bytes() == fitted().artefact.to_bytes()


def test_an_artefact_read_back_from_its_bytes_answers_as_before() -> None:
    content = fitted().artefact.to_bytes()
    other = LEARNER.load(Artefact.of(content, LEARNER.name), 1)
    rows = lessons().rows.pick(range(0, 200, 7))
    assert other.predict(rows) == model().predict(rows)
    assert other.explain(rows) == model().explain(rows)


def test_progress_grows_to_one() -> None:
    heard: list[float] = []
    LEARNER.fit(lessons(), 3, lambda share, _: heard.append(share))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_what_is_not_its_artefact_is_refused() -> None:
    mine = fitted().artefact
    with pytest.raises(BadArtefact, match="was expected"):
        LEARNER.load(replace(mine, learner="volatility/other@1"), 1)
    with pytest.raises(BadArtefact, match="other columns"):
        LEARNER.load(replace(mine, numbers={**mine.numbers, "columns": ["z"]}), 1)
    with pytest.raises(BadArtefact, match="missing"):
        LEARNER.load(replace(mine, numbers={"columns": mine.numbers["columns"]}), 1)
    with pytest.raises(BadArtefact):
        LEARNER.load(replace(mine, onnx={"trees": mine.onnx["net"], "net": mine.onnx["trees"]}), 1)


def test_too_few_lessons_are_refused_with_their_number() -> None:
    few = Lessons(lessons().rows.pick(range(500)), lessons().truths[:500])
    with pytest.raises(ValueError, match="500 lessons"):
        LEARNER.fit(few, 3, lambda _share, _word: None)
    one_sided = Lessons(lessons().rows, ["range_bound"] * len(lessons()))
    with pytest.raises(ValueError, match="0 lessons came true as trend_up"):
        LEARNER.fit(one_sided, 3, lambda _share, _word: None)


def test_it_beats_the_rules_where_there_is_something_to_learn_and_knows_nothing_of_shuffled_labels() -> None:
    random = np.random.default_rng(1)
    known = np.arange(len(lessons()))
    taught, asked = known[: len(known) * 3 // 4], known[len(known) * 3 // 4 + 60 :]
    truths = np.asarray(lessons().truths)
    shuffled = truths.copy()
    random.shuffle(shuffled)

    def learnt(labels: np.ndarray) -> float:
        part = Lessons(lessons().rows.pick(taught.tolist()), labels[taught].tolist())
        early = LEARNER.load(LEARNER.fit(part, 3, lambda _share, _word: None).artefact, 1)
        return mean_loss(early, Lessons(lessons().rows.pick(asked.tolist()), labels[asked].tolist()))

    honest, senseless = learnt(truths), learnt(shuffled)
    rules = np.mean(
        [
            loss(one.answer, str(truths[i]))
            for i, one in zip(asked, REGIME.rules.predict(lessons().rows.pick(asked.tolist())), strict=True)
            if isinstance(one, Given)
        ]
    )
    shares = np.unique(truths, return_counts=True)[1] / len(truths)
    assert honest < rules
    assert senseless > -(shares * np.log(shares)).sum() - 0.02


def test_an_answer_has_probabilities_that_sum_to_one_and_explains_itself_by_groups_of_columns() -> None:
    rows = lessons().rows.pick(range(0, 400, 11))
    for outcome, terms in zip(model().predict(rows), model().explain(rows), strict=True):
        assert isinstance(outcome, Given)
        assert sum(probabilities(outcome.answer)) == pytest.approx(1.0, abs=1e-9)
        assert (
            outcome.confidence
            == probabilities(outcome.answer)[list(type(outcome.answer.label)).index(outcome.answer.label)]
        )
        effects = [abs(term.effect or 0.0) for term in terms]
        assert len(terms) == 5
        assert effects == sorted(effects, reverse=True)
        assert any("fitted on" in reason for reason in outcome.reasons)


def test_a_row_is_refused_where_a_column_of_the_model_is_missing() -> None:
    rows = lessons().rows.pick([0, 1])
    values = rows.values.copy()
    values[1, rows.names.index("power_ahead")] = np.nan
    first, second = model().predict(replace(rows, values=values))
    assert isinstance(first, Given)
    assert not isinstance(second, Given)
    assert "power_ahead" in second.text


def test_it_was_measured_on_the_bars_and_markets_of_its_lessons_alone() -> None:
    assert model().ranges["bar_hours"] == (1.0, 1.0)
    assert model().ranges["sessions"] == (0.0, 0.0)
    assert set(model().ranges) <= set(lessons().rows.names)


def test_every_hour_may_be_asked_about_though_lessons_saw_every_fourth_bar() -> None:
    """Once a model passed at midnight: lessons of hours 3, 7, ..., 23 had made it a range of 1 to 25."""
    assert model().ranges["hour"] == (0.0, 23.0)
    assert model().ranges["weekday"] == (0.0, 6.0)


def test_a_standing_label_is_kept_until_another_leads_by_the_margin() -> None:
    log_p = np.log(np.array([[[0.6, 0.4], [0.45, 0.55], [0.2, 0.8], [0.45, 0.55], [0.55, 0.45]]]))
    assert Decision((0.0, 0.0), 0.0).path(log_p).tolist() == [[0, 1, 1, 1, 0]]
    assert Decision((0.0, 0.0), 0.5).path(log_p).tolist() == [[0, 0, 1, 1, 1]]
    assert Decision((0.5, 0.0), 0.0).path(log_p).tolist() == [[0, 0, 1, 0, 0]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.5))
def test_memory_never_adds_a_switch_at_a_bar_where_the_label_leads_by_less_than_the_margin(
    seed: int, margin: float
) -> None:
    log_p = np.log(np.random.default_rng(seed).dirichlet(np.ones(5), size=(30, 9)))
    path = Decision((0.0,) * 5, margin).path(log_p)
    for row, labels in zip(log_p, path, strict=True):
        for bar in range(1, 9):
            if labels[bar] != labels[bar - 1]:
                assert row[bar, labels[bar]] > row[bar, labels[bar - 1]] + margin - 1e-12


def test_runs_are_counted_back_from_the_last_bar() -> None:
    assert run_length(np.array([[1, 1, 1], [1, 2, 2], [2, 1, 2]])).tolist() == [3, 2, 1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_macro_f1_is_that_of_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    said, true = random.integers(0, 4, 60), random.integers(1, 5, 60)
    expected = metrics.f1_score(true, said, labels=range(5), average="macro", zero_division=0.0)
    assert macro_f1(said, true, 5) == pytest.approx(expected)


def test_a_tuned_decision_finds_the_rare_label_and_is_as_calm_as_asked() -> None:
    random = np.random.default_rng(4)
    truth = (random.random(3_000) < 0.12).astype(np.int64)
    belief = 0.12 + 0.25 * (truth[:, None] - 0.12) + 0.10 * random.standard_normal((3_000, 9))
    p = np.clip(belief, 0.01, 0.99)
    log_p = np.log(np.stack([1 - p, p], axis=2))
    free = tuned(log_p, truth, 1.0, (0.0,))
    assert macro_f1(free.path(log_p)[:, -1], truth, 2) > macro_f1(log_p[:, -1].argmax(axis=1), truth, 2) + 0.05
    calm = tuned(log_p, truth, 0.05, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0))
    path = calm.path(log_p)
    assert (path[:, -1] != path[:, -2]).mean() <= 0.05
    assert switched(calm, log_p) < switched(free, log_p)


def test_a_row_says_the_same_alone_and_among_others() -> None:
    rows: Rows = lessons().rows.pick(range(40))
    together = model().predict(rows)
    assert [model().predict(rows.pick([i]))[0] for i in range(40)] == list(together)
    assert all(isinstance(one, Given) and isinstance(one.answer, RegimeAnswer) for one in together)
