"""`barograph import bars`: good files come in once and whole, bad ones are named, and nothing is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from market.bar_file import read_bar_file
from registry.owner import Ownership
from tests.cli import Said, barograph, write_bars
from tests.conftest import NOW, hourly


def imported(tmp_path: Path, *words: object) -> Said:
    return barograph("import", "bars", tmp_path / "files", "--data", tmp_path / "data", *words)


def test_bars_come_in_and_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=300))
    first = imported(tmp_path)
    assert (first.code, first.out) == (0, "AAA 1h: 300 new\n")
    again = imported(tmp_path, "--json")
    assert again.code == 0
    (series,) = again.json["series"]
    assert (series["new"], series["late"], series["revised"], series["repeated"]) == (0, 0, 0, 300)


def test_files_of_one_series_are_joined_whatever_their_order(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=1, n=300)
    write_bars(tmp_path / "files" / "a", bars.between(150, 300))
    write_bars(tmp_path / "files" / "b", bars.between(0, 200))
    said = imported(tmp_path, "--json")
    (series,) = said.json["series"]
    assert (series["new"], series["late"], series["refused_rows"]) == (300, 0, {})
    assert series["notes"][-1].endswith("50 bars are in both")


def test_where_files_disagree_on_a_bar_the_first_stands_and_it_is_said(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=1, n=100)
    write_bars(tmp_path / "files" / "a", bars)
    write_bars(tmp_path / "files" / "b", bars, volume=np.where(np.arange(100) < 3, bars.volume + 1, bars.volume))
    said = imported(tmp_path)
    assert "100 new" in said.out
    assert "3 of them differ: those of AAA_1h.parquet stand" in said.out


def test_a_bad_file_is_refused_by_name_and_the_good_ones_come_in(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    write_bars(tmp_path / "files", hourly("BBB", seed=2, n=100), close=None)
    (tmp_path / "files" / "CCC_1h.parquet").write_bytes(b"PAR1 this is none")
    (tmp_path / "files" / "notes[1].txt").write_text("hello")
    said = imported(tmp_path)
    assert said.code == 1
    assert "AAA 1h: 100 new" in said.out
    assert "BBB_1h.parquet: there is no column close; columns are timestamp" in said.out
    assert "CCC_1h.parquet: it cannot be read as parquet" in said.out
    assert "skipped notes[1].txt: that is neither .parquet nor .csv" in said.out
    told = imported(tmp_path, "--json").json
    assert [one["file"] for one in told["refused"]] == ["BBB_1h.parquet", "CCC_1h.parquet"]
    assert [one["file"] for one in told["skipped"]] == ["notes[1].txt"]


def test_rows_that_cannot_be_are_counted_with_their_numbers(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=1, n=100)
    close = bars.close.copy()
    close[[10, 20]] = np.nan
    write_bars(tmp_path / "files", bars, close=close)
    said = imported(tmp_path)
    assert said.code == 0
    assert "98 new" in said.out
    assert "2 rows refused: a price or the volume is missing, NaN or infinite (rows [11, 21])" in said.out


def test_of_joined_files_a_refused_row_keeps_the_number_it_has_in_its_file(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=1, n=100)
    second = bars.open_at[50:].copy()
    second[7] += 20 * 60_000  # off the grid: its row in the second file is 8
    write_bars(tmp_path / "files" / "a", bars.between(0, 50))
    write_bars(tmp_path / "files" / "b", bars.between(50, 100), timestamp=second)
    (series,) = imported(tmp_path, "--json").json["series"]
    assert series["new"] == 99
    (refused,) = series["refused_rows"].values()
    assert refused == {"rows": 1, "first": [8]}


def test_a_folder_without_bars_and_a_path_without_anything_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    empty = imported(tmp_path)
    assert (empty.code, empty.out) == (1, "nothing was imported: there is no file of bars at this path\n")
    nothing = barograph("import", "bars", tmp_path / "nowhere", "--data", tmp_path / "data", "--json")
    assert nothing.code == 2
    assert nothing.error["message"] == "nowhere: there is no such file or folder; a path that exists"


def test_a_full_disk_is_told_and_the_same_import_succeeds_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    write_bars(tmp_path / "files", hourly("BBB", seed=2, n=100))
    imported(tmp_path)  # the folder is there
    write_bars(tmp_path / "files", hourly("CCC", seed=3, n=100))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("registry.disk._write", full)
        said = imported(tmp_path, "--json")
    assert said.code == 2
    assert "no space left" in said.error["message"]
    assert "Free some space and try again" in said.error["message"]
    after = imported(tmp_path, "--json").json["series"]
    assert [(one["symbol"], one["new"], one["repeated"]) for one in after] == [
        ("AAA", 0, 100),
        ("BBB", 0, 100),
        ("CCC", 100, 0),
    ]


def test_while_a_server_has_the_folder_it_says_what_to_do(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    ownership = Ownership.claim(tmp_path / "data", 4_242, NOW)
    ownership.announce("http://127.0.0.1:9")
    said = imported(tmp_path, "--json")
    ownership.release()
    assert said.code == 3
    for part in ("process 4242 at http://127.0.0.1:9", "stop it (kill 4242), import", "nothing was imported"):
        assert part in said.error["message"]
    assert imported(tmp_path).out == "AAA 1h: 100 new\n"


def test_a_clock_that_stands_in_the_past_takes_no_bar_of_the_future_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    with monkeypatch.context() as patched:
        patched.setattr("commands.importing.system_clock", lambda: NOW - 10_000 * 3_600_000)
        early = imported(tmp_path)
    assert early.code == 1
    assert "100 rows refused: the bar was not closed yet when it was received" in early.out
    assert imported(tmp_path).out == "AAA 1h: 100 new\n"


def test_a_series_that_was_simulated_takes_no_bars_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    with monkeypatch.context() as patched:
        patched.setattr("market.bar_file.ORIGIN", "simulated")
        assert imported(tmp_path).code == 0
    said = imported(tmp_path)
    assert said.code == 1
    assert "the 1h bars of AAA come from 'simulated', these come from 'files'" in said.out


def test_real_files_come_in_whole(tmp_path: Path, market_data: Path) -> None:
    path = market_data / "ohlcv" / "index" / "SPX_1d.parquet"
    said = barograph("import", "bars", path, "--data", tmp_path / "data", "--json")
    (series,) = said.json["series"]
    assert (said.code, series["new"]) == (0, pq.read_metadata(path).num_rows)
    assert series["new"] == len(read_bar_file(path))
