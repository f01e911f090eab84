"""Real files import whole, and their gaps are those that the owner of the data counted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from market.bar_file import bar_files, read_bar_file
from market.calendar import around_the_clock, gaps
from market.quality import USABLE, scores
from ml.bars import DAY_MS
from tests.test_history import Kept

FOLDER = os.environ.get("BAROGRAPH_MARKET_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="BAROGRAPH_MARKET_DATA is not set: no real market data here")

#: After every file of the collection.
LATER = 1_900_000_000_000 // DAY_MS * DAY_MS


@pytest.mark.parametrize("market", ["crypto", "fx", "index"])
def test_every_file_of_bars_imports_whole_with_its_gaps_known(market: str) -> None:
    root = Path(FOLDER)
    described = {one["file"]: one for one in json.loads((root / "manifest.json").read_text())["files"]}
    found, skipped = bar_files(root / "ohlcv" / market)
    assert len(found) + len(skipped) == len(list((root / "ohlcv" / market).iterdir()))
    assert len(found) >= 2
    for file in found:
        said = described[file.path.relative_to(root).as_posix()]
        table = read_bar_file(file.path)
        missing = [gap.n_missing for gap in gaps(table.bars)]
        assert (len(table), table.refused) == (said["rows"], ()), file.path.name
        assert sum(missing) == said["quality"]["missing_bars"], file.path.name
        assert max(missing, default=0) == pytest.approx(said["quality"]["longest_gap_bars"], abs=1), file.path.name
        assert around_the_clock(table.bars, int(table.bars.open_at[-1])) == (market == "crypto")
        assert (scores(table.bars) > USABLE).mean() > 0.99


def test_files_that_are_not_one_series_are_skipped_with_a_reason() -> None:
    found, skipped = bar_files(Path(FOLDER) / "ohlcv")
    reasons = {one.path.name: one.reason for one in skipped}
    assert {"BTCUSDT_binanceus_1m_202303.parquet", "us_daily.parquet", "USDJPY_1m_bidask.parquet"} <= set(reasons)
    assert all(reasons.values())
    assert {file.path.name for file in found}.isdisjoint(reasons)


def test_real_history_survives_a_restart_and_loads_in_seconds(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    history = kept.open()
    found, _ = bar_files(Path(FOLDER) / "ohlcv")
    receipt = history.append([read_bar_file(file.path) for file in found], received_at=LATER, live=False)
    started = time.perf_counter()
    again = kept.open()
    assert time.perf_counter() - started < 5.0
    assert again.series() == history.series()
    assert sum(info.n_bars for info in again.series()) == receipt.new
