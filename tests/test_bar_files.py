"""Files of bars: which are taken, what of them, and what is said of the rest."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.bar_file import bar_files, read_bar_file
from market.bar_table import NO_TIME, BarTable, Fault, checked
from market.refusal import BadBarFile, BadSymbol
from ml.bars import HOUR_MS, Bars, Timeframe

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000
N = 20


def columns(**others: Any) -> dict[str, Any]:
    """Good columns, but for those given."""
    close = 100.0 + np.arange(N)
    good = {
        "timestamp": pa.array([START + timedelta(hours=i) for i in range(N)], pa.timestamp("ms", "UTC")),
        "open": close,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": np.full(N, 5.0),
    }
    return {name: value for name, value in {**good, **others}.items() if value is not None}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(content: Mapping[str, Any], name: str = "BTCUSDT_1h.parquet") -> Path:
        path = tmp_path / name
        pa.parquet.write_table(pa.table(content), path)
        return path

    return written


def with_value(name: str, at: int, value: float) -> np.ndarray[Any, Any]:
    column = np.array(columns()[name], dtype=float)
    column[at] = value
    return column


def test_a_parquet_file_becomes_bars_with_origin_files(write: Callable[..., Path]) -> None:
    table = read_bar_file(write(columns()))
    assert (table.symbol, table.timeframe, table.origin, table.source) == (
        "BTCUSDT",
        Timeframe.H1,
        "files",
        "BTCUSDT_1h.parquet",
    )
    assert table.bars.open_at.tolist() == [START_MS + i * HOUR_MS for i in range(N)]
    assert table.bars.close.tolist() == (100.0 + np.arange(N)).tolist()
    assert (table.refused, table.notes) == ((), ())


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_whole_number_times_are_read_in_their_unit_and_the_report_says_so(
    write: Callable[..., Path], unit: str, per_second: int
) -> None:
    seconds = START_MS // 1_000 + 3_600 * np.arange(N)
    table = read_bar_file(write(columns(timestamp=None, open_at=seconds * per_second)))
    assert table.bars.open_at[0] == START_MS
    assert len(table) == N
    assert table.notes == (f"times are whole numbers: read as {unit} since 1970",)


def test_times_with_another_zone_are_read_by_their_zone_and_without_one_as_utc(write: Callable[..., Path]) -> None:
    tokyo = timezone(timedelta(hours=9))
    moments = [(START + timedelta(hours=i)) for i in range(N)]
    zoned = pa.array([one.astimezone(tokyo) for one in moments], pa.timestamp("us", "Asia/Tokyo"))
    naive = pa.array([one.replace(tzinfo=None) for one in moments], pa.timestamp("ns"))
    for times, notes in ((zoned, ()), (naive, ("times carry no zone: read as UTC",))):
        table = read_bar_file(write(columns(timestamp=None, time=times)))
        assert table.bars.open_at[0] == START_MS
        assert table.notes == notes


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,2,0.5,1.5,7\n2024-01-01T01:00:00Z,1,2,0.5,1.5,7\n",
        "Time,Open,High,Low,Close,Volume\n2024-01-01 00:00:00,1,2,0.5,1.5,7\n2024-01-01 01:00:00,1,2,0.5,1.5,7\n",
        "open_at,close,open,high,low,volume\n1704067200000,1.5,1,2,0.5,7\n1704070800000,1.5,1,2,0.5,7\n",
    ],
)
def test_csv_is_read_like_parquet(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ETH-PERP_1h.csv"
    path.write_text(text)
    table = read_bar_file(path)
    assert table.bars.open_at.tolist() == [START_MS, START_MS + HOUR_MS]
    assert table.bars.close.tolist() == [1.5, 1.5]


def test_daily_bars_may_be_dated_by_dates(tmp_path: Path) -> None:
    path = tmp_path / "SPX_1d.csv"
    path.write_text("timestamp,open,high,low,close,volume\n2024-01-01,1,2,0.5,1.5,7\n2024-01-02,1,2,0.5,1.5,7\n")
    assert read_bar_file(path).bars.open_at.tolist() == [START_MS, START_MS + 24 * HOUR_MS]


@pytest.mark.parametrize(
    ("fault", "bad"),
    [
        (Fault.NOT_FINITE, {"close": with_value("close", 3, np.nan)}),
        (Fault.NOT_FINITE, {"high": with_value("high", 3, np.inf)}),
        (Fault.NOT_FINITE, {"volume": pa.array([5.0] * 3 + [None] + [5.0] * (N - 4))}),
        (Fault.NOT_POSITIVE, {"low": with_value("low", 3, 0.0)}),
        (Fault.NOT_POSITIVE, {"low": with_value("low", 3, -2.0)}),
        (Fault.NEGATIVE_VOLUME, {"volume": with_value("volume", 3, -1.0)}),
        (Fault.INCONSISTENT, {"high": with_value("high", 3, 90.0)}),
        (Fault.INCONSISTENT, {"low": with_value("low", 3, 103.5)}),
    ],
)
def test_a_bad_row_is_refused_with_its_number_and_the_rest_is_taken(
    write: Callable[..., Path], fault: Fault, bad: dict[str, Any]
) -> None:
    table = read_bar_file(write(columns(**bad)))
    assert [(one.fault, one.n, one.first_rows) for one in table.refused] == [(fault, 1, (4,))]
    assert len(table) == N - 1
    assert START_MS + 3 * HOUR_MS not in table.bars.open_at


def test_bad_times_are_refused_row_by_row(write: Callable[..., Path]) -> None:
    times = [START + timedelta(hours=i) for i in range(N)]
    times[2] += timedelta(minutes=7)
    times[5] = times[4]
    times[6] = datetime(1901, 1, 1, tzinfo=UTC)
    some: list[datetime | None] = [*times]
    some[9] = None
    table = read_bar_file(write(columns(timestamp=pa.array(some, pa.timestamp("us", "UTC")))))
    assert {one.fault: one.first_rows for one in table.refused} == {
        Fault.OFF_GRID: (3,),
        Fault.DUPLICATE_TIME: (6,),
        Fault.NO_TIME: (7, 10),
    }
    assert table.n_refused == 4
    assert len(table) == N - 4


def test_a_time_that_is_no_whole_millisecond_is_refused_not_rounded(write: Callable[..., Path]) -> None:
    micros = (START_MS + HOUR_MS * np.arange(N)) * 1_000
    micros[3] += 1
    table = read_bar_file(write(columns(timestamp=micros)))
    assert [(one.fault, one.first_rows) for one in table.refused] == [(Fault.OFF_GRID, (4,))]


def test_rows_out_of_order_are_sorted_and_keep_their_row_numbers(write: Callable[..., Path]) -> None:
    backwards = {name: pa.array(column)[::-1] for name, column in columns().items()}
    table = read_bar_file(write(backwards))
    assert table.bars.open_at[0] == START_MS
    assert table.row_numbers.tolist() == list(range(N, 0, -1))
    assert table.notes == (f"rows were not in the order of time: {N - 1} steps back",)


def test_other_columns_are_ignored_and_named(write: Callable[..., Path]) -> None:
    table = read_bar_file(write(columns(spread=np.zeros(N), note=["secret"] * N)))
    assert table.notes == ("columns ignored: spread, note",)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (columns(close=None), "there is no column close"),
        (columns(volume=None), "there is no column volume"),
        (columns(timestamp=None), "there is no column timestamp or open_at or time"),
        (columns(time=np.arange(N)), "2 columns could be timestamp or open_at or time"),
        (columns(close=["secret"] * N), "column close holds string, not numbers"),
        (columns(timestamp=["secret"] * N), "the times are of type string"),
        (columns(timestamp=np.arange(N)), "of no single unit"),
    ],
)
def test_wrong_columns_are_a_typed_error_that_says_what_would_do(
    write: Callable[..., Path], content: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(BadBarFile) as refused:
        read_bar_file(write(content))
    assert wrong in refused.value.wrong
    assert refused.value.file == "BTCUSDT_1h.parquet"
    assert "columns are timestamp" in refused.value.accepted or "times are the opens" in refused.value.accepted
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["X_1h.parquet", "X_1h.csv"])
@pytest.mark.parametrize("content", [b"", b"PAR1\x00\x01rubbish", b'a,"b\n1'])
def test_a_file_that_cannot_be_read_is_a_typed_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadBarFile, match=name):
        read_bar_file(tmp_path / name)
    with pytest.raises(BadBarFile, match="no such file"):
        read_bar_file(tmp_path / f"NOT{name}")


@pytest.mark.parametrize("name", ["BTCUSDT_1d.parquet", "BTCUSDT_5m.parquet"])
def test_a_name_with_the_wrong_timeframe_is_a_typed_error(write: Callable[..., Path], name: str) -> None:
    with pytest.raises(BadBarFile, match=r"grid of 1d|no two bars are nearer than 60 minutes"):
        read_bar_file(write(columns(), name))


def test_only_files_named_after_a_series_are_found_and_the_others_have_a_reason(tmp_path: Path) -> None:
    names = [
        "deep/er/ETH-PERP_5m.csv",
        "BTCUSDT_1h.parquet",
        "BTCUSDT_binanceus_1m_202303.parquet",
        "us_daily.parquet",
        "BTCUSDT_1H.parquet",
        "btcusdt_1h.parquet",
        "_1h.parquet",
        "notes.txt",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found, skipped = bar_files(tmp_path)
    assert [(file.symbol, file.timeframe) for file in found] == [("BTCUSDT", Timeframe.H1), ("ETH-PERP", Timeframe.M5)]
    assert {one.path.name for one in skipped} == {Path(name).name for name in names[2:]}
    assert all("SYMBOL_TIMEFRAME" in one.reason for one in skipped)
    assert bar_files(tmp_path / "notes.txt")[1][0].reason.startswith("that is neither .parquet nor .csv")
    with pytest.raises(BadBarFile, match="no such file or folder"):
        bar_files(tmp_path / "nowhere")


def test_a_file_without_rows_is_an_empty_table(write: Callable[..., Path]) -> None:
    assert len(read_bar_file(write({name: pa.array(column)[:0] for name, column in columns().items()}))) == 0


def test_a_symbol_that_no_question_could_name_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(BadSymbol):
        checked(Bars("btc usdt", Timeframe.H1, np.array([START_MS]), one, one, one, one, one), "push")


def test_a_table_cannot_be_made_of_bars_in_disorder() -> None:
    one = np.ones(2)
    with pytest.raises(ValueError, match="made by `checked`"):
        BarTable(Bars("X", Timeframe.H1, np.array([2, 1]), one, one, one, one, one), "push", np.array([1, 2]))


NUMBER = st.one_of(st.floats(0.5, 2.0), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, 5e-324]))
ROW = st.tuples(st.one_of(st.integers(0, 30), st.just(NO_TIME)), NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, max_size=30))
def test_of_any_rows_each_is_taken_or_refused_once_and_only_sound_ones_are_taken(rows: list[tuple[float, ...]]) -> None:
    times = np.array([NO_TIME if row[0] == NO_TIME else START_MS + row[0] * HOUR_MS for row in rows], dtype=np.int64)
    numbers = [np.array([row[i] for row in rows], dtype=float) for i in range(1, 6)]
    table = checked(Bars("X", Timeframe.H1, times, *numbers), "push")
    assert len(table) + table.n_refused == len(rows)
    bars = table.bars
    assert (np.diff(bars.open_at) > 0).all()
    assert np.isfinite(np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume])).all()
    assert (bars.low > 0).all()
    assert (bars.high >= bars.low * (1 - 1e-9)).all()
    assert (times[table.row_numbers - 1] == bars.open_at).all()


def test_a_compressed_csv_is_not_taken_for_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "X_1h.csv.gz"
    path.write_bytes(gzip.compress(b"timestamp,open\n"))
    assert bar_files(tmp_path)[0] == ()
