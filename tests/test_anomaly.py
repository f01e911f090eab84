"""The anomaly capability as its callers meet it: what is abnormal, of which type, how rare, and in whose company."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.anomaly import ANOMALY, AnomalyAnswer, AnomalyQuestion, Kind
from ml.anomaly.answer import NORMAL, answer_of, certain, loss, rate_of
from ml.anomaly.calibrated import CALIBRATED_ANEW, CALIBRATED_TO
from ml.anomaly.truth import AFTER, BEFORE
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.capability import CannotAnswer, Given, Rows, Why
from ml.timeline import StillMarket

QUESTION = AnomalyQuestion(symbol="BTCUSDT")
N = 900


def market(
    n: int = N, *, sigma: float = 0.009, seed: int = 5, symbol: str = "BTCUSDT", tf: Timeframe = Timeframe.H1
) -> Bars:
    """Bars whose moves have a standard deviation of `sigma`, and whose ln volume has one of .5."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(sigma * random.standard_normal(n)))
    open_ = np.concatenate([[100.0], close[:-1]])
    reach = 0.5 * sigma * np.abs(random.standard_normal((2, n)))
    high, low = np.maximum(open_, close) * np.exp(reach[0]), np.minimum(open_, close) * np.exp(-reach[1])
    open_at = 1_672_617_600_000 + tf.milliseconds * np.arange(n)
    return Bars(symbol, tf, open_at, open_, high, low, close, 1_000.0 * np.exp(0.5 * random.standard_normal(n)))


def ended(bars: Bars, *, move: float = 0.002, volume_sd: float = 0.0, wick: float = 0.0) -> Bars:
    """The same, but for the last bar: its log return, its ln volume in standard deviations, its upper wick in logs."""
    last = float(bars.close[-2])
    close = last * math.exp(move)

    def with_last(column: np.ndarray, value: float) -> np.ndarray:
        changed = column.copy()
        changed[-1] = value
        return changed

    return replace(
        bars,
        open=with_last(bars.open, last),
        high=with_last(bars.high, max(last, close) * math.exp(0.003 + wick)),
        low=with_last(bars.low, min(last, close) * math.exp(-0.003)),
        close=with_last(bars.close, close),
        volume=with_last(bars.volume, 1_000.0 * math.exp(0.5 * volume_sd)),
    )


def ask(*bars: Bars, question: AnomalyQuestion = QUESTION) -> Given[AnomalyAnswer] | CannotAnswer:
    rows = rows_of(*bars, question=question)
    cannot = rows.cannot[0]
    return cannot if cannot is not None else ANOMALY.rules.predict(rows)[0]


def rows_of(*bars: Bars, question: AnomalyQuestion = QUESTION) -> Rows:
    return ANOMALY.features.rows([question], bars[0].close_at[-1:], StillMarket.of(*bars))


def answer(*bars: Bars) -> AnomalyAnswer:
    outcome = ask(*bars, question=QUESTION.model_copy(update={"timeframe": bars[0].timeframe}))
    assert isinstance(outcome, Given), outcome
    return outcome.answer


@pytest.mark.parametrize("seed", range(5))
def test_a_small_move_on_usual_volume_is_no_anomaly_and_a_great_one_on_five_sigma_volume_is(seed: int) -> None:
    bars = market(seed=seed)
    normal = answer(ended(bars, move=0.02, volume_sd=0.5))
    assert not normal.is_anomaly
    assert normal.score < 0.5
    assert (normal.type, normal.channel) == (None, None)
    abnormal = answer(ended(bars, move=0.15, volume_sd=5.0))
    assert abnormal.is_anomaly
    assert abnormal.score > 0.8
    assert abnormal.type is Kind.PRICE


