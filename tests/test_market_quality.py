"""How much a row of bars is trusted."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market.bar_table import picked
from market.quality import USABLE, context, scores
from market.sample import COINS
from market.simulator import simulate
from ml.bars import HOUR_MS, Bars, Timeframe

GOOD = simulate(5, COINS[:1], 1_704_067_200_000, 1_500).bars[0]


def changed(at: int, **values: float) -> Bars:
    """GOOD with other numbers in one row."""
    columns = {}
    for name, value in values.items():
        column = getattr(GOOD, name).copy()
        column[at] = value
        columns[name] = column
    return dataclasses.replace(GOOD, **columns)


def without(*positions: int, bars: Bars = GOOD) -> Bars:
    return picked(bars, np.delete(np.arange(len(bars)), positions))


def test_good_rows_score_one() -> None:
    assert (scores(GOOD) == 1.0).mean() > 0.99
    assert (scores(GOOD) > USABLE).all()


def test_a_row_without_volume_or_one_that_repeats_the_last_may_not_train() -> None:
    assert scores(changed(700, volume=0.0))[700] < USABLE
    last = {name: float(getattr(GOOD, name)[699]) for name in ("open", "high", "low", "close", "volume")}
    assert scores(changed(700, **last))[700] <= 0.5


def test_a_flat_bar_that_traded_may_train_and_one_that_did_not_may_not() -> None:
    price = float(GOOD.close[699])
    flat = {"open": price, "high": price, "low": price, "close": price}
    assert USABLE < scores(changed(700, **flat))[700] < 1.0
    assert scores(changed(700, **flat, volume=0.0))[700] < USABLE


def test_one_lost_hour_may_train_and_three_may_not() -> None:
    assert USABLE < scores(without(700))[700] < 1.0
    assert scores(without(700, 701, 702))[700] < USABLE


def test_a_weekend_costs_a_currency_nothing() -> None:
    calm = simulate(5, [dataclasses.replace(COINS[0], own_jumps_per_year=0, beta=0)], 1_704_067_200_000, 1_500).bars[0]
    hours = (calm.open_at - calm.open_at[0]) // HOUR_MS % 168
    weekend = np.flatnonzero((hours >= 118) & (hours < 166))
    traded = without(*weekend.tolist(), bars=calm)
    after = np.flatnonzero(np.diff(traded.open_at) > HOUR_MS)[2:] + 1
    assert len(after) > 4
    assert (scores(traded)[after] == 1.0).all()


def test_a_crash_may_train_and_a_split_that_nobody_adjusted_may_not() -> None:
    price = float(GOOD.close[699])
    crash = changed(700, low=price * 0.80, close=price * 0.82)
    assert USABLE < scores(crash)[700] < 1.0
    split = changed(700, open=price / 2, high=price / 2, low=price / 2.01, close=price / 2.005)
    assert scores(split)[700] <= 0.5


def test_rows_that_no_table_would_take_score_zero() -> None:
    for values in ({"close": np.nan}, {"low": -1.0}, {"high": 1.0}, {"volume": np.nan}, {"high": np.inf}):
        assert scores(changed(700, **values))[700] == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1_499), st.sets(st.integers(0, 1_498), max_size=60))
def test_a_score_depends_on_the_bars_up_to_it_and_a_tail_of_them_is_enough(at: int, lost: set[int]) -> None:
    bars = without(*lost)
    at = min(at, len(bars) - 1)
    whole = scores(bars)
    assert scores(bars.between(0, at + 1))[-1] == whole[at]
    assert scores(bars.between(at - context(Timeframe.H1), at + 1))[-1] == whole[at]


def test_scores_do_not_depend_on_the_unit_of_money() -> None:
    assert (scores(GOOD.scaled(1_024.0)) == scores(GOOD)).all()


def test_few_bars_have_scores_too() -> None:
    for n in range(4):
        assert (scores(GOOD.between(0, n)) == np.ones(n)).all()
