"""What the volatility capability promises: questions, answers, refusals, truths and losses."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.capability import CannotAnswer, Given, Rows, Why
from ml.timeline import StillMarket
from ml.volatility import VOLATILITY, Horizon, VolatilityAnswer, VolatilityQuestion
from ml.volatility.answer import compared, ordinal, say
from ml.volatility.constants import BANDS, RULES, TERMS
from ml.volatility.forecast import percentile
from ml.volatility.kernel import NAMES
from ml.volatility.ranges import RANGES
from ml.volatility.reference import SHARES
from ml.volatility.releases import DUE, HOURS_TO, RELEASED, ROW_OF_RULES
from ml.volatility.truth import certain, loss, truth

MONDAY = 1_600_041_600_000


def market(n: int = 3_000, sigma: float = 0.004, step_ms: int = HOUR_MS, symbol: str = "TEST", seed: int = 1) -> Bars:
    """A random walk of constant volatility: 20 steps within each bar, so that ranges are as they should be."""
    random = np.random.default_rng(seed)
    path = np.cumsum(sigma / math.sqrt(20.0) * random.standard_normal((n, 20)).ravel()).reshape(n, 20)
    before = np.concatenate([[0.0], path[:-1, -1]])
    prices = np.exp(np.column_stack([before, path]))
    open_at = MONDAY + np.arange(n, dtype=np.int64) * step_ms
    timeframe = Timeframe.H1 if step_ms == HOUR_MS else Timeframe.D1
    return Bars(
        symbol,
        timeframe,
        open_at,
        100.0 * prices[:, 0],
        100.0 * prices.max(axis=1),
        100.0 * prices.min(axis=1),
        100.0 * prices[:, -1],
        np.full(n, 5.0),
    )


def without(bars: Bars, drop: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Bars:
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.open_at[~drop],
        bars.open[~drop],
        bars.high[~drop],
        bars.low[~drop],
        bars.close[~drop],
        bars.volume[~drop],
    )


def rows_of(bars: Bars, horizon: Horizon = Horizon.H24, at: int = -1) -> Rows:
    question = VolatilityQuestion(symbol=bars.symbol, horizon=horizon)
    return VOLATILITY.features.rows([question], bars.close_at[[at]], StillMarket.of(bars))


def answer_of(bars: Bars, horizon: Horizon = Horizon.H24) -> VolatilityAnswer:
    outcome = VOLATILITY.rules.predict(rows_of(bars, horizon))[0]
    assert isinstance(outcome, Given), outcome
    return outcome.answer


def refused(bars: Bars, horizon: Horizon = Horizon.H24) -> CannotAnswer:
    rows = rows_of(bars, horizon)
    why = rows.cannot[0]
    assert why is not None
    assert isinstance(VOLATILITY.rules.predict(rows)[0], CannotAnswer)
    return why


def test_the_timeframe_follows_from_the_horizon_and_the_default_is_24_hours() -> None:
    assert VolatilityQuestion(symbol="A").horizon is Horizon.H24
    assert VolatilityQuestion(symbol="A").timeframe is Timeframe.H1
    assert VolatilityQuestion.model_validate({"symbol": "A", "horizon": "5d"}).timeframe is Timeframe.D1
    assert VolatilityQuestion(symbol="A", timeframe=Timeframe.D1).horizon is Horizon.D1
    assert VolatilityQuestion(symbol="A", timeframe=Timeframe.M5).timeframe is Timeframe.M5


@pytest.mark.parametrize(("timeframe", "horizon"), [("1h", "5d"), ("1d", "24h")])
def test_a_horizon_that_does_not_fit_its_bars_is_refused_with_what_would_be_accepted(
    timeframe: str, horizon: str
) -> None:
    accepted = "6h, 12h, 24h, 48h" if timeframe == "1h" else "1d, 5d"
    with pytest.raises(ValidationError, match=re.escape(f"does not fit {timeframe} bars: ask for {accepted}")):
        VolatilityQuestion.model_validate({"symbol": "A", "timeframe": timeframe, "horizon": horizon})
    with pytest.raises(ValidationError, match="horizon"):
        VolatilityQuestion.model_validate({"symbol": "A", "horizon": "7h"})


def test_the_capability_says_what_it_is_asked_and_how_long_an_answer_holds() -> None:
    hourly = VolatilityQuestion(symbol="A", horizon=Horizon.H48)
    daily = VolatilityQuestion(symbol="A", horizon=Horizon.D5)
    assert [VOLATILITY.horizon_ms(one) for one in (hourly, daily)] == [48 * HOUR_MS, 5 * DAY_MS]
    assert [VOLATILITY.valid_ms(one) for one in (hourly, daily)] == [HOUR_MS, DAY_MS]
    assert [one.horizon for one in VOLATILITY.replayed("A", Timeframe.H1)] == ["6h", "12h", "24h", "48h"]
    assert [one.horizon for one in VOLATILITY.replayed("A", Timeframe.D1)] == ["1d", "5d"]
    assert VOLATILITY.replayed("A", Timeframe.M5) == ()
    assert len(VOLATILITY.description) <= 1_024


@pytest.mark.parametrize("sigma", [0.001, 0.004, 0.02])
@pytest.mark.parametrize("horizon", list(Horizon))
def test_a_planted_volatility_is_recovered_within_the_band(sigma: float, horizon: Horizon) -> None:
    step_ms = HOUR_MS if horizon.timeframe is Timeframe.H1 else DAY_MS
    bars = market(2_400, sigma, step_ms)
    answer = answer_of(bars, horizon)
    planted = 100.0 * sigma * math.sqrt(horizon.bars)
    assert answer.volatility_pct == pytest.approx(planted, rel=0.45)  # the constants expect crypto's bursts, not calm
    assert answer.q05 < horizon.bars * sigma * sigma < answer.q95


def test_twice_the_planted_volatility_is_twice_the_forecast() -> None:
    calm, wild = answer_of(market(sigma=0.004)), answer_of(market(sigma=0.008))
    assert wild.volatility_pct / calm.volatility_pct == pytest.approx(2.0, rel=1e-3)
    assert wild.percentile_90d == pytest.approx(calm.percentile_90d, abs=1.0)


def test_a_burst_in_the_last_hours_raises_the_forecast_and_its_percentile() -> None:
    bars = market()
    burst = market(seed=2, sigma=0.016)
    shift = bars.close[-13] / burst.open[-12]
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[-12:] = getattr(burst, name)[-12:] * shift
    before = VOLATILITY.rules.predict(rows_of(bars, at=-13))[0]
    assert isinstance(before, Given)
    after = answer_of(bars)
    assert after.var > 2.0 * before.answer.var
    assert after.percentile_90d > before.answer.percentile_90d


@given(
    st.lists(st.floats(-3.0, 3.0), min_size=len(NAMES), max_size=len(NAMES)),
    st.sampled_from(list(Horizon)),
    st.lists(st.floats(0.0, 900.0), min_size=len(HOURS_TO), max_size=len(HOURS_TO)),
)
def test_quantiles_are_ordered_and_every_number_is_finite(
    values: list[float], horizon: Horizon, hours_to: list[float]
) -> None:
    row = dict(zip(NAMES, values, strict=True))
    row |= {"log_level": -11.0 + row["log_level"], "missing": 0.0, "flat": 0.0, "density": 1.0}
    row |= {"trades_weekends": float(row["trades_weekends"] > 0.0)}
    quantiles = sorted(row[name] for name in NAMES if name.startswith("rv90"))
    row |= dict(zip([name for name in NAMES if name.startswith("rv90")], quantiles, strict=True))
    question = VolatilityQuestion(symbol="A", horizon=horizon)
    stamp = np.zeros(1, dtype=np.int64)
    row |= {name: float(hours < horizon.bars) for name, hours in zip(DUE, hours_to, strict=True)}
    row |= dict.fromkeys(RELEASED, 0.0) | dict(zip(HOURS_TO, hours_to, strict=True))
    rows = Rows(ROW_OF_RULES, np.array([list(row.values())]), (question,), stamp, stamp, (None,))
    outcome = VOLATILITY.rules.predict(rows)[0]
    assert isinstance(outcome, Given)
    answer = outcome.answer
    band = [answer.q05, answer.q10, answer.q25, answer.q50, answer.q75, answer.q90, answer.q95]
    assert band == sorted(band)
    numbers = answer.model_dump(exclude={"upcoming_events", "upcoming_event_impact"}).values()
    assert all(map(math.isfinite, numbers))
    assert answer.upcoming_event_impact is None or 0.0 < answer.upcoming_event_impact < 5.0
    assert 0.0 <= answer.percentile_90d <= 100.0
    effects = [term.effect for term in VOLATILITY.rules.explain(rows)[0]]
    assert math.fsum(effect for effect in effects if effect is not None) == pytest.approx(math.log(answer.var))


@given(st.lists(st.floats(-9.0, 9.0), min_size=len(SHARES), max_size=len(SHARES)), st.floats(-10.0, 10.0))
def test_a_percentile_rises_with_the_value_from_0_to_100(quantiles: list[float], value: float) -> None:
    ordered = sorted(quantiles)
    assert percentile(ordered[0] - 1.0, ordered) == 0.0
    assert percentile(ordered[-1] + 1.0, ordered) == 100.0
    assert 0.0 <= percentile(value, ordered) <= percentile(value + 0.5, ordered) <= 100.0


def test_the_explanation_sums_to_the_forecast_and_every_reason_has_a_number() -> None:
    rows = rows_of(market())
    outcome, terms = VOLATILITY.rules.predict(rows)[0], VOLATILITY.rules.explain(rows)[0]
    assert isinstance(outcome, Given)
    assert math.exp(math.fsum(term.effect or 0.0 for term in terms)) == pytest.approx(outcome.answer.var, rel=1e-12)
    sizes = [abs(term.effect or 0.0) for term in terms]
    assert sizes == sorted(sizes, reverse=True)
    assert outcome.reasons == tuple(term.text for term in terms[: len(outcome.reasons)])
    assert all(re.search(r"\d%", reason) for reason in outcome.reasons)
    assert outcome.confidence is None
    assert outcome.confidence_note


def test_the_sentence_reads_as_promised() -> None:
    question = VolatilityQuestion(symbol="A")
    answer = VolatilityAnswer(
        var=9.61e-4,
        volatility_pct=3.1,
        q05=4.0e-4,
        q10=4.84e-4,
        q25=6.0e-4,
        q50=8.0e-4,
        q75=1.2e-3,
        q90=2.116e-3,
        q95=3.0e-3,
        percentile_90d=78.2,
        ratio_to_last=1.14,
        upcoming_events=(),
        upcoming_event_impact=1.0,
    )
    said = "next 24 h volatility 3.1% (80% band 2.2-4.6%), 78th percentile of 90 days, 14% above the last 24 h"
    assert say(question, answer) == said
    soon = answer.model_copy(update={"upcoming_events": ("Fed decision 2026-12-09 19:00Z",)})
    assert say(question, soon) == f"{said}; due: Fed decision 2026-12-09 19:00Z"
    assert compared(0.8) == "20% below"
    assert compared(1.001) == "as volatile as"
    assert compared(3.21) == "3.2 x"
    assert [ordinal(n) for n in (1, 2, 3, 11, 52, 100)] == ["1st", "2nd", "3rd", "11th", "52nd", "100th"]


def test_too_little_history_is_an_abstention_with_its_numbers() -> None:
    why = refused(market(720))
    assert why.why is Why.TOO_LITTLE_HISTORY
    assert "720" in why.text
    assert "721" in why.text


def test_a_missing_hour_in_a_market_without_closing_hours_is_a_gap_until_a_day_has_passed() -> None:
    bars = market()
    drop = np.zeros(len(bars), dtype=bool)
    drop[-10] = True
    why = refused(without(bars, drop))
    assert why.why is Why.GAP_IN_DATA
    assert why.text.startswith("1 1h bars")
    drop[-10], drop[-60] = False, True
    assert answer_of(without(bars, drop)).var > 0.0


def test_a_market_that_closes_for_weekends_is_answered_across_them_but_not_across_a_lost_week() -> None:
    bars = market(29 * 168 + 60)  # ends on a Wednesday
    hour = (bars.open_at // HOUR_MS + 72) % 168
    closed = (hour >= 4 * 24 + 22) & (hour < 6 * 24 + 21)
    assert answer_of(without(bars, closed)).var > 0.0
    lost = closed | ((np.arange(len(bars)) >= len(bars) - 180) & (np.arange(len(bars)) < len(bars) - 10))
    assert refused(without(bars, lost)).why is Why.GAP_IN_DATA


def test_a_stock_exchange_by_the_hour_was_not_measured() -> None:
    bars = market(6_000)
    hour = (bars.open_at // HOUR_MS + 72) % 168
    session = (hour < 120) & (hour % 24 >= 14) & (hour % 24 < 21)
    assert refused(without(bars, ~session)).why is Why.NOT_MEASURED


def test_frozen_prices_are_refused_at_once_and_a_dead_market_for_good() -> None:
    bars = market()
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[-13:] = bars.close[-14]
    why = refused(bars)
    assert why.why is Why.OUT_OF_RANGE
    assert "13 of the newest 24" in why.text
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[:] = 7.0
    assert refused(bars).why is Why.MISSING_FEATURE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -5.0])
@pytest.mark.parametrize("column", ["high", "low", "close"])
def test_an_impossible_price_in_the_level_window_is_an_abstention(bad: float, column: str) -> None:
    bars = market()
    getattr(bars, column)[-300] = bad
    assert refused(bars).why is Why.MISSING_FEATURE


def test_other_timeframes_abstain() -> None:
    question = VolatilityQuestion(symbol="A", timeframe=Timeframe.M5)
    rows = VOLATILITY.features.rows([question], np.array([MONDAY]), StillMarket.of(market()))
    assert rows.cannot[0] is not None
    assert rows.cannot[0].why is Why.NOT_MEASURED


def test_the_loss_is_least_at_the_truth_and_finite_where_nothing_moved() -> None:
    assert loss(certain(2.5e-4), 2.5e-4) == pytest.approx(0.0, abs=1e-12)
    assert loss(certain(2.6e-4), 2.5e-4) > 0.0
    assert loss(certain(2.4e-4), 2.5e-4) > loss(certain(2.6e-4), 2.5e-4)  # too low costs more than too high
    assert math.isfinite(loss(certain(2.5e-4), 0.0))
    outcomes = np.random.default_rng(0).gamma(0.8, 1e-4, 4_000)
    mean = float(outcomes.mean())

    def risk(forecast: float) -> float:
        return float(np.mean([loss(certain(forecast), value) for value in outcomes.tolist()]))

    assert risk(mean) < min(risk(0.95 * mean), risk(1.05 * mean))


def test_truths_equal_a_plain_loop_and_are_unknown_until_the_window_has_closed() -> None:
    bars = market(400)
    for horizon in (Horizon.H6, Horizon.H48):
        question = VolatilityQuestion(symbol="TEST", horizon=horizon)
        got = truth([question] * len(bars), bars.close_at, StillMarket.of(bars))
        for i in range(len(bars)):
            if i + horizon.bars >= len(bars):
                assert got[i] is None
                continue
            window = range(i + 1, i + horizon.bars + 1)
            plain = sum(math.log(bars.close[k] / bars.close[k - 1]) ** 2 for k in window)
            assert got[i] == pytest.approx(plain, rel=1e-9)


def test_a_truth_across_a_missing_hour_is_unknown_where_nothing_closes_and_taken_as_it_is_elsewhere() -> None:
    bars = market(2_000)
    question = VolatilityQuestion(symbol="TEST", horizon=Horizon.H6)
    drop = np.zeros(len(bars), dtype=bool)
    drop[1_500] = True
    at = bars.close_at[[1_494, 1_493, 1_500]]
    assert [one is None for one in truth([question] * 3, at, StillMarket.of(without(bars, drop)))] == [
        True,
        False,
        True,
    ]
    weekend = (bars.open_at // HOUR_MS + 72) % 168 >= 120
    friday = int(np.flatnonzero(weekend)[0]) - 1
    after_friday = truth([question], bars.close_at[[friday]], StillMarket.of(without(bars, weekend)))
    assert after_friday[0] is not None


def test_a_hundred_thousand_truths_come_at_once_and_a_bad_close_makes_only_its_windows_unknown() -> None:
    bars = market(3_000)
    bars.close[2_000] = math.nan
    question = VolatilityQuestion(symbol="TEST", horizon=Horizon.H24)
    at = np.repeat(bars.close_at, 34)
    got = truth([question] * len(at), at, StillMarket.of(bars))
    assert len(got) > 100_000
    unknown = {i // 34 for i, value in enumerate(got) if value is None}
    assert unknown == {*range(1_976, 2_001), *range(2_976, 3_000)}


def test_the_constants_are_whole_and_each_term_has_a_range() -> None:
    for rule in RULES.values():
        assert len(rule.weights) == len(TERMS)
        assert len(rule.bands) == len(BANDS)
        assert list(rule.bands) == sorted(rule.bands)
        assert rule.bands[3] < 1.0 < rule.bands[5]
    assert set(RANGES) == {"log_level", *TERMS}
    assert len(RULES) == 2 * len(Horizon)