@pytest.mark.parametrize("tf", sorted(ANOMALY.timeframes))
def test_each_type_is_named_on_every_timeframe(tf: Timeframe) -> None:
    bars = market(1_200, tf=tf)
    assert answer(ended(bars, volume_sd=8.0)).type is Kind.VOLUME
    assert answer(ended(bars, volume_sd=-8.0)).type is Kind.VOLUME
    assert answer(ended(bars, wick=0.15)).type is Kind.LIQUIDITY
    assert answer(ended(bars, move=-0.15, volume_sd=3.0)).type is Kind.PRICE
    still = bars.between(0, len(bars) - 4)
    last = float(still.close[-1])
    flat = np.full(4, last)
    still = still.followed_by(
        Bars("BTCUSDT", tf, bars.open_at[-4:], flat, flat, flat, flat, np.array([900.0, 950.0, 1_000.0, 1_050.0]))
    )
    assert answer(still).type is Kind.DATA
    gone = bars.between(0, len(bars) - 6).followed_by(bars.between(len(bars) - 1, len(bars)))
    assert answer(ended(gone)).channel == "gap"


def test_a_reason_says_what_was_seen_with_its_numbers_and_the_line_says_how_rare_it_is() -> None:
    outcome = ask(ended(market(), move=0.15, volume_sd=5.0))
    assert isinstance(outcome, Given)
    assert "+16.18%" in outcome.reasons[0]
    assert outcome.confidence is None
    said = ANOMALY.say(QUESTION, outcome.answer)
    assert said.startswith("price anomaly, score 0.")
    assert "once in" in said
    assert said.endswith("consider reducing exposure")
    calm = answer(ended(market(), move=0.004))
    assert ANOMALY.say(QUESTION, calm).startswith("no anomaly, score 0.")


def test_a_calm_minute_is_not_said_to_have_no_volume_or_a_price_that_stands_still() -> None:
    calm = ended(market(1_200, tf=Timeframe.M1), move=0.001)
    outcome = ask(calm, question=QUESTION.model_copy(update={"timeframe": Timeframe.M1}))
    assert isinstance(outcome, Given)
    assert outcome.reasons[0] == "nothing stands out"


def test_the_share_of_the_panel_that_is_abnormal_too_tells_a_crash_from_a_quarrel() -> None:
    calm = [ended(market(seed=i, symbol=f"C{i}"), move=0.004) for i in range(5)]
    wild = [ended(market(seed=i, symbol=f"W{i}"), move=-0.15, volume_sd=5.0) for i in range(3)]
    own = ended(market(), move=-0.15, volume_sd=5.0)
    assert answer(own).market_wide_share is None
    assert answer(own, *calm[:4]).market_wide_share == pytest.approx(1 / 5)
    assert answer(own, *wild).market_wide_share == 1.0
    older = [replace(one, open_at=one.open_at - HOUR_MS) for one in wild]
    assert answer(own, *calm[:4], *older).market_wide_share == pytest.approx(1 / 5)


def test_too_little_history_missing_prices_and_other_timeframes_are_abstained_from() -> None:
    few = ask(market(300))
    assert isinstance(few, CannotAnswer)
    assert few.why is Why.TOO_LITTLE_HISTORY
    bars = market()
    holes = bars.close.copy()
    holes[-1] = np.nan
    missing = ask(replace(bars, close=holes))
    assert isinstance(missing, CannotAnswer)
    assert missing.why is Why.MISSING_FEATURE
    half = ask(market(tf=Timeframe.M30), question=QUESTION.model_copy(update={"timeframe": Timeframe.M30}))
    assert isinstance(half, CannotAnswer)
    assert half.why is Why.NOT_MEASURED
    dead = ask(
        replace(bars, open=bars.open * 0 + 7, high=bars.high * 0 + 7, low=bars.low * 0 + 7, close=bars.close * 0 + 7)
    )
    assert isinstance(dead, CannotAnswer)


def test_explanations_hold_the_channels_rarest_first() -> None:
    rows = rows_of(ended(market(), move=0.15, volume_sd=5.0))
    terms = ANOMALY.rules.explain(rows)[0]
    effects = [term.effect or 0.0 for term in terms]
    assert effects == sorted(effects, reverse=True)
    assert terms[0].name in ("move", "record", "surge")
    assert "1 bar in" in terms[0].text


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 7.0))
def test_the_score_is_a_quarter_of_the_depth_and_the_days_follow_from_it(depth: float) -> None:
    said = answer_of(QUESTION, depth, Kind.PRICE, "move", None, 0.8)
    assert said.score == pytest.approx(min(depth / 4.0, 1.0))
    assert said.once_in_days == pytest.approx(10.0**depth / 24.0)
    assert said.is_anomaly == (said.score >= 0.6)
    assert (said.type is None) == (said.score < 0.5)
    minute = answer_of(QUESTION.model_copy(update={"timeframe": Timeframe.M1}), depth, Kind.PRICE, "move", None, 0.8)
    assert minute.score == said.score
    assert minute.once_in_days == pytest.approx(said.once_in_days / 60.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 7.0), st.sampled_from([NORMAL, "price", "volume", "liquidity", "data"]))
