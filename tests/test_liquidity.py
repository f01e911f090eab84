"""What the liquidity capability promises: questions, answers, refusals, truths and losses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.bars import HOUR_MS, Bars, Timeframe
from ml.capability import CannotAnswer, Given, Why
from ml.liquidity import LIQUIDITY, Horizon, LiquidityAnswer, LiquidityQuestion
from ml.liquidity.answer import amount, compared, say
from ml.liquidity.constants import BANDS, RULES
from ml.liquidity.order_size import LARGEST_SHARE, Bears
from ml.liquidity.truth import certain, loss, truth
from ml.timeline import StillMarket
from tests.liquidity_market import MONDAY, market, with_volume, without


def asked_of(bars: Bars, question: LiquidityQuestion) -> Given[LiquidityAnswer] | CannotAnswer:
    rows = LIQUIDITY.features.rows([question], bars.close_at[-1:], StillMarket.of(bars))
    return rows.cannot[0] or LIQUIDITY.rules.predict(rows)[0]


def answer_of(bars: Bars, horizon: Horizon = Horizon.H24, **fields: float) -> LiquidityAnswer:
    outcome = asked_of(bars, LiquidityQuestion(symbol=bars.symbol, horizon=horizon, **fields))  # type: ignore[arg-type]  # fields of the question
    assert isinstance(outcome, Given), outcome
    return outcome.answer


def refused(bars: Bars) -> CannotAnswer:
    outcome = asked_of(bars, LiquidityQuestion(symbol=bars.symbol))
    assert isinstance(outcome, CannotAnswer), outcome
    return outcome


@pytest.mark.parametrize("horizon", list(Horizon))
def test_a_steady_market_is_forecast_to_go_on_as_its_season_has_it(horizon: Horizon) -> None:
    bars = market(1_524, noise=0.01)
    answer = answer_of(bars.between(0, 1_500), horizon)
    came = float((bars.volume * bars.close)[1_500 : 1_500 + horizon.bars].sum())
    assert answer.qv == pytest.approx(RULES[horizon].factor * came, rel=0.03)
    assert answer.usual == pytest.approx(horizon.bars * 100_000.0, rel=0.03)
    assert answer.ratio_to_usual == pytest.approx(answer.qv / answer.usual)
    assert answer.q50 == answer.qv
    bands = [getattr(answer, f"q{round(100 * share):02d}") for share in BANDS]
    assert bands == sorted(bands)


def test_the_chance_of_a_thin_market_rises_as_volume_falls() -> None:
    bars = market()
    faded = bars.volume.copy()
    faded[-12:] *= 0.4
    steady, thin = answer_of(bars, Horizon.H6), answer_of(with_volume(bars, faded), Horizon.H6)
    assert steady.p_low < 0.5 < thin.p_low
    assert thin.qv < steady.qv
    assert answer_of(bars, Horizon.H24).p_low == steady.p_low


def test_volume_in_another_unit_changes_amounts_alone() -> None:
    bars = market()
    one, other = answer_of(bars), answer_of(with_volume(bars, bars.volume * 1e-7))
    for name, value in one.model_dump().items():
        expected = value * 1e-7 if name in LIQUIDITY.money and value is not None else value
        assert other.model_dump()[name] == (pytest.approx(expected) if isinstance(value, float) else expected)


def test_a_larger_cost_allows_a_larger_order_up_to_a_twentieth_of_the_volume() -> None:
    bars = market()
    cheap, dear = answer_of(bars, cost_bps=5.0), answer_of(bars, cost_bps=10.0)
    assert dear.max_order_quote == pytest.approx(4.0 * cheap.max_order_quote)
    assert dear.max_order_low < dear.max_order_quote < dear.max_order_high
    assert answer_of(bars, cost_bps=1_000.0).max_order_quote == pytest.approx(LARGEST_SHARE * dear.qv)
    assert answer_of(bars, cost_bps=2.2e-311).max_order_quote == 0.0, "next to no cost bears no order"


def test_an_order_of_the_largest_size_costs_what_was_asked() -> None:
    bars = market()
    first = answer_of(bars, cost_bps=8.0)
    assert first.order_cost_bps is None
    again = answer_of(bars, cost_bps=8.0, order_quote=first.max_order_quote)
    assert again.order_cost_bps == pytest.approx(8.0)


@given(st.floats(1e-3, 1e15), st.floats(1e-6, 1.0), st.floats(0.01, 1_000.0))
def test_the_square_root_law_and_its_inverse_agree_below_the_cap(volume: float, sigma: float, cost_bps: float) -> None:
    window = Bears(volume, sigma)
    largest = window.largest(cost_bps)
    assert 0.0 < largest <= LARGEST_SHARE * volume * (1.0 + 1e-12)
    assert window.cost_bps(largest) <= cost_bps * (1.0 + 1e-9)
    if largest < LARGEST_SHARE * volume:
        assert window.cost_bps(largest) == pytest.approx(cost_bps, rel=1e-9)


def test_a_gap_in_the_newest_day_is_refused() -> None:
    bars = market()
    drop = np.zeros(len(bars), dtype=bool)
    drop[-5] = True
    assert refused(without(bars, drop)).why is Why.GAP_IN_DATA


def test_a_market_that_closes_for_weekends_is_not_answered_on() -> None:
    bars = market(2_400)
    weekday = (bars.open_at // (24 * HOUR_MS) + 3) % 7
    closed = refused(without(bars, weekday >= 5))
    assert closed.why is Why.NOT_MEASURED
    assert "14% in a market that never closes" in closed.text


def test_silence_missing_volume_and_too_few_bars_are_refused() -> None:
    bars = market()
    silent, unknown = bars.volume.copy(), bars.volume.copy()
    silent[-20:] = 0.0
    unknown[-100] = np.nan
    assert refused(with_volume(bars, silent)).why is Why.OUT_OF_RANGE
    assert refused(with_volume(bars, unknown)).why is Why.MISSING_FEATURE
    assert refused(with_volume(bars, np.zeros(len(bars)))).why is Why.MISSING_FEATURE
    few = refused(bars.between(0, 725))
    assert few.why is Why.TOO_LITTLE_HISTORY
    assert "726 are needed" in few.text
    assert isinstance(asked_of(bars.between(0, 726), LiquidityQuestion(symbol="TEST")), Given)


def test_other_timeframes_are_abstained_on() -> None:
    outcome = asked_of(market(), LiquidityQuestion(symbol="TEST", timeframe=Timeframe.D1))
    assert isinstance(outcome, CannotAnswer)
    assert outcome.why is Why.NOT_MEASURED


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon": "48h"},
        {"cost_bps": 0.0},
        {"cost_bps": 1_001.0},
        {"cost_bps": math.nan},
        {"order_quote": -1.0},
        {"order_quote": math.inf},
        {"size": 3},
    ],
)
def test_questions_outside_what_is_accepted_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LiquidityQuestion.model_validate({"symbol": "TEST", **wrong})


def test_the_truth_is_the_quote_volume_of_the_coming_hours_where_none_is_missing() -> None:
    bars = market(800)
    at = bars.close_at[[700, 790, 799]]
    questions = [LiquidityQuestion(symbol="TEST", horizon=Horizon.H12)] * 3
    expected = float((bars.volume * bars.close)[701:713].sum())
    assert truth(questions, at, StillMarket.of(bars)) == [pytest.approx(expected), None, None]
    drop = np.zeros(len(bars), dtype=bool)
    drop[705] = True
    assert truth(questions[:1], at[:1], StillMarket.of(without(bars, drop))) == [None]
    assert truth([LiquidityQuestion(symbol="NOPE")], at[:1], StillMarket.of(bars)) == [None]


def test_the_loss_adds_the_brier_score_of_the_thin_market_over_six_hours_alone() -> None:
    six, day = answer_of(market(), Horizon.H6), answer_of(market(), Horizon.H24)
    thin, lively = 0.5 * six.thin_below, 2.0 * six.thin_below
    assert loss(six, thin) == pytest.approx(abs(six.qv - thin) / six.usual + (six.p_low - 1.0) ** 2)
    assert loss(six, lively) == pytest.approx(abs(six.qv - lively) / six.usual + six.p_low**2)
    assert loss(day, day.qv * 1.5) == pytest.approx(0.5 * day.ratio_to_usual)
    assert loss(certain(12.5), 12.5) == 0.0
    assert loss(certain(0.0), 0.0) == pytest.approx(0.0)


@given(st.lists(st.floats(0.1, 10.0), min_size=5, max_size=30), st.floats(0.2, 5.0))
def test_the_loss_is_smallest_at_the_median_and_at_the_share_of_thin_markets(
    volumes: list[float], other: float
) -> None:
    base = certain(1.0).model_copy(update={"thin_below": 1.0})

    def mean(qv: float, p_low: float) -> float:
        said = base.model_copy(update={"qv": qv, "p_low": p_low})
        return float(np.mean([loss(said, one) for one in volumes]))

    share = float(np.mean([one < 1.0 for one in volumes]))
    best = mean(float(np.median(volumes)), share)
    assert best <= mean(other, share) + 1e-9
    assert best <= mean(float(np.median(volumes)), min(other / 5.0, 1.0)) + 1e-9


def test_thin_hours_weekends_and_holidays_ahead_are_named() -> None:
    friday = market(1_500, begin=MONDAY - (1_500 - 5 * 24 + 6) * HOUR_MS)  # ends on Friday, 18:00Z
    warned = " | ".join(answer_of(friday).warnings)
    assert "weekend from Sat 00:00Z" in warned
    assert "thin hours Sat" in warned
    assert not answer_of(friday, Horizon.H6).warnings[0].startswith("weekend")
    christmas = 1_608_768_000_000  # 2020-12-24
    before = answer_of(market(1_500, begin=christmas - (1_500 - 12) * HOUR_MS))
    assert any(one.startswith("holiday on 2020-12-25: Christmas") for one in before.warnings)


def test_releases_within_the_horizon_are_named_with_their_time_and_others_are_not() -> None:
    noon = 1_600_257_600_000  # 2020-09-16, 12:00Z: the Fed decided at 18:00Z
    before = market(1_500, begin=noon - 1_499 * HOUR_MS)
    assert answer_of(before, Horizon.H6).warnings[-1] == "Fed decision 2020-09-16 18:00Z is due"
    earlier = market(1_500, begin=noon - 1_500 * HOUR_MS)
    assert not any("Fed" in one for one in answer_of(earlier, Horizon.H6).warnings)
    assert any("Fed" in one for one in answer_of(earlier, Horizon.H12).warnings)


def test_the_sentence_is_complete_on_its_own() -> None:
    question = LiquidityQuestion(symbol="TEST", horizon=Horizon.H6, order_quote=1_000.0)
    answer = answer_of(market(), Horizon.H6, order_quote=1_000.0)
    said = say(question, answer)
    for part in ("next 6 h quote volume", "80% band", "usual", "thin market in 6 h", "for 10 bp", "costs about"):
        assert part in said
    assert answer_of(market(), Horizon.H6).order_cost_bps is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0123, "0.0123"),
        (7.0, "7"),
        (12.34, "12.3"),
        (999.6, "1k"),
        (45.6e6, "45.6M"),
        (9.999e8, "1B"),
        (3.2e12, "3.2T"),
    ],
)
def test_amounts_are_told_in_three_digits(value: float, told: str) -> None:
    assert amount(value) == told


@pytest.mark.parametrize(
    ("ratio", "told"), [(1.0, "as much as"), (1.14, "14% above"), (0.8, "20% below"), (3.21, "3.2 x")]
)
def test_ratios_are_told_in_words(ratio: float, told: str) -> None:
    assert compared(ratio) == told


def test_effects_sum_to_the_log_of_the_forecast() -> None:
    bars = market()
    rows = LIQUIDITY.features.rows([LiquidityQuestion(symbol="TEST")], bars.close_at[-1:], StillMarket.of(bars))
    (outcome,), (terms,) = LIQUIDITY.rules.predict(rows), LIQUIDITY.rules.explain(rows)
    assert isinstance(outcome, Given)
    assert math.fsum(term.effect or 0.0 for term in terms) == pytest.approx(math.log(outcome.answer.qv))
    assert json.dumps([term.text for term in terms])
