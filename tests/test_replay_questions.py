"""`barograph replay --questions`: a row for every row, in order, point in time, with a reason where there is no
answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from market.joined import joined
from ml.bars import HOUR_MS
from ml.catalogue import CATALOGUE
from tests.cli import Said, barograph, write_bars
from tests.conftest import NOW, hourly, table
from tools.reply import moment

N = 80 * 24
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
FIELDS = list(VOLATILITY.answer.model_fields)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 days of hourly bars of AAA and BBB that end at NOW, and daily bars of DDD."""
    folder = tmp_path_factory.mktemp("files")
    for seed, symbol in enumerate(("AAA", "BBB")):
        write_bars(folder, hourly(symbol, seed=seed, n=N))
    return folder


def ask(files: Path, folder: Path, questions: dict[str, Any], *words: object, capability: str = "volatility") -> Said:
    pq.write_table(pa.table(questions), folder / "Q.parquet")
    given = ["--capability", capability, "--data", files, "--questions", folder / "Q.parquet"]
    return barograph("replay", *given, "--out", folder / "A.parquet", *words)


def answered(files: Path, folder: Path, questions: dict[str, Any], *words: object, **more: Any) -> pa.Table:
    said = ask(files, folder, questions, *words, **more)
    assert said.code == 0, said.err
    return pq.read_table(folder / "A.parquet")


def ms(*instants: int) -> pa.Array:
    return pa.array(instants, pa.timestamp("ms", tz="UTC"))


def test_each_row_is_answered_in_its_place_and_its_fields_are_echoed(files: Path, tmp_path: Path) -> None:
    at = [NOW - hours * HOUR_MS for hours in (50, 10, 90, 10, 10)]
    questions = {
        "use": ["advice", None, "veto", "advice", "advice"],
        "symbol": ["BBB", "AAA", "BBB", "AAA", "BBB"],
        "as_of": ms(*at),
        "horizon": ["6h", "24h", "48h", "24h", "6h"],
    }
    told = answered(files, tmp_path, questions)
    for name, column in questions.items():
        assert told[name].to_pylist() == (column if isinstance(column, list) else column.to_pylist())
    assert told["source"].to_pylist() == ["rules"] * 5
    rows = told.select([*FIELDS, "prediction_id"]).to_pylist()
    assert rows[1]["var"] == rows[3]["var"], "asked twice, answered twice"
    assert len({row["var"] for row in rows}) == 4
    assert told["truth"].null_count < 5


def test_the_answers_of_a_file_are_those_of_a_walk(files: Path, tmp_path: Path) -> None:
    words = ["--capabilities", "volatility", "--start", moment(NOW - 40 * HOUR_MS).isoformat()]
    assert barograph("replay", "--data", files, "--out", tmp_path / "out", *words).code == 0
    walked = pq.read_table(tmp_path / "out" / "volatility.parquet")
    shuffled = walked.take(pa.array(np.random.default_rng(5).permutation(len(walked))))
    told = answered(files, tmp_path, {name: shuffled[name] for name in ("symbol", "as_of", "horizon")})
    assert told.equals(shuffled)


