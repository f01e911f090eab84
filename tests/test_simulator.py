"""The simulated market behaves as markets do, and goes on as it began."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from market.bar_table import checked
from market.sample import COINS
from market.seasons import volatility_season, volume_season
from market.simulator import Regime, SimulatedMarket, simulate
from ml.bars import HOUR_MS, WEEK_MS, Bars, Floats, Timeframe

ANCHOR = 1_704_067_200_000
YEARS = simulate(7, COINS, ANCHOR, 3 * 8_766)
COLUMNS = ("open_at", "open", "high", "low", "close", "volume")


def returns(bars: Bars) -> Floats:
    made: Floats = np.log(bars.close / bars.open)
    return made


def same(one: Bars, other: Bars) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in COLUMNS)


@pytest.mark.parametrize("hours", [0, 1, 2, 37, 1_000, 9_999])
def test_more_hours_only_add_to_those_before(hours: int) -> None:
    short = simulate(7, COINS, ANCHOR, hours)
    for mine, whole in zip(short.bars, YEARS.bars, strict=True):
        assert same(mine, whole.between(0, hours))
    assert (short.truth.regime == YEARS.truth.regime[:hours]).all()
    for truth, of_whole in zip(short.truth.coins, YEARS.truth.coins, strict=True):
        assert truth.sigma.tobytes() == of_whole.sigma[:hours].tobytes()
        assert truth.jumps.tobytes() == of_whole.jumps[:hours].tobytes()


def test_another_seed_is_another_market_and_global_randomness_plays_no_part() -> None:
    assert not same(simulate(8, COINS, ANCHOR, 100).bars[0], YEARS.bars[0].between(0, 100))
    state = repr(np.random.get_state())
    simulate(7, COINS, ANCHOR, 100)
    assert repr(np.random.get_state()) == state


def test_a_coin_that_joins_at_the_end_changes_none_of_the_others() -> None:
    fewer = simulate(7, COINS[:3], ANCHOR, 500)
    assert all(same(one, whole.between(0, 500)) for one, whole in zip(fewer.bars, YEARS.bars, strict=False))


def test_every_bar_is_sound_and_opens_where_the_last_one_closed() -> None:
    for bars in YEARS.bars:
        table = checked(bars, "simulated")
        assert (table.refused, len(table)) == ((), len(bars))
        assert (bars.open[1:] == bars.close[:-1]).all()
        assert (bars.volume > 0).all()
        assert (np.diff(bars.open_at) == HOUR_MS).all()


def test_volatility_clusters_and_returns_have_fat_tails() -> None:
    for bars in YEARS.bars:
        moves = returns(bars)
        size = np.abs(moves)
        assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.1
        assert np.corrcoef(size[:-24], size[24:])[0, 1] > 0.1
        assert abs(np.corrcoef(moves[:-1], moves[1:])[0, 1]) < 0.05
        assert ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2 > 4.5


def test_true_sigma_is_what_a_test_may_hold_estimates_to() -> None:
    for bars, truth in zip(YEARS.bars, YEARS.truth.coins, strict=True):
        standard = (returns(bars) - truth.jumps) / truth.sigma
        assert standard.std() == pytest.approx(1.0, abs=0.03)
        parkinson = (np.log(bars.high / bars.low) ** 2).mean() / (4 * np.log(2))
        assert parkinson == pytest.approx((truth.sigma**2).mean(), rel=0.10)
        assert 0.002 < np.median(truth.sigma) < 0.010


def test_regimes_last_and_differ() -> None:
    regime = YEARS.truth.regime
    assert set(regime.tolist()) == {0, 1, 2}
    assert (np.diff(regime) != 0).mean() < 0.02
    sigma = YEARS.truth.coins[0].sigma
    calm, normal, storm = (sigma[regime == one].mean() for one in Regime)
    assert calm < 0.85 * normal < 0.85 * 0.75 * storm


def test_jumps_are_rare_and_large() -> None:
    for truth in YEARS.truth.coins:
        jumped = truth.jumps != 0
        assert 8 < jumped.sum() / 3 < 60
        assert np.median(np.abs(truth.jumps[jumped]) / truth.sigma[jumped]) > 2.5


def test_coins_move_together() -> None:
    correlation = np.corrcoef([returns(bars) for bars in YEARS.bars])
    others = correlation[np.triu_indices(len(COINS), 1)]
    assert 0.3 < others.min() < others.max() < 0.9


def test_volume_has_a_day_a_week_and_follows_volatility() -> None:
    bars, truth = YEARS.bars[0], YEARS.truth.coins[0]
    hour = bars.open_at // HOUR_MS % 24
    day = bars.open_at % WEEK_MS // (24 * HOUR_MS)
    assert bars.volume[hour == 15].mean() > 1.8 * bars.volume[hour == 3].mean()
    assert bars.volume[np.isin(day, (2, 3))].mean() < 0.8 * bars.volume[~np.isin(day, (2, 3))].mean()
    unseasonal = bars.volume / volume_season(bars.open_at)
    assert np.corrcoef(np.log(unseasonal), np.log(truth.sigma / volatility_season(bars.open_at)))[0, 1] > 0.4


def test_seasons_are_one_on_average() -> None:
    week = ANCHOR + HOUR_MS * np.arange(168)
    assert volume_season(week).mean() == pytest.approx(1.0, abs=0.01)
    assert volatility_season(week).mean() == pytest.approx(1.0, abs=0.01)


def test_an_anchor_within_an_hour_is_refused() -> None:
    with pytest.raises(ValueError, match="whole hour"):
        simulate(1, COINS, ANCHOR + 1, 5)


def test_no_coins_make_an_empty_market() -> None:
    nothing: SimulatedMarket = simulate(1, (), ANCHOR, 5)
    assert nothing.bars == ()
    assert len(nothing.truth.regime) == 5


def test_a_coin_worth_less_than_its_last_decimal_keeps_a_price() -> None:
    wreck = dataclasses.replace(COINS[0], price=0.03, own_sigma=0.2)
    (bars,) = simulate(3, (wreck,), ANCHOR, 3_000).bars
    assert (bars.low >= 0.01).all()
    assert checked(bars, "simulated").refused == ()
    assert bars.timeframe is Timeframe.H1
