"""The worker that writes features down: once per closed bar, as they were known then, off the event loop."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from market.bar_table import checked
from market.feature_row import FeatureRow
from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Timeframe
from ml.indicators.matrix import latest
from server import House, build
from tests.conftest import NOW, HandClock, hourly, table
from workers import extract_features as worker
from workers.extract_features import NAMES, ExtractFeatures, known_bars

BOTH = (Timeframe.H1, Timeframe.D1)


def extract_of(house: House) -> ExtractFeatures:
    return ExtractFeatures(house.history, house.features, house.clock, BOTH)


def rows_of(house: House, symbol: str = "AAA") -> tuple[FeatureRow, ...]:
    return house.features.rows(symbol, Timeframe.H1, 0, NOW + 365 * DAY_MS)


def feed(house: House, symbol: str, *, seed: int, upto: int, clock: HandClock, live: bool = True) -> None:
    """Bars of the symbol that closed by `upto`: those that the house has not, come now."""
    n = (upto - NOW) // HOUR_MS
    bars = hourly(symbol, seed=seed, n=120 * 24 + 24, end=NOW + 24 * HOUR_MS).between(120 * 24, 120 * 24 + n)
    clock.at = max(clock.at, upto)
    house.history.append(checked(bars, "files"), received_at=clock.at, live=live)


def as_it_was(house: House, symbol: str, as_of: int) -> Floats:
    timeline = house.history.timeline(symbol, Timeframe.H1)
    assert timeline is not None
    return latest(known_bars(timeline, as_of))


def test_a_row_is_written_for_every_series_and_again_only_when_a_bar_has_closed(house: House, clock: HandClock) -> None:
    extract = extract_of(house)
    first = extract.once()
    assert (first.written, first.unchanged, dict(first.out_of_range)) == (2, 0, {})
    clock.at += HOUR_MS // 2
    assert (extract.once().written, extract.once().unchanged) == (0, 2)
    feed(house, "AAA", seed=1, upto=NOW + HOUR_MS, clock=clock)
    again = extract.once()
    assert (again.written, again.unchanged) == (1, 1)
    assert [(row.as_of, row.data_through) for row in rows_of(house)] == [(NOW, NOW), (clock.at, NOW + HOUR_MS)]
    assert [row.as_of for row in rows_of(house, "BBB")] == [NOW]


def test_a_row_holds_every_indicator_of_the_bars_known_then(house: House) -> None:
    extract_of(house).once()
    (row,) = rows_of(house)
    assert row.names == NAMES
    np.testing.assert_array_equal(row.values, as_it_was(house, "AAA", NOW))
    assert np.isfinite(row.values).mean() > 0.9
    qualities = house.history.qualities("AAA", Timeframe.H1)
    assert qualities is not None
    assert row.quality == qualities[-1]


def test_a_restart_goes_on_where_it_was(tmp_path: Path, house: House, clock: HandClock) -> None:
    extract_of(house).once()
    config = house.config
    house.close()
    opened = build(config, tmp_path / "data", clock)
    try:
        assert extract_of(opened).once().written == 0
        feed(opened, "AAA", seed=1, upto=NOW + HOUR_MS, clock=clock)
        assert extract_of(opened).once().written == 1
        assert [row.data_through for row in rows_of(opened)] == [NOW, NOW + HOUR_MS]
    finally:
        opened.close()


def test_late_and_revised_bars_change_no_row_and_can_be_told_from_what_was_known(
    house: House, clock: HandClock
) -> None:
    extract_of(house).once()
    before = rows_of(house)[0].values
    bars = hourly("AAA", seed=1)
    revised = dataclasses.replace(bars.between(len(bars) - 5, len(bars)))
    close = revised.close * 1.02
    changed = Bars(
        "AAA", Timeframe.H1, revised.open_at, revised.open, np.maximum(revised.high, close), revised.low, close,
        revised.volume,
    )  # fmt: skip
    clock.at += 60_000
    assert house.history.append(checked(changed, "files"), received_at=clock.at, live=False).revised == 5
    feed(house, "AAA", seed=1, upto=NOW + HOUR_MS, clock=clock)
    extract_of(house).once()
    old, new = rows_of(house)
    np.testing.assert_array_equal(old.values, before)
    np.testing.assert_array_equal(as_it_was(house, "AAA", old.as_of), before)
    np.testing.assert_array_equal(as_it_was(house, "AAA", new.as_of), new.values)


@pytest.mark.parametrize("restart", [False, True])
def test_an_archive_that_comes_after_a_row_does_not_count_as_known_before_it(
    tmp_path: Path, house: House, clock: HandClock, restart: bool
) -> None:
    clock.at = NOW + 3 * HOUR_MS  # three bars have closed that nobody has brought yet
    extract_of(house).once()
    (row,) = rows_of(house)
    assert (row.as_of, row.data_through) == (NOW + 3 * HOUR_MS, NOW)
    if restart:
        house.close()
    opened = build(house.config, tmp_path / "data", clock) if restart else house
    try:
        feed(opened, "AAA", seed=1, upto=NOW + 3 * HOUR_MS, clock=clock, live=False)
        np.testing.assert_array_equal(as_it_was(opened, "AAA", row.as_of), row.values)
        assert (as_it_was(opened, "AAA", row.as_of + 1) != row.values).any()
    finally:
        opened.close()


def test_values_that_cannot_be_are_counted_logged_and_kept_as_missing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(bars: Bars) -> Floats:
        values = latest(bars)
        values[NAMES.index("rsi_14")] = 101.0
        values[NAMES.index("adx_14")] = np.inf
        values[NAMES.index("sma_10")] = np.nan
        return values

    monkeypatch.setattr(worker, "latest", broken)
    with caplog.at_level(logging.WARNING):
        done = extract_of(house).once()
    assert done.out_of_range == {"rsi_14": 2, "adx_14": 2}
    assert "4 feature values were out of range" in caplog.text
    assert "AAA 1h: adx_14 is inf; it must be a finite number in 0..100" in caplog.text
    values = dict(zip(NAMES, rows_of(house)[0].values, strict=True))
    assert np.isnan([values["rsi_14"], values["adx_14"], values["sma_10"]]).all()
    assert np.isfinite(values["sma_20"])


def test_a_series_that_has_just_begun_has_a_row_with_what_can_be_said(house: House, clock: HandClock) -> None:
    house.history.append(table("NEW", seed=5, n=30), received_at=NOW, live=False)
    done = extract_of(house).once()
    (row,) = rows_of(house, "NEW")
    values = dict(zip(row.names, row.values, strict=True))
    assert np.isfinite(values["sma_20"])
    assert np.isnan(values["ema_200"])
    assert done.missing >= 1
    clock.at = NOW + HOUR_MS - 5_000  # within the slack that clocks of others have
    house.history.append(table("SOON", seed=6, n=1, end=NOW + HOUR_MS), received_at=clock.at, live=True)
    assert extract_of(house).once().written == 0
    clock.at = NOW + HOUR_MS
    assert extract_of(house).once().written == 1


def test_only_the_configured_symbols_and_timeframes_are_written_down(house: House) -> None:
    def written(symbols: tuple[str, ...] | None, timeframes: tuple[Timeframe, ...]) -> int:
        return ExtractFeatures(house.history, house.features, house.clock, timeframes, symbols).once().written

    assert written(("NOPE",), BOTH) == 0
    assert written(None, (Timeframe.D1,)) == 0
    assert written(("BBB",), BOTH) == 1
    assert rows_of(house, "AAA") == ()


def test_a_round_runs_beside_the_event_loop(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def looked(bars: Bars) -> Floats:
        threads.append(threading.current_thread())
        return latest(bars)

    monkeypatch.setattr(worker, "latest", looked)
    asyncio.run(extract_of(house).run())
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_features_are_made_kept_and_described_without_data_frames(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.conftest import HandClock, NOW, table;"
        "from commands.config import Config; from server import build;"
        "from workers.extract_features import ExtractFeatures; from workers.feature_statistics import DescribeFeatures;"
        "house = build(Config(), Path(sys.argv[1]), HandClock(NOW));"
        "house.history.append(table('AAA', seed=1), received_at=NOW, live=False);"
        "done = ExtractFeatures(house.history, house.features, house.clock, ['1h']).once();"
        "n = DescribeFeatures(house.features, house.summaries, house.clock).once();"
        "print(done.written, n['1h'], 'talib' in sys.modules); house.close();"
        "print(sorted({'polars', 'scipy', 'sklearn', 'torch', 'arch'} & set(sys.modules)), end=' ');"
        "print([one for one in sys.modules if one.startswith('pandas')]);"
        "import pandas; print(len(pandas.Series([1])))"  # hidden from TA-Lib only
    )
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.stdout.split("\n") == ["1 232 True", "[] []", "1", ""], result.stderr