def test_nobody_loses_less_than_who_knew_the_truth(depth: float, came_true: str) -> None:
    said = answer_of(QUESTION, depth, Kind.PRICE, "move", None, 0.8)
    assert loss(certain(came_true), came_true) <= loss(said, came_true) + 1e-12


def test_a_rate_counts_ordinary_bars_alone() -> None:
    rate = rate_of(0.5)
    rare, usual = (answer_of(QUESTION, depth, Kind.PRICE, "move", None, 0.8) for depth in (2.1, 1.0))
    assert rate(rare, NORMAL) == pytest.approx(100.0)
    assert rate(usual, NORMAL) == 0.0
    assert rate(rare, "price") is None


def test_hindsight_counts_the_largest_of_251_bars_once_two_days_have_passed() -> None:
    bars = ended(market(600), move=0.2, volume_sd=1.0)
    at = bars.close_at[-1:]
    assert ANOMALY.truth([QUESTION], at, StillMarket.of(bars)) == [None]
    later = bars.followed_by(
        replace(market(AFTER, seed=8), open_at=bars.open_at[-1] + HOUR_MS * np.arange(1, AFTER + 1))
    )
    later = replace(
        later, close=np.where(np.arange(len(later)) < 600, later.close, bars.close[-1] * later.close / later.close[600])
    )
    assert ANOMALY.truth([QUESTION], at, StillMarket.of(later)) == ["price"]
    calm = ANOMALY.truth([QUESTION] * 100, later.close_at[BEFORE + 20 : BEFORE + 120], StillMarket.of(later))
    assert calm.count(NORMAL) > 90


def test_rates_are_vouched_for_up_to_the_score_to_which_the_record_shows_them() -> None:
    """The tables that answers quote, by rules and by models, are those of the page, which `make skill` writes."""
    page = (Path(__file__).parent.parent / "docs" / "anomaly.md").read_text("utf-8")
    line = r"^\| (?:\*\*)?(rules|model), (\w+), (crypto|fx|index), [\d,]+ bars(?:\*\*)? \| (.+) \|$"
    shown: dict[str, dict[str, float]] = {"rules": {}, "model": {}}
    for who, timeframe, market, cells in re.findall(line, page, re.MULTILINE):
        rates = [float(cell.split()[0]) for cell in cells.split("|")]
        held = [score for score, rate in zip((0.5, 0.6, 0.8), rates, strict=True) if 0.7 <= rate <= 1.5]
        to = max(score for at, score in enumerate((0.5, 0.6, 0.8)) if held[: at + 1] == [0.5, 0.6, 0.8][: at + 1])
        group = f"{timeframe} weekdays" if market != "crypto" else timeframe
        shown[who][group] = min(to, shown[who].get(group, 1.0))
    assert shown["rules"] == {name: to for name, to in CALIBRATED_TO.items() if not name.endswith("thin")}
    assert shown["model"]
    assert shown["model"].items() <= CALIBRATED_ANEW.items()


def test_a_score_beyond_what_was_shown_says_so() -> None:
    days = QUESTION.model_copy(update={"timeframe": Timeframe.D1})
    beyond = answer_of(days, 2.9, Kind.PRICE, "move", None, 0.5)
    assert beyond.calibrated_to == 0.5
    assert "(such rates were shown to hold up to a score of 0.5 here)" in ANOMALY.say(days, beyond)
    for depth, to in ((2.1, 0.5), (2.9, 0.6), (3.9, 0.8)):
        assert "shown to hold" not in ANOMALY.say(days, answer_of(days, depth, Kind.PRICE, "move", None, to))
