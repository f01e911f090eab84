"""The record that docs/volatility.md quotes, on years after those that the constants were fitted on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_volatility_rules import SAMPLES
from benchmarks.learn_volatility import table, walk
from benchmarks.price_files import instant, read
from benchmarks.skill_volatility import Skill, Stage, skill
from ml.bars import Timeframe
from ml.volatility import Horizon

COINS = ("BTCUSDT", "ADAUSDT", "UNIUSDT-PERP", "MATICUSDT-PERP")
PAIRS = ("EURUSD", "USDJPY")


def late(horizon: Horizon) -> Skill:
    crypto = Stage("", SAMPLES[0], tuple(f"crypto/{one}_1h" for one in COINS), "2022-01-01", "2024-07-01")
    return skill(folder(), crypto, horizon, every=6)


def folder() -> Path:
    data = os.environ.get("BAROGRAPH_MARKET_DATA")
    if not data:
        pytest.skip("BAROGRAPH_MARKET_DATA is not set: no market data to measure on")
    return Path(data)


@pytest.mark.parametrize(("horizon", "goal"), [("12h", 0.90), ("24h", 0.95), ("48h", 0.96)])
def test_on_late_years_of_four_coins_the_rules_reach_their_goal_within_noise(horizon: str, goal: float) -> None:
    record = late(Horizon(horizon))
    assert record.low <= goal
    assert record.ratio < 0.97
    assert 0.75 <= record.cover80 <= 0.87
    assert 0.86 <= record.cover90 <= 0.95


def test_on_late_years_of_four_coins_the_next_six_hours_beat_the_baseline_though_not_by_the_goal() -> None:
    record = late(Horizon.H6)  # the goal is .87; trees on the same columns get no further (docs/volatility.md)
    assert record.high < 1.0
    assert record.ratio < 0.95


def test_on_late_years_of_two_currency_pairs_the_rules_beat_the_baseline() -> None:
    currencies = Stage("", SAMPLES[1], tuple(f"fx/{one}_1h" for one in PAIRS), "2016-01-01", "2019-01-01")
    record = skill(folder(), currencies, Horizon.H6, every=3)
    assert record.high < 1.0
    assert 0.75 <= record.cover80 <= 0.87


def test_on_late_years_of_two_indices_the_rules_beat_the_baseline() -> None:
    index = Stage("", SAMPLES[3], SAMPLES[3].files, "2010-01-01", "2017-01-01")
    record = skill(folder(), index, Horizon.D5, every=1)
    assert record.high < 1.0


def test_on_half_a_year_of_six_coins_that_it_has_not_seen_the_model_beats_the_rules_and_holds_its_band() -> None:
    pytest.importorskip("onnxruntime")
    bars = [read(folder(), file, Timeframe.H1) for file in SAMPLES[0].files[2:8]]
    begin, end = instant("2022-01-01"), instant("2022-07-01")
    taught = table(bars, instant("2019-07-01"), begin, 19)
    judged = walk(taught, table(bars, begin, end, 31), [begin], end, years=2.5)
    answered = np.isfinite(judged.model)
    assert answered.mean() >= 0.9
    assert judged.model[answered].mean() < 0.98 * judged.rules[answered].mean()
    assert 0.74 <= judged.inside80[answered].mean() <= 0.86
