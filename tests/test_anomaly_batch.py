"""`barograph call TOOL --bars FILE`: one row per bar, as the road would have answered at its close."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from commands.config import Config
from ml.anomaly import ANOMALY, AnomalyQuestion
from ml.anomaly.learner import LEARNER
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.capability import Given
from ml.timeline import StillMarket
from registry.models import Card
from server import build
from tests.cli import barograph, write_bars
from tests.conftest import NOW, HandClock
from tests.test_anomaly import ended, market
from tests.test_anomaly_learner import fitted
from workers.train import SUFFIX

FIELDS = ["score", "is_anomaly", "type", "channel", "once_in_days", "market_wide_share", "calibrated_to"]


def table_of(*bars: Bars) -> pa.Table:
    """Several symbols in one file."""
    return pa.concat_tables(
        pa.table(
            {
                "symbol": [one.symbol] * len(one),
                "timestamp": pa.array(one.open_at, pa.timestamp("ms", tz="UTC")),
                **{name: getattr(one, name) for name in ("open", "high", "low", "close", "volume")},
            }
        )
        for one in bars
    )


def test_a_file_of_bars_becomes_a_file_of_answers_row_by_row(tmp_path: Path) -> None:
    bars = ended(market(), move=0.15, volume_sd=5.0)
    file = write_bars(tmp_path, bars)
    out = tmp_path / "answers.parquet"
    said = barograph("call", "detect_anomalies", "--bars", file, "--out", out, "--data", tmp_path / "none", "--json")
    assert (said.code, said.json["rows"], said.json["file"]) == (0, len(bars), str(out))
    told = pq.read_table(out)
    assert told.column_names == ["timestamp", *FIELDS, "answered_by", "why"]
    rows = told.to_pylist()
    assert len(rows) == len(bars)
    assert rows[0]["score"] is None
    assert rows[0]["why"].startswith("too_little_history")
    assert (rows[-1]["type"], rows[-1]["is_anomaly"], rows[-1]["why"]) == ("price", True, None)
    assert rows[-1]["answered_by"] == "anomaly@0"
    road = ANOMALY.features.rows([AnomalyQuestion(symbol="BTCUSDT")], bars.close_at[-1:], StillMarket.of(bars))
    (outcome,) = ANOMALY.rules.predict(road)
    assert isinstance(outcome, Given)
    assert rows[-1]["score"] == outcome.answer.score


def test_symbols_of_one_file_are_each_others_panel_and_the_order_of_rows_is_kept(tmp_path: Path) -> None:
    bars = [ended(market(symbol=f"C{i}", seed=i), move=-0.15, volume_sd=5.0) for i in range(3)]
    table = table_of(*bars)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
    pq.write_table(shuffled, tmp_path / "all.parquet")
    out = tmp_path / "answers.csv"
    assert barograph("call", "detect_anomalies", "--bars", tmp_path / "all.parquet", "--out", out).code == 0
    told = pyarrow.csv.read_csv(out)
    assert told["symbol"].to_pylist() == shuffled["symbol"].to_pylist()
    newest = [row for row in told.to_pylist() if row["timestamp"].timestamp() * 1_000 == bars[0].open_at[-1]]
    assert [row["market_wide_share"] for row in newest] == [1.0] * 3


def test_without_a_file_for_them_the_answers_come_as_text_or_as_lines_of_json(tmp_path: Path) -> None:
    file = write_bars(tmp_path, market(700, tf=Timeframe.M5))
    text = barograph("call", "detect_anomalies", "--bars", file)
    assert text.out.splitlines()[0].startswith('"timestamp","score"')
    assert len(text.out.splitlines()) == 701
    lines = barograph("call", "detect_anomalies", "--bars", file, "--json").out.splitlines()
    assert len(lines) == 700
    assert json.loads(lines[-1])["score"] is not None


def test_any_tool_that_reads_bars_takes_a_file_with_fields_of_its_own(tmp_path: Path) -> None:
    file = write_bars(tmp_path, market(900))
    out = tmp_path / "v.parquet"
    words = ["call", "forecast_volatility", "--horizon", "6h", "--bars", file, "--out", out]
    assert barograph(*words).code == 0
    assert pq.read_table(out)["volatility_pct"].to_pylist()[-1] > 0


def test_the_length_of_a_bar_is_told_from_the_file_or_said(tmp_path: Path) -> None:
    bars = market(700, tf=Timeframe.M30)
    file = write_bars(tmp_path, bars)
    out = tmp_path / "a.parquet"
    assert (
        barograph("call", "detect_anomalies", "--bars", file, "--out", out).code == 0
    )  # read as 15m, every other one missing
    days = pq.read_table(out)["once_in_days"].to_pylist()[-1]
    score = pq.read_table(out)["score"].to_pylist()[-1]
    assert days is None or days == pytest.approx(10 ** (4 * score) / 96)
    said = barograph("call", "detect_anomalies", "--bars", file, "--out", out, "--timeframe", "30m")
    assert said.code == 0
    assert {one.split(":")[0] for one in pq.read_table(out)["why"].to_pylist()} == {"not_measured"}
    odd = barograph("call", "detect_anomalies", "--bars", file, "--timeframe", "7m", "--json")
    assert "no timeframe is called 7m" in odd.error["message"]


def test_a_champion_in_the_data_folder_answers_for_times_after_it_had_learnt(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.batch.system_clock", clock)
    bars = market(900)
    bars = replace(bars, open_at=bars.open_at - bars.open_at[-1] + NOW - HOUR_MS)
    clock.at = NOW - 90 * HOUR_MS
    house = build(Config(), tmp_path / "data", clock)
    try:
        sha256 = house.trainer.blobs.put(fitted().artefact.to_bytes(), SUFFIX)
        names = tuple(ANOMALY.features.names)
        learnt = NOW - 100 * HOUR_MS
        card = Card(LEARNER.name, sha256, names, 9, "0" * 64, 0, learnt, 0, "0" * 64, {}, 0, {})
        version = house.versions.register("anomaly", card, NOW - 90 * HOUR_MS).version
        house.versions.promote("anomaly", version, ["a test wants it"], "test", NOW - 50 * HOUR_MS)
    finally:
        house.close()
    out = tmp_path / "a.parquet"
    words = [
        "call",
        "detect_anomalies",
        "--bars",
        write_bars(tmp_path, bars),
        "--out",
        out,
        "--data",
        tmp_path / "data",
    ]
    assert barograph(*words).code == 0
    who = pq.read_table(out)["answered_by"].to_pylist()
    assert set(who[-45:]) == {"anomaly@1"}
    assert set(who[-300:-55]) == {"anomaly@0"}


def test_what_cannot_be_done_is_said_in_a_line(tmp_path: Path) -> None:
    file = write_bars(tmp_path, market(700))
    assert "there are" in barograph("call", "no_such_tool", "--bars", file, "--json").error["message"]
    assert "--bars" in barograph("call", "detect_anomalies", "--out", tmp_path / "x", "--json").error["message"]
    missing = barograph("call", "detect_anomalies", "--bars", tmp_path / "none.parquet", "--json")
    assert missing.code == 2
    other = barograph("call", "forecast_volatility", "--horizon", "9h", "--bars", file, "--json")
    assert "horizon" in other.error["message"]
    pq.write_table(pa.table({"timestamp": [1], "open": [1.0]}), tmp_path / "few.parquet")
    assert barograph("call", "detect_anomalies", "--bars", tmp_path / "few.parquet", "--json").code == 2


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BAROGRAPH_CONFIG", raising=False)
    monkeypatch.setenv("BAROGRAPH_DATA", str(tmp_path / "no-data-folder"))
