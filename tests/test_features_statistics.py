"""Statistics of features are dated: scaling at an instant uses what had been found out by then, for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market import summary_store as store_module
from market.feature_row import FeatureRow
from market.feature_summary import FeatureSummary
from market.summary_store import SummaryStore
from ml.bars import DAY_MS, Floats, Timeframe
from ml.indicators.statistics import standardise, statistics
from registry.blobs import Blobs
from registry.manifest import Manifest
from server import House, build
from tests.conftest import NOW, HandClock
from workers.feature_statistics import DescribeFeatures, scaling_at

NAMES = ("rsi_14", "log_return_1")


def summary(mean: float, feature: str = "rsi_14", symbol: str | None = None) -> FeatureSummary:
    return FeatureSummary(symbol, feature, 3, mean, 1.0, 0.0, 9.0, mean, 2.0)


def summaries_of(house: House, root: Path) -> SummaryStore:
    opened = SummaryStore(Manifest(house.store, "local"), Blobs(root / "data" / "blobs" / "local"), "local")
    opened.load()
    return opened


def mean_at(summaries: SummaryStore, as_of: int, symbol: str | None = None) -> float | None:
    found = summaries.in_force(Timeframe.H1, as_of, symbol).get("rsi_14")
    return None if found is None else found.mean


def fill(house: House, values: Floats, symbol: str = "AAA", *, since: int, quality: float = 1.0) -> None:
    rows = [FeatureRow(symbol, Timeframe.H1, since + i, since, NAMES, values[i], quality) for i in range(len(values))]
    house.features.append(rows, at=since + len(rows))


def test_what_is_in_force_is_what_was_recorded_last_by_then(house: House, tmp_path: Path) -> None:
    house.summaries.record(Timeframe.H1, [summary(1.0), summary(10.0, symbol="AAA")], NOW)
    house.summaries.record(Timeframe.H1, [summary(2.0)], NOW + DAY_MS)
    house.summaries.record(Timeframe.D1, [summary(99.0)], NOW + 2 * DAY_MS)
    for opened in (house.summaries, summaries_of(house, tmp_path)):
        said = [mean_at(opened, as_of) for as_of in (NOW - 1, NOW, NOW + DAY_MS - 1, NOW + DAY_MS, NOW + 99 * DAY_MS)]
        assert said == [None, 1.0, 1.0, 2.0, 2.0]
        assert mean_at(opened, NOW, "AAA") == 10.0
        assert mean_at(opened, NOW + DAY_MS, "AAA") is None  # not described that day: not those of another day


def test_nothing_is_dated_back(house: House, tmp_path: Path) -> None:
    house.summaries.record(Timeframe.H1, [summary(1.0)], NOW)
    for opened in (house.summaries, summaries_of(house, tmp_path)):
        for at in (NOW, NOW - 1):
            with pytest.raises(ValueError, match="were recorded at"):
                opened.record(Timeframe.H1, [summary(5.0)], at)
    house.summaries.record(Timeframe.D1, [summary(5.0)], NOW - 1)
    assert mean_at(house.summaries, NOW) == 1.0


def test_every_day_stays_when_many_parts_become_one(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_SMALL_PARTS", 3)
    missing = FeatureSummary("AAA", "ema_200", 0, *[float("nan")] * 6)
    for day in range(12):
        house.summaries.record(Timeframe.H1, [summary(float(day)), missing], NOW + day * DAY_MS)
    assert len(Manifest(house.store, "local").parts("feature_statistics")) <= 4
    for opened in (house.summaries, summaries_of(house, tmp_path)):
        assert [mean_at(opened, NOW + day * DAY_MS) for day in range(12)] == [float(day) for day in range(12)]
        assert opened.in_force(Timeframe.H1, NOW, "AAA")["ema_200"].n == 0


def test_the_job_records_what_the_rows_say_once_a_day(house: House, clock: HandClock) -> None:
    describe = DescribeFeatures(house.features, house.summaries, house.clock)
    assert describe.once() == {}
    values = np.random.default_rng(1).normal(50, 9, (40, 2))
    fill(house, values, since=NOW)
    fill(house, values + 1e6, "BAD", since=NOW, quality=0.5)
    clock.at = NOW + 100
    assert describe.once() == {Timeframe.H1: 4}
    clock.at += DAY_MS
    fill(house, values + 7, since=NOW + DAY_MS)
    assert describe.once() == {Timeframe.H1: 4}
    today, tomorrow = (scaling_at(house.summaries, NAMES, Timeframe.H1, NOW + 100 + DAY_MS * day) for day in (0, 1))
    for found, expected in (
        (today, statistics(NAMES, values)),
        (tomorrow, statistics(NAMES, np.concatenate([values, values + 7]))),
    ):
        for one, other in zip(found, expected, strict=True):
            assert (one.name, one.n) == (other.name, other.n)
            np.testing.assert_allclose(
                (one.mean, one.sd, one.low, one.high, one.median, one.iqr),
                (other.mean, other.sd, other.low, other.high, other.median, other.iqr),
                rtol=1e-12,
            )
    scaled = standardise(values, today)
    np.testing.assert_allclose((scaled.mean(axis=0), scaled.std(axis=0)), ([0, 0], [1, 1]), atol=1e-12)


def test_scaling_before_anything_was_described_leaves_features_missing(house: House) -> None:
    (one, _) = scaling_at(house.summaries, NAMES, Timeframe.H1, NOW)
    assert (one.name, one.n) == ("rsi_14", 0)
    assert np.isnan(standardise(np.ones((1, 2)), scaling_at(house.summaries, NAMES, Timeframe.H1, NOW))).all()


def test_statistics_outlive_a_restart(house: House, tmp_path: Path, clock: HandClock) -> None:
    house.summaries.record(Timeframe.H1, [summary(4.0)], NOW)
    house.close()
    opened = build(house.config, tmp_path / "data", clock)
    assert mean_at(opened.summaries, NOW) == 4.0
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))), min_size=1, max_size=30),
    symbols=st.lists(st.sampled_from("ABC"), min_size=30, max_size=30),
)
def test_statistics_of_any_rows_are_those_of_numpy(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], symbols: list[str]
) -> None:
    from market.feature_part import encoded
    from market.feature_summary import summaries

    rows = [
        FeatureRow(symbol, Timeframe.H1, NOW + i, NOW, ("x",), np.array([value]), 1.0)
        for i, (value, symbol) in enumerate(zip(values, symbols, strict=False))
    ]
    path = tmp_path_factory.mktemp("part") / "part.parquet"
    path.write_bytes(encoded(rows, "local"))
    found = {one.symbol: one for one in summaries([path], Timeframe.H1, NOW + 100)}
    assert set(found) == {None, *(row.symbol for row in rows)}
    for symbol, one in found.items():
        column = np.array([row.values for row in rows if symbol in (None, row.symbol)])
        (other,) = statistics(("x",), column)
        assert one.n == other.n
        np.testing.assert_allclose(
            (one.mean, one.sd, one.low, one.high, one.median, one.iqr),
            (other.mean, other.sd, other.low, other.high, other.median, other.iqr),
            rtol=1e-9,
            atol=1e-6,
        )