def test_bad_rows_keep_their_place_with_nulls_and_a_reason(files: Path, tmp_path: Path) -> None:
    good = NOW - 30 * HOUR_MS
    rows: list[tuple[Any, Any, Any, str]] = [
        ("AAA", good, "24h", ""),
        ("AAA", good, "7h", "bad_question: horizon: "),
        ("AAA", good, "1d", "bad_question: horizon 1d does not fit 1h bars"),
        ("NOPE", good, "24h", "unknown_symbol: "),
        ("not a symbol", good, "24h", "bad_question: symbol: "),
        (None, good, "24h", "bad_question: symbol: "),
        ("AAA", None, "24h", "bad_question: as_of is missing"),
        ("AAA", NOW - 10_000 * HOUR_MS, "24h", "as_of_before_history: "),
        ("AAA", NOW - (N - 2) * HOUR_MS, "24h", "too_little_history: "),
        ("AAA", NOW + 1_000 * HOUR_MS, "24h", "data_too_old: "),
        ("AAA", -5, "24h", "bad_question: as_of lies outside 1970..2100"),
        ("AAA", 2**60, "24h", "bad_question: as_of lies outside 1970..2100"),
        ("BBB", good, "6h", ""),
    ]
    symbols, instants, horizons, whys = zip(*rows, strict=True)
    questions = {"symbol": list(symbols), "as_of": pa.array(instants, pa.int64()), "horizon": list(horizons)}
    said = ask(files, tmp_path, questions)
    told = pq.read_table(tmp_path / "A.parquet")
    assert said.code == 0
    assert "note: 7 of 13 rows could not be asked; column why says what is wrong" in said.err
    assert "13 rows, 2 answered, 11 abstentions" in said.out
    assert told["symbol"].to_pylist() == list(symbols)
    assert told["horizon"].to_pylist() == list(horizons)
    for row, why in zip(told.to_pylist(), whys, strict=True):
        assert (row["why"] or "").startswith(why)
        assert (row["source"] == "abstain") == bool(why)
        assert all((row[name] is None) == bool(why) for name in FIELDS)
    assert barograph(
        "replay", "--capability", "volatility", "--data", files, "--questions", tmp_path / "Q.parquet", "--out",
        tmp_path / "A.parquet", "--json",
    ).json["replayed"][0]["abstentions"] == {
        "bad_question": 7, "unknown_symbol": 1, "as_of_before_history": 1, "too_little_history": 1, "data_too_old": 1
    }  # fmt: skip


