"""What liquidity learns: the same bytes from the same lessons, a model that obeys the laws, and honest refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.bars import Bars, Timeframe
from ml.capability import CannotAnswer, Given, Rows, Why
from ml.checks import LAWS, Case, Law, bars_for_laws
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, TooFewLessons
from ml.liquidity import LIQUIDITY, Horizon, LiquidityQuestion
from ml.liquidity.features import FEATURES, ROW_NAMES
from ml.liquidity.immediate import IMMEDIATE
from ml.liquidity.inputs import GROUPS
from ml.liquidity.learner import LEARNER
from ml.liquidity.market import MARKET
from ml.liquidity.model import LiquidityModel
from ml.liquidity.truth import truth
from ml.timeline import StillMarket
from tests.liquidity_market import market
from tests.observed_books import books, levels

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")


def waves(symbol: str, seed: int) -> Bars:
    """A market with a rhythm that the rules do not know: every third day trades twice as much."""
    bars = market(6_000, noise=0.4, symbol=symbol, seed=seed)
    lively = np.where(np.arange(len(bars)) // 24 % 3 == 0, 2.0, 1.0)
    return replace(bars, volume=bars.volume * lively)


BARS = (waves("COIN0", 1), waves("COIN1", 2))
MARKET_OF_ALL = StillMarket.of(*BARS)


def lessons_of(every: int) -> Lessons:
    """Lessons of all horizons, ordered by `as_of`, of the first 5,400 bars."""
    asked = [
        (at, LiquidityQuestion(symbol=one.symbol, horizon=horizon))
        for one in BARS
        for horizon in Horizon
        for at in one.close_at[726:5_400:every].tolist()
    ]
    asked.sort(key=lambda pair: pair[0])
    as_of = np.array([at for at, _ in asked], dtype=np.int64)
    questions = [question for _, question in asked]
    truths = truth(questions, as_of, MARKET_OF_ALL)
    assert all(one is not None for one in truths)
    return Lessons(FEATURES.rows(questions, as_of, MARKET_OF_ALL), [one for one in truths if one is not None])


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return lessons_of(5)


@pytest.fixture(scope="module")
def fitted(lessons: Lessons) -> Fitted:
    return LEARNER.fit(lessons, 7, lambda _share, _word: None)


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> LiquidityModel:
    loaded = LEARNER.load(Artefact.of(fitted.artefact.to_bytes(), LEARNER.name), 3)
    assert isinstance(loaded, LiquidityModel)
    return loaded


def rows_at(symbol: str, positions: list[int], horizon: Horizon = Horizon.H24) -> Rows:
    at = BARS[0].close_at[positions]
    return FEATURES.rows([LiquidityQuestion(symbol=symbol, horizon=horizon)] * len(at), at, MARKET_OF_ALL)


def test_the_same_lessons_and_seed_give_the_same_bytes_and_another_seed_gives_others(
    lessons: Lessons, fitted: Fitted
) -> None:
    told: list[float] = []
    again = LEARNER.fit(lessons, 7, lambda share, _word: told.append(share))
    assert again.artefact.to_bytes() == fitted.artefact.to_bytes()
    assert again.artefact.sha256 != LEARNER.fit(lessons, 8, lambda _share, _word: None).artefact.sha256
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_model_obeys_every_law(law: Law, model: LiquidityModel) -> None:
    law.check(Case(LIQUIDITY, model, bars_for_laws(np.random.default_rng(2), Timeframe.H1, 2_400)))


def test_a_model_keeps_its_version_and_its_quantiles_rise(model: LiquidityModel) -> None:
    assert model.version == 3
    for horizon in Horizon:
        for outcome in model.predict(rows_at("COIN1", list(range(5_500, 5_900, 41)), horizon)):
            assert isinstance(outcome, Given)
            answer = outcome.answer
            assert answer.hours == horizon.bars
            assert answer.q05 <= answer.q10 <= answer.q25 <= answer.q50 <= answer.q75 <= answer.q90 <= answer.q95
            assert answer.q05 < answer.qv == answer.q50 < answer.q95
            assert 0.0 < answer.p_low < 1.0


def test_effects_sum_to_the_log_of_the_forecast(model: LiquidityModel) -> None:
    rows = rows_at("COIN0", [5_500, 5_600, 5_700])
    for outcome, terms in zip(model.predict(rows), model.explain(rows), strict=True):
        assert isinstance(outcome, Given)
        assert math.fsum(term.effect or 0.0 for term in terms) == pytest.approx(math.log(outcome.answer.qv), abs=1e-9)
        assert {*GROUPS, "clock", "together", "level", "season"} <= {term.name for term in terms}


def test_it_still_answers_where_the_panel_is_unknown(model: LiquidityModel) -> None:
    rows = rows_at("COIN0", [5_500])
    values = rows.values.copy()
    values[:, [ROW_NAMES.index(name) for name in MARKET]] = np.nan
    (outcome,) = model.predict(replace(rows, values=values))
    assert isinstance(outcome, Given)
    assert outcome.answer != next(one.answer for one in model.predict(rows) if isinstance(one, Given))


def test_a_book_is_told_as_the_rules_tell_it_and_changes_no_forecast(model: LiquidityModel) -> None:
    without, at = rows_at("COIN0", [5_500]), int(BARS[0].close_at[5_500])
    question = LiquidityQuestion(symbol="COIN0", order_quote=1_500.0, cost_bps=2.0)
    fed = StillMarket.of(*BARS, observed=[books("COIN0", (at - 1_000, levels()))])
    rows = FEATURES.rows([question], np.array([at]), fed)
    (told,), (ruled,), (before,) = model.predict(rows), LIQUIDITY.rules.predict(rows), model.predict(without)
    assert isinstance(told, Given)
    assert isinstance(ruled, Given)
    assert isinstance(before, Given)
    assert (told.answer.qv, told.answer.p_low) == (before.answer.qv, before.answer.p_low)
    assert told.answer.immediate_cost_bps == ruled.answer.immediate_cost_bps == pytest.approx(4.0 / 3.0, rel=1e-3)
    assert told.answer.immediate_max_quote == ruled.answer.immediate_max_quote
    assert before.answer.book_at is None
    assert told.reasons[-1] == ruled.reasons[-1]
    assert told.reasons[-1].startswith("book of ")
    assert model.explain(rows)[0][-1].name == "book"
    assert not set(model.ranges) & set(IMMEDIATE)


def test_it_abstains_on_what_the_rules_would_refuse_and_on_infinities(model: LiquidityModel) -> None:
    rows = rows_at("COIN0", [5_500])
    for name, value, why in (
        ("missing", 1.0, Why.GAP_IN_DATA),
        ("weekend", 0.0, Why.NOT_MEASURED),
        ("range_6", math.inf, Why.MISSING_FEATURE),
        ("hour", math.nan, Why.MISSING_FEATURE),
        ("log_level", 1_000.0, Why.OUT_OF_RANGE),
    ):
        values = rows.values.copy()
        values[:, ROW_NAMES.index(name)] = value
        (outcome,) = model.predict(replace(rows, values=values))
        assert isinstance(outcome, CannotAnswer)
        assert outcome.why is why


def test_what_it_learns_of_a_rhythm_that_the_rules_do_not_know_beats_them(fitted: Fitted) -> None:
    for losses in fitted.report["held_out"].values():
        assert losses["model"] < 0.95 * losses["rules"]


def test_a_horizon_without_lessons_makes_no_model(lessons: Lessons) -> None:
    six = [i for i, question in enumerate(lessons.rows.questions) if getattr(question, "horizon", None) is Horizon.H6]
    alone = Lessons(lessons.rows.pick(six), [lessons.truths[i] for i in six])
    with pytest.raises(TooFewLessons, match="0 symbols and instants"):
        LEARNER.fit(alone, 7, lambda _share, _word: None)


def test_too_few_lessons_are_refused_with_their_numbers(lessons: Lessons) -> None:
    few = Lessons(lessons.rows.pick(range(300)), lessons.truths[:300])
    with pytest.raises(TooFewLessons, match="100 symbols and instants over 10 days"):
        LEARNER.fit(few, 7, lambda _share, _word: None)


def test_artefacts_of_others_or_with_missing_parts_are_refused(fitted: Fitted) -> None:
    whole = fitted.artefact

    def spoilt(**changes: Any) -> Artefact:
        return Artefact(whole.learner, whole.onnx, dict(whole.numbers) | changes)

    for artefact in (
        Artefact("volatility/ensemble@1", whole.onnx, whole.numbers),
        Artefact(whole.learner, {}, whole.numbers),
        Artefact(whole.learner, dict.fromkeys(whole.onnx, b"no model"), whole.numbers),
        spoilt(columns=["now"]),
        spoilt(mean=whole.numbers["mean"][:-1]),
        spoilt(deviation=[0.0] * len(whole.numbers["mean"])),
        spoilt(shifts=[["much"]]),
        spoilt(odds=[math.nan, 1.0]),
        spoilt(members=0),
        spoilt(ranges={"nothing": [0.0, 1.0]}),
    ):
        with pytest.raises(BadArtefact):
            LEARNER.load(artefact, 1)
