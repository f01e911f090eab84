"""Planted anomalies: the same for ever, of their kind, and with the volume that such moves have."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ml.anomaly import ANOMALY, AnomalyQuestion
from ml.anomaly.kernel import raw
from ml.anomaly.planting import PlantedMarket, plant
from ml.anomaly.plants import KINDS, Plant
from ml.bars import HOUR_MS, Timeframe
from ml.timeline import StillMarket
from tests.test_anomaly import market

BARS = market(12_000)
OFTEN = 36


def test_the_same_seed_plants_the_same_and_another_one_otherwise() -> None:
    one, again, other = plant(BARS, 1, OFTEN), plant(BARS, 1, OFTEN), plant(BARS, 2, OFTEN)
    assert one.labels.tolist() == again.labels.tolist()
    assert one.bars.close.tobytes() == again.bars.close.tobytes()
    assert one.labels.tolist() != other.labels.tolist()


def test_a_longer_history_plants_the_same_where_both_are_known() -> None:
    long, short = plant(BARS, 1, OFTEN), plant(BARS.between(0, 9_000), 1, OFTEN)
    known = len(short.bars) - 20
    assert long.labels[:known].tolist() == short.labels[:known].tolist()
    assert long.bars.close[:known].tobytes() == short.bars.close[:known].tobytes()
    begun_later = plant(BARS.between(5_000, 12_000), 1, OFTEN)
    at = np.searchsorted(long.bars.open_at, begun_later.bars.open_at[800])
    assert long.labels[at : at + 500].tolist() == begun_later.labels[800:1_300].tolist()


def test_every_kind_is_planted_about_as_often_as_meant_and_nothing_where_usual_is_unknown() -> None:
    planted = plant(BARS, 3, OFTEN)
    counts = Counter(planted.plants)
    assert set(counts) == set(Plant)
    assert len(planted.plants) == pytest.approx(12_000 / OFTEN, rel=0.15)
    assert not (planted.event[:400] >= 0).any()
    for at in np.flatnonzero(planted.event >= 0).tolist():
        assert planted.labels[at] == KINDS[planted.plants[planted.event[at]]]


def test_bars_stay_bars() -> None:
    bars = plant(BARS, 4, OFTEN).bars
    assert (np.diff(bars.open_at) > 0).all()
    assert (bars.high >= np.maximum(bars.open, bars.close) * (1 - 1e-12)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close) * (1 + 1e-12)).all()
    assert (bars.low > 0).all()
    assert (bars.volume >= 0).all()


def test_a_planted_move_carries_volume_and_a_burst_carries_no_move() -> None:
    planted = plant(BARS, 5, OFTEN)
    now = raw(planted.bars)
    jumps = [i for i in np.flatnonzero(planted.event >= 0) if planted.plants[planted.event[i]] is Plant.JUMP]
    bursts = [i for i in np.flatnonzero(planted.event >= 0) if planted.plants[planted.event[i]] is Plant.BURST]
    ordinary = planted.event < 0
    usual_volume, usual_move = np.median(now.volume[ordinary]), np.median(np.abs(now.change[ordinary][1:]))
    assert np.median(now.volume[jumps]) - usual_volume > 1.0
    assert np.median(np.abs(now.change[jumps])) > 5 * usual_move
    assert np.median(np.abs(now.change[bursts])) < 2 * usual_move
    size = np.abs(now.change[jumps])
    assert np.corrcoef(np.log(size), now.volume[jumps])[0, 1] > 0.3


def test_the_truth_of_a_planted_market_is_what_was_planted() -> None:
    practice = PlantedMarket(StillMarket.of(BARS), 0)
    timeline = practice.timeline("BTCUSDT", Timeframe.H1)
    assert timeline is not None
    closes = timeline.latest().close_at[1_000:5_000]
    told = ANOMALY.truth([AnomalyQuestion(symbol="BTCUSDT")] * len(closes), closes, practice)
    counts = Counter(told)
    assert set(counts) == {"normal", "price", "volume", "liquidity", "data"}
    assert counts["normal"] > 3_800
    assert practice.timeline("NOPE", Timeframe.H1) is None


def test_practice_plants_on_the_clock_of_the_lessons() -> None:
    planted = PlantedMarket(StillMarket.of(BARS), 0).planted("BTCUSDT", Timeframe.H1)
    assert planted is not None
    closes = planted.bars.close_at[planted.event >= 0]
    first = [closes[planted.event[planted.event >= 0] == one][0] for one in range(len(planted.plants))]
    assert len(first) > 40
    assert all(at % (5 * HOUR_MS) == 0 for at in first)


def test_what_has_no_usual_is_left_as_it_is() -> None:
    half_hours = market(500, tf=Timeframe.M30)
    assert plant(half_hours, 1).bars is half_hours
    short = market(100)
    assert not plant(short, 1).plants