AT = NOW - 30 * HOUR_MS
NAIVE = moment(AT).replace(tzinfo=None)
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "as_of",
    [
        pa.array([AT], pa.int64()),
        pa.array([AT], pa.timestamp("ms", tz="UTC")),
        pa.array([AT], pa.timestamp("ms")),
        pa.array([AT * 1_000 + 999], pa.timestamp("us", tz="Asia/Kolkata")),
        pa.array([AT * 1_000_000 + 999_999], pa.timestamp("ns")),
        pa.array([AT // 1_000], pa.timestamp("s")),
        pa.array([float(AT)]),
        pa.array([NAIVE.isoformat()]),
        pa.array([NAIVE.isoformat(" ") + "Z"]),
        pa.array([moment(AT).astimezone(EAST).isoformat()]),
        pa.array([moment(AT).isoformat() + ""]).dictionary_encode(),
        pa.array([NAIVE.isoformat() + ".000999"], pa.large_string()),
    ],
    ids=lambda column: str(column.type),
)
def test_every_way_of_writing_an_as_of_is_one_instant(files: Path, tmp_path: Path, as_of: pa.Array) -> None:
    told = answered(files, tmp_path, {"symbol": ["AAA"], "as_of": as_of})
    assert told["as_of"].to_pylist() == [moment(AT)]
    assert told["source"].to_pylist() == ["rules"]
    assert told["horizon"].to_pylist() == ["24h"], "the horizon that was answered, where the file names none"


def test_a_date_is_its_midnight_and_text_that_is_no_time_a_bad_row(files: Path, tmp_path: Path) -> None:
    day = answered(files, tmp_path, {"symbol": ["AAA"], "as_of": [moment(AT).date()]})
    assert day["as_of"].to_pylist() == [moment(AT // (24 * HOUR_MS) * (24 * HOUR_MS))]
    text = answered(files, tmp_path, {"symbol": ["AAA", "AAA"], "as_of": ["yesterday", None]})
    assert text["as_of"].to_pylist() == [None, None]
    assert text["why"].to_pylist() == ["bad_question: as_of is missing or no time"] * 2


def test_a_file_that_pandas_wrote_is_read_with_its_index_and_its_categories(files: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "symbol": pd.Categorical(["AAA", "BBB", "AAA"]),
            "as_of": pd.to_datetime([AT, AT, AT], unit="ms", utc=True),
            "horizon": ["6h", "12h", None],
        }
    )
    frame[frame["symbol"] == "AAA"].to_parquet(tmp_path / "Q.parquet")
    words = ["--capability", "volatility", "--data", files, "--questions", tmp_path / "Q.parquet"]
    assert barograph("replay", *words, "--out", tmp_path / "A.parquet").code == 0
    told = pd.read_parquet(tmp_path / "A.parquet")
    assert told["symbol"].tolist() == ["AAA", "AAA"]
    assert told["horizon"].tolist() == ["6h", "24h"]
    assert told["as_of"].tolist() == frame["as_of"][:2].tolist()


def test_no_answer_knows_what_came_after_its_as_of(files: Path, tmp_path: Path) -> None:
    at = NOW - 200 * HOUR_MS
    bars = hourly("AAA", seed=0, n=N)
    write_bars(tmp_path / "cut", bars.between(0, N - 200))
    questions = {"symbol": ["AAA"] * 2, "as_of": ms(at, at - 1), "horizon": ["24h"] * 2}
    full = answered(files, tmp_path, questions).select([*FIELDS, "prediction_id"])
    cut = answered(tmp_path / "cut", tmp_path, questions).select([*FIELDS, "prediction_id"])
    assert cut.equals(full)
    one, earlier = cut.to_pylist()
    assert one["prediction_id"] != earlier["prediction_id"], "a bar is known at its close, not a millisecond earlier"


def test_regime_is_asked_without_a_horizon(files: Path, tmp_path: Path) -> None:
    told = answered(files, tmp_path, {"symbol": ["AAA", "BBB"], "as_of": ms(AT, AT)}, capability="regime")
    assert told["label"].null_count == 0
    assert told["horizon"].to_pylist() == [None, None]


def test_a_column_of_timeframes_wins_over_the_option(files: Path, tmp_path: Path) -> None:
    bars = table("AAA", seed=0, n=N).bars
    write_bars(tmp_path / "both", bars)
    days = bars.between(0, N // 24)
    opens = NOW - np.arange(len(days), 0, -1, dtype=np.int64) * 24 * HOUR_MS
    daily = write_bars(tmp_path / "both", days, timestamp=pa.array(opens, pa.timestamp("ms")))
    daily.rename(daily.with_name("AAA_1d.parquet"))
    write_bars(tmp_path / "both", bars)
    questions = {"symbol": ["AAA"] * 2, "as_of": ms(AT, AT), "timeframe": ["1h", "1d"], "horizon": ["24h", "1d"]}
    told = answered(tmp_path / "both", tmp_path, questions)
    assert told["timeframe"].to_pylist() == ["1h", "1d"]
    assert told["source"].to_pylist()[0] == "rules"
    assert told["why"].to_pylist()[1].startswith("too_little_history: ")


def test_a_file_without_questions_gives_a_file_without_answers(files: Path, tmp_path: Path) -> None:
    told = answered(files, tmp_path, {"symbol": pa.array([], pa.string()), "as_of": ms()})
    assert len(told) == 0
    assert told.column_names[:3] == ["symbol", "as_of", "horizon"]


def test_symbols_that_nobody_feeds_are_rows_not_an_error(files: Path, tmp_path: Path) -> None:
    told = answered(files, tmp_path, {"symbol": ["NOPE"] * 2, "as_of": ms(AT, AT)})
    assert [why.partition(":")[0] for why in told["why"].to_pylist()] == ["unknown_symbol"] * 2


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        ({"symbol": ["AAA"]}, "missing: as_of"),
        ({"when": [1]}, "missing: symbol, as_of; no fields: when"),
        ({"symbol": ["AAA"], "as_of": [AT], "horizn": ["6h"]}, "no fields: horizn"),
        ({"symbol": [7], "as_of": [AT]}, "column symbol holds int64, not text"),
        ({"symbol": ["AAA"], "as_of": [True]}, "as_of holds bool; accepted are timestamps"),
        ({"symbol": ["AAA"], "as_of": [[1]]}, "as_of holds list"),
    ],
)
def test_a_file_with_wrong_columns_is_an_error_that_names_them(
    files: Path, tmp_path: Path, questions: dict[str, Any], says: str
) -> None:
    said = ask(files, tmp_path, questions, "--json")
    assert said.code == 2
    assert says in said.error["message"]
    assert not (tmp_path / "A.parquet").exists()


def test_questions_that_cannot_be_run_are_told(files: Path, tmp_path: Path) -> None:
    questions = {"symbol": ["AAA"], "as_of": [AT]}
    assert "name it with --capability" in ask(files, tmp_path, questions, "--json", capability="").error["message"]
    both = ask(files, tmp_path, questions, "--json", capability="regime,volatility")
    assert "name it with --capability" in both.error["message"]
    unknown = ask(files, tmp_path, questions, "--json", capability="weather")
    assert "there is no capability weather; there are regime, volatility" in unknown.error["message"]
    given = ["replay", "--capability", "regime", "--data", files, "--json"]
    none = barograph(*given, "--questions", tmp_path / "none.parquet", "--out", tmp_path / "A.parquet")
    assert none.error["message"] == "none.parquet: there is no such file"
    (tmp_path / "text.parquet").write_text("symbol,as_of\n")
    text = barograph(*given, "--questions", tmp_path / "text.parquet", "--out", tmp_path / "A.parquet")
    assert "text.parquet: is not a readable Parquet file" in text.error["message"]
    folder = barograph(*given, "--questions", tmp_path / "Q.parquet", "--out", tmp_path)
    assert "is a folder; with --questions, --out names the file of answers" in folder.error["message"]
    same = barograph(*given, "--questions", tmp_path / "Q.parquet", "--out", tmp_path / "Q.parquet")
    assert "would replace the questions" in same.error["message"]
    walk = barograph(*given, "--questions", tmp_path / "Q.parquet", "--out", tmp_path / "A.parquet", "--symbols", "AAA")
    assert "belong to a walk" in walk.error["message"]


def test_rules_only_is_taken_and_folders_given_twice_are_joined(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=0, n=N)
    write_bars(tmp_path / "late", bars.between(N // 2, N))
    write_bars(tmp_path / "early", bars.between(0, N // 2))
    told = answered(
        tmp_path / "late", tmp_path, {"symbol": ["AAA"], "as_of": ms(AT)}, "--data", tmp_path / "early", "--rules-only"
    )
    assert told["answered_by"].to_pylist() == ["volatility@0"]


def test_joining_tables_keeps_each_series_apart_and_the_first_word_on_each_bar() -> None:
    first, second, other = table("AAA", seed=1, n=50), table("AAA", seed=2, n=70), table("BBB", seed=3, n=10)
    one, two = joined([first, other, second])
    assert (one.symbol, two.symbol) == ("AAA", "BBB")
    assert len(one) == 70
    assert one.bars.close[-50:].tolist() == first.bars.close.tolist()
    assert one.bars.close[:20].tolist() == second.bars.close[:20].tolist()
    assert one.refused == ()
    assert one.row_numbers.tolist() == [*range(1, 21), *range(1, 51)]
    assert "50 of them differ" in one.notes[-1]
    assert joined([first]) == (first,)


def test_questions_on_real_bars_are_answered_in_order(tmp_path: Path, market_data: Path) -> None:
    at = int(dt.datetime(2022, 6, 1, tzinfo=dt.UTC).timestamp()) * 1_000
    instants = at + np.random.default_rng(3).integers(0, 5_000, 300) * HOUR_MS
    questions = {
        "symbol": ["BTCUSDT", "ETHUSDT", "XRPUSDT"] * 100,
        "as_of": ms(*instants.tolist()),
        "horizon": ["6h", "12h", "24h", "48h"] * 75,
    }
    told = answered(market_data / "ohlcv" / "crypto", tmp_path, questions)
    assert told["horizon"].to_pylist() == questions["horizon"]
    assert told["source"].to_pylist().count("rules") >= 295
