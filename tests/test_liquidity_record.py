"""What docs/liquidity.md says of the record, on few coins and few hours of real markets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_liquidity_rules import ask
from benchmarks.learn_liquidity import judged, steps_of
from benchmarks.liquidity_scores import alarms, by_symbol, covered, errors
from benchmarks.price_files import SPOT_FILES, instant, read
from ml.bars import Timeframe
from ml.capability import CannotAnswer, Why
from ml.liquidity import LIQUIDITY, Horizon, LiquidityQuestion
from ml.timeline import StillMarket

COINS = ("BTCUSDT", "ADAUSDT", "UNIUSDT-PERP", "MATICUSDT-PERP")


def test_on_late_years_of_four_coins_the_rules_are_nearer_than_the_same_hours_of_last_week(market_data: Path) -> None:
    bars = [read(market_data, f"crypto/{coin}_1h") for coin in COINS]
    asked = ask(bars, Horizon.H6, instant("2022-01-01"), instant("2024-06-01"), every=11)
    questions = [LiquidityQuestion(symbol=symbol, horizon=Horizon.H6) for symbol in asked.symbols.tolist()]
    known = np.isfinite(asked.truths)
    rows = LIQUIDITY.features.rows(questions, asked.as_of, StillMarket.of(*bars))
    said = LIQUIDITY.rules.predict(rows)
    qv = np.array([np.nan if isinstance(one, CannotAnswer) else one.answer.qv for one in said])
    scale = by_symbol(asked.truths[known], asked.symbols[known])
    wape = float(np.mean(np.abs(qv[known] - asked.truths[known]) / scale))
    week_ago = np.exp(rows.column("week_ago_6") + rows.column("log_level")) * 6.0
    naive = float(np.mean(np.abs(week_ago[known] - asked.truths[known]) / scale))
    assert 0.25 < wape < 0.40
    assert wape < 0.75 * naive


def test_a_model_beats_the_rules_on_half_a_year_that_it_has_not_seen_and_holds_its_bands(market_data: Path) -> None:
    pytest.importorskip("torch")
    bars = [read(market_data, file) for file in SPOT_FILES[2:8]]
    begin, end = instant("2021-07-01"), instant("2022-01-01")
    steps = steps_of(bars, begin, end, refit_days=365, years=2.0, every=11, judge_every=7)
    for horizon in Horizon:
        model, rules = judged(steps, horizon, model=True), judged(steps, horizon, model=False)
        assert errors(model).mean() < 0.98 * errors(rules).mean()
        assert 0.74 <= covered(model)[0].value <= 0.89
    six = judged(steps, Horizon.H6, model=True)
    assert alarms(six)[0].value > alarms(judged(steps, Horizon.H6, model=False))[0].value


def test_currencies_are_abstained_on(market_data: Path) -> None:
    bars = read(market_data, "fx/EURUSD_1h")
    asked = LiquidityQuestion(symbol="EURUSD", timeframe=Timeframe.H1)
    rows = LIQUIDITY.features.rows([asked] * 3, bars.close_at[[5_000, 9_000, 12_000]], StillMarket.of(bars))
    assert [one.why for one in rows.cannot if one is not None] == [Why.NOT_MEASURED] * 3
