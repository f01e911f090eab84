"""What volatility learns: the same bytes from the same lessons, a model that obeys the laws, and honest refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.bars import Bars, Timeframe
from ml.capability import CannotAnswer, Given, Rows, Why
from ml.checks import LAWS, Case, Law, bars_for_laws
from ml.learning import Artefact, BadArtefact, Fitted, Lessons, TooFewLessons
from ml.timeline import StillMarket
from ml.volatility import VOLATILITY, Horizon, VolatilityQuestion
from ml.volatility.features import FEATURES, ROW_NAMES
from ml.volatility.inputs import COLUMNS, GROUPS
from ml.volatility.learner import LEARNER
from ml.volatility.market import MARKET
from ml.volatility.model import VolatilityModel
from ml.volatility.question import horizons_on
from ml.volatility.truth import truth

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")
pytest.importorskip("xgboost")

BARS = tuple(bars_for_laws(np.random.default_rng(k), Timeframe.H1, 6_500, f"COIN{k}") for k in range(2))
MARKET_OF_ALL = StillMarket.of(*BARS)


def lessons_of(bars: tuple[Bars, ...], every: int) -> Lessons:
    """Lessons of all horizons, ordered by `as_of`, of the first 6,000 bars."""
    asked = [
        (at, VolatilityQuestion(symbol=one.symbol, horizon=horizon))
        for one in bars
        for horizon in horizons_on(Timeframe.H1)
        for at in one.close_at[721:6_000:every].tolist()
    ]
    asked.sort(key=lambda pair: pair[0])
    as_of = np.array([at for at, _ in asked], dtype=np.int64)
    questions = [question for _, question in asked]
    truths = truth(questions, as_of, MARKET_OF_ALL)
    assert all(one is not None for one in truths)
    return Lessons(FEATURES.rows(questions, as_of, MARKET_OF_ALL), [one for one in truths if one is not None])


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return lessons_of(BARS, 12)


@pytest.fixture(scope="module")
def fitted(lessons: Lessons) -> Fitted:
    return LEARNER.fit(lessons, 7, lambda _share, _word: None)


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> VolatilityModel:
    content = fitted.artefact.to_bytes()
    loaded = LEARNER.load(Artefact.of(content, LEARNER.name), 3)
    assert isinstance(loaded, VolatilityModel)
    return loaded


def rows_at(symbol: str, positions: list[int], horizon: Horizon = Horizon.H24) -> Rows:
    at = BARS[0].close_at[positions]
    return FEATURES.rows([VolatilityQuestion(symbol=symbol, horizon=horizon)] * len(at), at, MARKET_OF_ALL)


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
def test_a_model_obeys_every_law(law: Law, model: VolatilityModel) -> None:
    law.check(Case(VOLATILITY, model, bars_for_laws(np.random.default_rng(2), Timeframe.H1, 5_200)))


def test_a_model_keeps_its_version_and_answers_within_its_band(model: VolatilityModel) -> None:
    assert model.version == 3
    for outcome in model.predict(rows_at("COIN1", list(range(6_100, 6_400, 7)))):
        assert isinstance(outcome, Given)
        answer = outcome.answer
        assert answer.q05 < answer.q10 < answer.q25 < answer.q50 < answer.q75 < answer.q90 < answer.q95
        assert answer.q10 < answer.var < answer.q95


def test_effects_sum_to_the_log_of_the_forecast(model: VolatilityModel) -> None:
    rows = rows_at("COIN0", [6_100, 6_200, 6_300])
    for outcome, terms in zip(model.predict(rows), model.explain(rows), strict=True):
        assert isinstance(outcome, Given)
        assert math.fsum(term.effect or 0.0 for term in terms) == pytest.approx(math.log(outcome.answer.var), abs=1e-9)
        assert {term.name for term in terms} == {"level", "together", *GROUPS}


def test_with_all_shares_to_version_0_a_model_says_what_the_rules_say(fitted: Fitted) -> None:
    kinds: Any = {
        name: {
            **one,
            "steps": {
                h: {**step, "shares": [0, 0, 0, 1], "shift": 0, "due": [0, 0, 0]} for h, step in one["steps"].items()
            },
        }
        for name, one in fitted.artefact.numbers["kinds"].items()
    }
    model = LEARNER.load(spoilt(fitted.artefact, kinds=kinds), 1)
    for horizon in horizons_on(Timeframe.H1):
        rows = rows_at("COIN1", list(range(6_000, 6_400, 97)), horizon)
        for told, expected in zip(model.predict(rows), VOLATILITY.rules.predict(rows), strict=True):
            assert isinstance(told, Given)
            assert isinstance(expected, Given)
            assert told.answer.var == pytest.approx(expected.answer.var, rel=1e-9)


def test_shares_are_quarters_that_sum_to_one(fitted: Fitted) -> None:
    for shares in fitted.report["always"]["shares"].values():
        assert sum(shares) == 1.0
        assert set(shares) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_it_still_answers_where_the_panel_or_the_volume_is_unknown(model: VolatilityModel) -> None:
    rows = rows_at("COIN0", [6_100])
    for names in (MARKET, [name for name in COLUMNS if name.startswith("volume_")]):
        values = rows.values.copy()
        values[:, [ROW_NAMES.index(name) for name in names]] = np.nan
        (outcome,) = model.predict(replace(rows, values=values))
        assert isinstance(outcome, Given)
        assert outcome != model.predict(rows)[0]
        assert model.explain(replace(rows, values=values))[0]


def test_it_leaves_daily_bars_and_markets_it_was_not_taught_to_the_rules(model: VolatilityModel) -> None:
    rows = rows_at("COIN0", [6_100])
    days = bars_for_laws(np.random.default_rng(5), Timeframe.D1, 600)
    daily = FEATURES.rows(
        [VolatilityQuestion(symbol="LAW", horizon=Horizon.D1)], days.close_at[-1:], StillMarket.of(days)
    )
    assert VOLATILITY.rules.predict(daily)[0].__class__ is Given
    values = rows.values.copy()
    values[:, ROW_NAMES.index("trades_weekends")] = 0.0
    for asked, why in ((daily, Why.MISSING_FEATURE), (replace(rows, values=values), Why.NOT_MEASURED)):
        (outcome,) = model.predict(asked)
        assert isinstance(outcome, CannotAnswer)
        assert outcome.why is why


def test_too_few_lessons_are_refused_with_their_numbers(lessons: Lessons) -> None:
    few = Lessons(lessons.rows.pick(range(100)), lessons.truths[:100])
    with pytest.raises(TooFewLessons, match="100 lessons over"):
        LEARNER.fit(few, 7, lambda _share, _word: None)


def spoilt(artefact: Artefact, **changes: Any) -> Artefact:
    numbers = dict(artefact.numbers) | changes
    return Artefact(artefact.learner, artefact.onnx, numbers)


def test_artefacts_of_others_or_with_missing_parts_are_refused(fitted: Fitted) -> None:
    whole = fitted.artefact
    kinds: Mapping[str, Any] = whole.numbers["kinds"]
    broken = {name: {**one, "mean": one["mean"][:-1]} for name, one in kinds.items()}
    infinite = {name: {**one, "steps": {"6": {**one["steps"]["6"], "centre": "much"}}} for name, one in kinds.items()}
    for artefact in (
        Artefact("regime/trees@1", whole.onnx, whole.numbers),
        Artefact(whole.learner, {}, whole.numbers),
        spoilt(whole, columns=["now"]),
        spoilt(whole, kinds=broken),
        spoilt(whole, kinds=infinite),
        spoilt(whole, ranges={"nothing": [0.0, 1.0]}),
        Artefact(whole.learner, dict.fromkeys(whole.onnx, b"no model"), whole.numbers),
    ):
        with pytest.raises(BadArtefact):
            LEARNER.load(artefact, 1)


def test_what_it_learns_from_a_planted_rhythm_beats_what_it_starts_from(fitted: Fitted) -> None:
    for losses in fitted.report["always"]["held_out_qlike"].values():
        assert losses["all"] <= 1.02 * losses["base"]
        assert losses["trees"] < losses["rules"]
