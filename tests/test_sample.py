"""The sample market needs nothing, and says what it is."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from market.arch_data import FILES, arch_folder
from market.bar_table import picked
from market.sample import COINS, SAMPLE_DAYS, SampleFeed, sample_anchor, sample_market
from ml.bars import DAY_MS, HOUR_MS, Timeframe

#: Within an hour of a day in 2026.
NOW = 1_795_003_456_789
LAST_CLOSE = NOW // HOUR_MS * HOUR_MS
ROOT = Path(__file__).parent.parent


def arch_like(folder: Path, text: str) -> Path:
    for file in FILES.values():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    return folder


def test_the_coins_are_simulated_and_say_so_twice() -> None:
    coins = [table for table in sample_market(NOW).tables if table.timeframe is Timeframe.H1]
    assert [table.symbol for table in coins] == [coin.symbol for coin in COINS]
    for table in coins:
        assert table.symbol.startswith("SIM")
        assert table.origin == "simulated"
        assert table.bars.close_at[-1] == LAST_CLOSE
        assert SAMPLE_DAYS * 24 <= len(table) <= (SAMPLE_DAYS + 1) * 24
        assert table.refused == ()


@pytest.mark.skipif(arch_folder() is None, reason="the arch package is not installed")
def test_the_indices_of_arch_are_real_and_daily() -> None:
    sample = sample_market(NOW)
    indices = {table.symbol: table for table in sample.tables if table.timeframe is Timeframe.D1}
    assert set(indices) == {"SPX", "NASDAQ"}
    assert sample.notes == ()
    for table in indices.values():
        assert table.origin == "real (arch package)"
        assert len(table) > 5_000
        assert (table.bars.open_at % DAY_MS == 0).all()
    assert indices["SPX"].bars.close[0] == 1228.099976
    assert indices["SPX"].bars.open_at[0] == 915_408_000_000  # 1999-01-04


def test_without_arch_there_are_the_coins_and_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("market.sample.arch_folder", lambda: None)
    sample = sample_market(NOW)
    assert len(sample.tables) == len(COINS)
    assert "arch package is not installed" in sample.notes[0]
    damaged = sample_market(NOW, arch_data=arch_like(tmp_path, "Day,Open\n1,2\n"))
    assert len(damaged.tables) == len(COINS)
    assert "cannot be read" in damaged.notes[0]


def test_arch_files_are_read_by_their_american_dates(tmp_path: Path) -> None:
    folder = arch_like(tmp_path, "Date,Open,High,Low,Close,Adj Close,Volume\n2/1/2018,10,12,9,11,11,500\n")
    spx = sample_market(NOW, arch_data=folder).tables[len(COINS)]
    assert (spx.symbol, spx.bars.open_at.tolist()) == ("SPX", [1_517_443_200_000])


def test_the_feed_goes_on_where_the_sample_ended() -> None:
    sample = sample_market(NOW)
    feed = SampleFeed(sample.anchor_ms)
    later = NOW + 40 * DAY_MS
    whole = sample_market(later, anchor_ms=sample.anchor_ms)
    for first, rest, every in zip(sample.tables, feed.closed_bars(NOW, later), whole.tables, strict=False):
        assert rest.bars.open_at[0] == first.bars.open_at[-1] + HOUR_MS
        assert rest.bars.close_at[-1] == later // HOUR_MS * HOUR_MS
        for name in ("open_at", "open", "high", "low", "close", "volume"):
            joined = np.concatenate([getattr(first.bars, name), getattr(rest.bars, name)])
            assert joined.tobytes() == getattr(every.bars, name).tobytes()


def test_hour_by_hour_is_the_same_market_as_all_at_once() -> None:
    anchor = sample_anchor(NOW)
    feed = SampleFeed(anchor, coins=COINS[:2])
    (whole, _) = SampleFeed(anchor, coins=COINS[:2]).closed_bars(anchor, anchor + 2_000 * HOUR_MS)
    seen: list[float] = []
    for hour in range(0, 2_000, 100):
        (one, _) = feed.closed_bars(anchor + hour * HOUR_MS, anchor + (hour + 100) * HOUR_MS)
        seen += one.bars.close.tolist()
    assert seen == whole.bars.close.tolist()


def test_a_feed_has_nothing_before_its_anchor_or_within_an_hour() -> None:
    feed = SampleFeed(sample_anchor(NOW))
    for after, through in ((0, 1_000), (NOW, NOW), (LAST_CLOSE, LAST_CLOSE + HOUR_MS - 1), (NOW, NOW - DAY_MS)):
        assert [len(table) for table in feed.closed_bars(after, through)] == [0] * len(COINS)
    (first, *_) = feed.closed_bars(LAST_CLOSE - 1, LAST_CLOSE)
    assert picked(first.bars, np.array([0])).close_at.tolist() == [LAST_CLOSE]


def test_the_anchor_is_a_midnight_and_can_be_found_again_in_the_bars() -> None:
    sample = sample_market(NOW)
    assert sample.anchor_ms % DAY_MS == 0
    assert all(table.bars.open_at[0] == sample.anchor_ms for table in sample.tables[: len(COINS)])


def test_the_sample_is_there_in_a_second_without_arch_or_pandas_being_imported() -> None:
    code = (
        "import json, sys, time; started = time.perf_counter();"
        "from market.sample import sample_market; tables = sample_market(1_795_003_456_789).tables;"
        "took = time.perf_counter() - started;"
        "print(json.dumps([len(tables), took, sorted({'arch', 'pandas', 'scipy', 'duckdb'} & set(sys.modules))]))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    n_tables, took, imported = json.loads(result.stdout)
    assert n_tables >= len(COINS)
    assert imported == []
    assert took < 3.0  # about 0.5 s on an idle core; the limit leaves room for a busy one
