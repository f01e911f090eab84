"""The record that docs/regime.md quotes, on years after those the table was fitted on."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_regime_rules import CRYPTO, FX, Judged, Panel, judge, load
from benchmarks.regime_scores import sample, scores, version_0

COINS = ("BTCUSDT", "DOGEUSDT", "UNIUSDT-PERP", "TRXUSDT")


@cache
def late(panel: Panel, symbols: tuple[str, ...]) -> list[Judged]:
    folder = os.environ.get("BAROGRAPH_MARKET_DATA")
    if not folder:
        pytest.skip("BAROGRAPH_MARKET_DATA is not set: no market data to measure on")
    read = [next(load(Path(folder), panel, panel.judged_to, symbol)) for symbol in symbols]
    return [judge(bars, panel.judged_from) for bars in read]


def test_on_late_years_of_four_coins_the_rules_reach_their_record() -> None:
    rows = late(CRYPTO, COINS)
    points, (low, high) = scores(version_0(rows), sample(rows))
    f1, loss, ece, switches = points.tolist()
    assert f1 >= 0.47
    assert low[0] >= 0.46
    assert loss <= 1.05
    assert high[1] <= 1.08
    assert ece <= 0.03
    assert 16.0 <= switches <= 20.0


def test_on_late_years_of_two_currency_pairs_confidence_is_calibrated_by_their_own_table() -> None:
    rows = late(FX, ("EURUSD", "USDJPY"))
    assert all((one.column("sessions") == 1.0).all() for one in rows)
    points, _ = scores(version_0(rows), sample(rows))
    assert points[0] >= 0.44
    assert points[1] <= 1.18
    assert points[2] <= 0.03


def test_trends_do_not_go_on_after_their_label() -> None:
    """Mean net move of the 24 bars after trend labels, along the trend, in units of volatility; weeks are cases."""
    weekly: dict[int, list[float]] = {}
    for one in late(CRYPTO, COINS):
        z, label = one.column("z"), version_0([one]).label
        ahead = np.diff(one.as_of, append=0) > 0
        follows = np.searchsorted(one.as_of, one.as_of + 24 * 3_600_000)
        for i in np.flatnonzero((label <= 1) & ahead & (follows < len(z))):
            if one.as_of[follows[i]] == one.as_of[i] + 24 * 3_600_000:
                weekly.setdefault(int(one.as_of[i] // (7 * 86_400_000)), []).append(
                    float(np.sign(z[i]) * z[follows[i]])
                )
    means = np.asarray([np.mean(week) for week in weekly.values()])
    error = means.std() / np.sqrt(len(means))
    assert means.mean() < 2 * error
