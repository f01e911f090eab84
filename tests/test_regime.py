"""The regime capability as its callers meet it: labels, refusals, words, loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import ValidationError

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.capability import CannotAnswer, Given, Rows, Why
from ml.regime import REGIME, RegimeAnswer, RegimeQuestion
from ml.regime.answer import probabilities
from ml.regime.formula import LABELS, Label
from ml.regime.rules import RANGES
from ml.regime.state import NAMES, WARMUP
from ml.regime.table import USUAL_ROUND_THE_CLOCK
from ml.timeline import StillMarket

QUESTION = RegimeQuestion(symbol="BTCUSDT")
START_MS = int(datetime(2023, 1, 2, tzinfo=UTC).timestamp()) * 1_000


def hourly(close: Floats, open_at: Instants | None = None) -> Bars:
    at = START_MS + HOUR_MS * np.arange(len(close)) if open_at is None else open_at
    return Bars("BTCUSDT", Timeframe.H1, at, close, close, close, close, np.zeros(len(close)))


def walk(n: int, sigma: float = 0.01, seed: int = 7) -> Floats:
    """Returns of a market without regimes, but with volatility that varies as markets do."""
    rng = np.random.default_rng(seed)
    level = np.exp(0.3 * np.sin(np.arange(n) / 60.0))
    return sigma * level * rng.standard_normal(n)


def price(returns: Floats) -> Floats:
    path: Floats = 100.0 * np.exp(np.cumsum(returns))
    return path


def ask(bars: Bars, as_of: Sequence[int] | None = None) -> list[Given[RegimeAnswer] | CannotAnswer]:
    at = np.asarray([bars.close_at[-1]] if as_of is None else as_of, dtype=np.int64)
    return outcomes(rows_of(bars, at))


def rows_of(bars: Bars, at: Instants) -> Rows:
    return REGIME.features.rows([QUESTION] * len(at), at, StillMarket.of(bars))


def outcomes(rows: Rows) -> list[Given[RegimeAnswer] | CannotAnswer]:
    """As the road does it: nobody is asked where the features already refused."""
    asked = [i for i, cannot in enumerate(rows.cannot) if cannot is None]
    found = dict(zip(asked, REGIME.rules.predict(rows.pick(asked)), strict=True))
    return [cannot if cannot is not None else found[i] for i, cannot in enumerate(rows.cannot)]


def answer_of(outcome: Given[RegimeAnswer] | CannotAnswer) -> RegimeAnswer:
    assert isinstance(outcome, Given), outcome
    return outcome.answer


def refusal_of(outcome: Given[RegimeAnswer] | CannotAnswer) -> CannotAnswer:
    assert isinstance(outcome, CannotAnswer), outcome
    return outcome


@pytest.mark.parametrize(
    ("label", "last"),
    [
        ("trend_up", np.full(24, 0.008)),
        ("trend_down", np.full(24, -0.008)),
        ("high_volatility", np.tile([0.05, -0.05], 12)),
        ("consolidation", np.tile([0.0005, -0.0005], 12)),
        ("range_bound", np.tile([0.01, -0.01], 12)),
    ],
)
def test_a_planted_stretch_gets_its_label(label: str, last: Floats) -> None:
    returns = np.concatenate([walk(WARMUP), last])
    given = ask(hourly(price(returns)))[0]
    assert isinstance(given, Given)
    assert given.answer.label == label
    assert given.confidence == given.answer.confidence == getattr(given.answer, f"p_{label}")
    assert given.confidence_note == ""


def test_the_label_is_counted_bar_by_bar_and_only_up_to_168() -> None:
    quiet = np.concatenate([walk(WARMUP), np.tile([0.0002, -0.0002], 150)])
    bars = hourly(price(quiet))
    counted = [answer_of(one).bars_in_label for one in ask(bars, bars.close_at[-301:].tolist())]
    steps = np.diff(counted)
    assert counted[-1] == 168
    assert set(steps[steps < 0] + np.asarray(counted[:-1])[steps < 0]) <= {1}
    assert set(steps[steps >= 0]) <= {0, 1}
    assert "same label for 168 h or more" in REGIME.say(QUESTION, answer_of(ask(bars)[0]))


def test_one_line_says_label_rival_run_and_volatility() -> None:
    answer = RegimeAnswer(
        label=Label.RANGE_BOUND,
        p_trend_up=0.05,
        p_trend_down=0.04,
        p_range_bound=0.62,
        p_high_volatility=0.05,
        p_consolidation=0.24,
        confidence=0.62,
        bars_in_label=9,
        volatility_ratio=0.8,
    )
    said = REGIME.say(QUESTION, answer)
    assert said == "range_bound 62%, consolidation 24%; same label for 9 h; 24 h volatility runs 0.8 x normal"
    daily = REGIME.say(RegimeQuestion(symbol="SPX", timeframe=Timeframe.D1), answer)
    assert daily.endswith("same label for 9 d; 24 d volatility runs 0.8 x normal")


def test_a_likelier_rival_of_the_label_is_named_as_such() -> None:
    trend = np.concatenate([walk(WARMUP), walk(24, seed=3) * 0.7 + 0.0037])
    given = ask(hourly(price(trend)))[0]
    answer = answer_of(given)
    assert answer.label == "trend_up"
    assert answer.p_range_bound > answer.confidence
    assert "though more likely range_bound" in REGIME.say(QUESTION, answer)
    assert isinstance(given, Given)
    assert given.reasons[-1] == "a trend label describes the last bars; it does not predict direction"


def test_the_terms_name_the_deciding_number_first_and_agree_with_the_row() -> None:
    rows = rows_of(bars := hourly(price(walk(WARMUP + 200))), bars.close_at[-200:])
    for i, (given, terms) in enumerate(zip(outcomes(rows), REGIME.rules.explain(rows), strict=True)):
        answer = answer_of(given)
        decided_by_volatility = answer.label in ("high_volatility", "consolidation")
        assert terms[0].name == ("v" if decided_by_volatility else "z")
        by_name = {term.name: term for term in terms}
        assert by_name["z"].value == rows.column("z")[i]
        assert by_name["v"].value == rows.column("v")[i]
        effect = by_name["cell"].effect
        assert effect is not None
        usual = USUAL_ROUND_THE_CLOCK[LABELS.index(answer.label)] / 1_000
        assert usual * math.exp(effect) == pytest.approx(answer.confidence)
        assert by_name["cell"].value == answer.confidence


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -5.0, 1e-320, 1e308])
def test_a_bad_price_refuses_for_a_day_and_never_raises(bad: float) -> None:
    close = price(walk(WARMUP + 60))
    close[-40] = bad
    answered = [isinstance(one, Given) for one in ask(hourly(close), hourly(close).close_at[-60:].tolist())]
    if not (math.isfinite(bad) and bad > 0.0):
        assert answered == [True] * 20 + [False] * 25 + [True] * 15
    assert answered[0]
    assert answered[-1]


def test_prices_that_do_not_move_have_no_regime() -> None:
    still = refusal_of(ask(hourly(np.full(WARMUP, 42.0)))[0])
    assert still.why is Why.MISSING_FEATURE
    assert still.text == "no price change in the last 24 bars: there is no regime to tell"
    frozen = price(np.concatenate([walk(WARMUP), np.zeros(24)]))
    assert refusal_of(ask(hourly(frozen))[0]) == still


def test_too_little_history_is_refused_with_its_number() -> None:
    short = refusal_of(ask(hourly(price(walk(WARMUP - 1))))[0])
    assert short == CannotAnswer(Why.TOO_LITTLE_HISTORY, "1630 1h bars are known, 1631 are needed")


def test_up_to_three_missing_hours_are_borne_in_a_market_that_never_closes() -> None:
    close = price(walk(WARMUP + 10))
    for missing, answered in ((1, True), (3, True), (4, False), (30, False)):
        at = START_MS + HOUR_MS * np.arange(len(close))
        at[-10:] += missing * HOUR_MS
        outcome = ask(hourly(close, at))[0]
        assert isinstance(outcome, Given) is answered
        if not answered:
            assert refusal_of(outcome).why is Why.GAP_IN_DATA
            assert refusal_of(outcome).text.startswith(f"{missing} bars are missing")


def test_a_weekend_is_no_gap_and_has_its_own_table() -> None:
    close = price(walk(WARMUP + 120))
    hours = np.arange(len(close))
    week = START_MS + HOUR_MS * (hours + 48 * (hours // 120))
    crypto, fx = (answer_of(ask(hourly(close, at))[0]) for at in (START_MS + HOUR_MS * hours, week))
    assert crypto.label == fx.label
    assert probabilities(crypto) != probabilities(fx)
    monday = int(np.flatnonzero(np.diff(week) > HOUR_MS)[-1]) + 1
    assert isinstance(ask(hourly(close[: monday + 1], week[: monday + 1]))[0], Given)


def test_a_missing_feature_refuses_that_row_alone() -> None:
    rows = rows_of(bars := hourly(price(walk(WARMUP + 2))), bars.close_at[-3:])
    values = rows.values.copy()
    values[1, NAMES.index("v")] = math.nan
    spoilt = Rows(rows.names, values, rows.questions, rows.as_of, rows.data_through, rows.cannot)
    before, after = outcomes(rows), outcomes(spoilt)
    assert [before[0], before[2]] == [after[0], after[2]]
    assert refusal_of(after[1]).why is Why.MISSING_FEATURE
    assert REGIME.rules.explain(spoilt)[1] == ()


def test_rows_lie_within_the_ranges_that_the_rules_declare() -> None:
    rows = rows_of(bars := hourly(price(walk(WARMUP + 500))), bars.close_at[-500:])
    assert set(RANGES) <= set(rows.names)
    for name, (low, high) in RANGES.items():
        column = rows.column(name)
        assert ((column >= low) & (column <= high)).all(), name


def test_the_loss_is_the_log_of_what_came_true_and_has_a_floor() -> None:
    answer = answer_of(ask(hourly(price(walk(WARMUP))))[0])
    assert REGIME.loss(answer, "range_bound") == pytest.approx(-math.log(answer.p_range_bound))
    impossible = answer.model_copy(update={"p_trend_up": 0.0})
    assert REGIME.loss(impossible, "trend_up") == pytest.approx(-math.log(1e-6))
    with pytest.raises(ValueError, match="sideways"):
        REGIME.loss(answer, "sideways")


def test_times_and_questions_follow_the_bars() -> None:
    assert REGIME.horizon_ms(QUESTION) == 12 * HOUR_MS
    assert REGIME.valid_ms(QUESTION) == HOUR_MS
    assert REGIME.replayed("SPX", Timeframe.D1) == (RegimeQuestion(symbol="SPX", timeframe=Timeframe.D1),)
    assert len(REGIME.description) <= 1_024
    assert {example.timeframe for example in REGIME.examples} == REGIME.timeframes
    with pytest.raises(ValidationError):
        RegimeQuestion.model_validate({"symbol": "BTCUSDT", "horizon": "6h"})


@pytest.mark.parametrize("label", LABELS)
def test_who_knew_the_truth_has_no_loss(label: Label) -> None:
    knew = REGIME.certain(label.value)
    assert REGIME.loss(knew, label.value) == 0.0
    assert knew.label == label
    assert sum(probabilities(knew)) == 1.0
