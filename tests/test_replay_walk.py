"""`barograph replay`: history as the server would have lived it, in a folder of its own."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.config import Config
from market.bar_table import checked
from ml.bars import HOUR_MS, MINUTE_MS, Bars
from ml.catalogue import CATALOGUE
from registry.ledger import Ledger
from registry.owner import Ownership
from registry.store import open_store
from server import build
from tests.cli import Said, barograph, write_bars
from tests.conftest import NOW, HandClock, hourly
from tools.reply import moment

N = 80 * 24
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for seed, symbol in enumerate(("AAA", "BBB")):
        write_bars(tmp_path / "files", hourly(symbol, seed=seed, n=N))
    return tmp_path / "files"


def iso(instant: int) -> str:
    return moment(instant).isoformat()


def walk(files: Path, out: Path, *words: object, hours: int = 30, capabilities: str = "regime,volatility") -> Said:
    given = {"--data": files, "--out": out, "--capabilities": capabilities}
    given |= {"--start": iso(NOW - (hours - 1) * HOUR_MS), "--end": iso(NOW)}
    return barograph("replay", *(word for pair in given.items() for word in pair), *words)


def answers(out: Path, name: str = "volatility") -> pa.Table:
    return pq.read_table(out / f"{name}.parquet")


def test_a_walk_writes_a_row_for_each_question_with_answer_truth_and_loss(files: Path, tmp_path: Path) -> None:
    said = walk(files, tmp_path / "out", "--json")
    assert (said.code, said.err) == (0, "")
    assert [(one["rows"], one["answered"]) for one in said.json["replayed"]] == [(60, 60), (240, 240)]
    told = answers(tmp_path / "out")
    assert told.column_names[:6] == ["symbol", "as_of", "horizon", "answered_by", "source", "prediction_id"]
    assert told.column_names[6:-3] == list(VOLATILITY.answer.model_fields)
    assert told.column_names[-3:] == ["truth", "loss", "why"]
    assert told.schema.field("as_of").type == pa.timestamp("ms", tz="UTC")
    assert set(told["horizon"].to_pylist()) == {"6h", "12h", "24h", "48h"}
    assert set(told["source"].to_pylist()) == {"rules"}
    known = [at + 6 * HOUR_MS <= NOW for at in told["as_of"].cast(pa.int64()).to_pylist()]
    for horizon, loss, is_known in zip(told["horizon"].to_pylist(), told["loss"].to_pylist(), known, strict=True):
        if horizon == "6h":
            assert (loss is not None) == is_known
    assert {str(field.type) for field in answers(tmp_path / "out", "regime").schema if field.name == "truth"} == {
        "string"
    }


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["regime", "volatility"])
async def test_an_answer_of_a_walk_is_that_of_a_server_that_knew_no_more(
    files: Path, tmp_path: Path, name: str
) -> None:
    await asyncio.to_thread(walk, files, tmp_path / "out", hours=3, capabilities=name)
    at = NOW - 2 * HOUR_MS
    clock = HandClock(at)
    house = build(Config(), tmp_path / "live", clock)
    capability = next(one for one in CATALOGUE if one.name == name)
    bars = [hourly(symbol, seed=seed, n=N).between(0, N - 2) for seed, symbol in enumerate(("AAA", "BBB"))]
    house.history.append([checked(one, "files") for one in bars], received_at=at, live=False)
    rows = [row for row in answers(tmp_path / "out", name).to_pylist() if row["as_of"] == moment(at)]
    for row in rows:
        asked = {"symbol": row["symbol"], **({"horizon": row["horizon"]} if row["horizon"] else {})}
        reply = await house.ask.one(capability, capability.question(**asked), "test")
        assert reply.prediction_id == row["prediction_id"]
        assert reply.answer is not None
        assert reply.answer.model_dump(mode="json") == {name: row[name] for name in capability.answer.model_fields}
    assert len(rows) == (2 if name == "regime" else 8)
    house.close()


def test_bars_after_an_as_of_change_no_answer_of_a_walk(files: Path, tmp_path: Path) -> None:
    walk(files, tmp_path / "short", hours=10)
    for seed, symbol in enumerate(("AAA", "BBB")):
        bars, other = hourly(symbol, seed=seed, n=N), hourly(symbol, seed=9, n=50, end=NOW + 50 * HOUR_MS)
        write_bars(tmp_path / "longer", appended(bars, other))
    walk(tmp_path / "longer", tmp_path / "long", hours=10)
    for name in ("regime", "volatility"):
        kept = [one for one in answers(tmp_path / "short", name).column_names if one not in ("truth", "loss")]
        assert answers(tmp_path / "long", name).select(kept).equals(answers(tmp_path / "short", name).select(kept))


def appended(first: Bars, second: Bars) -> Bars:
    columns = ("open_at", "open", "high", "low", "close", "volume")
    both = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in columns}
    return Bars(first.symbol, first.timeframe, **both)


def test_what_a_walk_said_is_in_the_ledger_of_its_own_folder(files: Path, tmp_path: Path) -> None:
    walk(files, tmp_path / "out", hours=5)
    store = open_store(tmp_path / "out" / "data" / "state.sqlite")
    ledger = Ledger(store, "local")
    entry = ledger.find(answers(tmp_path / "out")["prediction_id"][0].as_py())
    assert ledger.count() == 5 * 2 * (1 + 4)
    assert entry is not None
    assert (entry.asked_by, entry.asked_at) == ("replay", entry.as_of)
    ledger.close()
    store.close()


def test_walking_again_gives_the_same_answers(files: Path, tmp_path: Path) -> None:
    walk(files, tmp_path / "out")
    before = answers(tmp_path / "out")
    again = walk(files, tmp_path / "out", hours=40)
    assert again.code == 0
    after = answers(tmp_path / "out")
    assert len(after) == 320
    assert set(before["prediction_id"].to_pylist()) <= set(after["prediction_id"].to_pylist())


def test_bars_that_only_go_on_may_be_added_to_a_walk(files: Path, tmp_path: Path) -> None:
    bars = hourly("AAA", seed=0, n=N)
    write_bars(tmp_path / "half", bars.between(0, N - 20))
    first = barograph(
        "replay", "--data", tmp_path / "half", "--out", tmp_path / "out", "--start", iso(NOW - 25 * HOUR_MS)
    )
    assert first.code == 0
    second = walk(files, tmp_path / "out", "--symbols", "AAA", hours=20)
    assert second.code == 0
    walk(files, tmp_path / "fresh", "--symbols", "AAA", hours=20)
    assert answers(tmp_path / "out").equals(answers(tmp_path / "fresh"))


def test_other_bars_than_those_of_the_first_walk_are_refused_and_nothing_is_spoilt(files: Path, tmp_path: Path) -> None:
    walk(files, tmp_path / "out", hours=5)
    bars = hourly("AAA", seed=0, n=N)
    revised = bars.close.copy()
    revised[-50] *= 1.0001
    write_bars(tmp_path / "revised", bars, close=revised, high=np.maximum(bars.high, revised))
    for other in ("revised", "earlier"):
        write_bars(tmp_path / "earlier", hourly("AAA", seed=0, n=N + 5))
        said = walk(tmp_path / other, tmp_path / "out", "--symbols", "AAA", "--json", hours=5)
        assert said.code == 2
        assert "Remove the folder data in --out, or name another --out" in said.error["message"]
    before = answers(tmp_path / "out")
    assert walk(files, tmp_path / "out", hours=5).code == 0
    assert answers(tmp_path / "out").equals(before)


def test_bars_that_come_after_an_answer_on_stale_data_are_refused_too(files: Path, tmp_path: Path) -> None:
    bars = hourly("AAA", seed=0, n=N)
    write_bars(tmp_path / "half", bars.between(0, N - 20))
    assert walk(tmp_path / "half", tmp_path / "out", hours=5).code == 0, "asked as of later than the last bar"
    said = walk(files, tmp_path / "out", "--symbols", "AAA", hours=5)
    assert said.code == 2
    assert "of those given now are older than what was answered" in said.err


def test_folders_given_twice_are_joined_by_symbol_and_timeframe(tmp_path: Path) -> None:
    bars = hourly("AAA", seed=0, n=N)
    write_bars(tmp_path / "b", bars.between(0, N // 2))
    write_bars(tmp_path / "a", bars.between(N // 2, N))
    write_bars(tmp_path / "whole", bars)
    assert walk(tmp_path / "a", tmp_path / "joined", "--data", tmp_path / "b", hours=5).code == 0
    assert walk(tmp_path / "whole", tmp_path / "once", hours=5).code == 0
    assert answers(tmp_path / "joined").equals(answers(tmp_path / "once"))


def test_of_bars_in_the_files_and_the_default_span_there_is_a_question_for_each_close(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=0, n=N))
    said = barograph(
        "replay", "--data", tmp_path / "files", "--out", tmp_path / "out", "--capabilities", "regime", "--every", "1d"
    )
    assert said.code == 0
    told = answers(tmp_path / "out", "regime")
    assert len(told) == N // 24
    early = told["why"][0].as_py()
    assert early.startswith("too_little_history: ")
    assert told["label"][0].as_py() is None
    assert told["source"][0].as_py() == "abstain"
    assert f"{N // 24} rows" in said.out


def test_a_bad_file_is_left_out_and_said(files: Path, tmp_path: Path) -> None:
    write_bars(files, hourly("CCC", seed=2, n=100), close=None)
    bars = hourly("DDD", seed=3, n=N)
    write_bars(files, bars, close=np.where(np.arange(N) == 7, np.nan, bars.close))
    said = walk(files, tmp_path / "out", hours=2, capabilities="regime")
    assert said.code == 0
    assert "left out: CCC_1h.parquet: there is no column close" in said.err
    assert "DDD_1h.parquet: 1 rows were refused" in said.err
    assert said.err.count("note:") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--capabilities", "regime,weather"), "there is no capability weather; there are regime, volatility"),
        (("--symbols", "AAA,NOPE"), "no 1h bars of NOPE can be read from --data; there are files of AAA, BBB"),
        (("--symbols", "NOPE"), "no 1h bars of NOPE can be read from --data; there are files of AAA, BBB"),
        (("--timeframe", "4h"), "there are no files of 4h bars in --data"),
        (("--every", "1w"), "--every takes a number of m, h or d"),
        (("--every", "0h"), "--every takes a number of m, h or d"),
        (("--start", "yesterday"), "--start takes an ISO 8601 time"),
        (("--end", "1999-01-01"), "--end lies before --start"),
        (("--timeframe", "2h"), "Invalid value for '--timeframe'"),
        (("--data", "nowhere"), "nowhere: there is no such file or folder"),
    ],
)
def test_what_cannot_be_walked_is_told_with_what_there_is(
    files: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    said = barograph("replay", "--data", files, "--out", tmp_path / "out", *words, "--json")
    assert said.code == 2
    assert says in said.error["message"]


def test_a_walk_into_a_folder_that_another_process_walks_in_is_refused(files: Path, tmp_path: Path) -> None:
    other = Ownership.claim(tmp_path / "out" / "data", 4_242, NOW)
    said = walk(files, tmp_path / "out", "--json")
    other.release()
    assert said.code == 3
    assert "is owned by process 4242" in said.error["message"]


def test_an_out_that_is_a_file_is_told(files: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    said = walk(files, tmp_path / "out", "--json")
    assert said.code == 2
    assert str(tmp_path / "out") in said.error["message"]


def test_a_disk_that_fills_up_ends_the_walk_and_the_earlier_answers_stay(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk(files, tmp_path / "out", hours=3)
    before = answers(tmp_path / "out")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("registry.ledger.Ledger._write", full)
        said = walk(files, tmp_path / "out", "--json", hours=5)
    assert said.code == 2
    assert "No space left on device" in said.error["message"]
    with monkeypatch.context() as patched:
        patched.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        assert "no space is left" in walk(files, tmp_path / "out", "--json", hours=5).error["message"]
    assert answers(tmp_path / "out").equals(before)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data",
        "regime.parquet",
        "volatility.parquet",
    ]
    assert walk(files, tmp_path / "out", hours=5).code == 0


def test_a_long_walk_is_answered_in_batches_as_if_at_once(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk(files, tmp_path / "one")
    monkeypatch.setattr("workers.replay.BATCH", 7)
    config = tmp_path / "small.yaml"
    config.write_text("ledger: {capacity: 5}\n")
    assert walk(files, tmp_path / "many", "--config", config).code == 0
    for name in ("regime", "volatility"):
        assert answers(tmp_path / "many", name).equals(answers(tmp_path / "one", name))


def test_a_walk_over_real_bars_answers_and_knows_the_truth(tmp_path: Path, market_data: Path) -> None:
    words = ["--symbols", "BTCUSDT", "--start", "2022-06-01", "--end", "2022-06-08", "--json"]
    said = barograph("replay", "--data", market_data / "ohlcv" / "crypto", "--out", tmp_path / "out", *words)
    assert said.code == 0
    assert {one["file"].rpartition("/")[2]: one["answered"] for one in said.json["replayed"]} == {
        "anomaly.parquet": 169,
        "liquidity.parquet": 169 * 3,
        "regime.parquet": 169,
        "volatility.parquet": 169 * 4,
    }
    assert answers(tmp_path / "out")["loss"].null_count == 0


def with_books(folder: Path, *hours_ago: int) -> None:
    """A book of AAA a minute before each of these hours."""
    header = ",".join(f"{side}_{what}_1" for side in ("bid", "ask") for what in ("price", "size"))
    rows = "\n".join(f"{NOW - ago * HOUR_MS - MINUTE_MS},99.9,5,100.1,5" for ago in hours_ago)
    (folder / "AAA_book.csv").write_text(f"timestamp,{header}\n{rows}\n")


def test_what_is_observed_beside_bars_is_replayed_as_it_became_known(files: Path, tmp_path: Path) -> None:
    with_books(files, 3, 1)
    (files / "AAA_funding.csv").write_text(f"timestamp,rate\n{NOW - 30 * HOUR_MS},0.0001\n{NOW},7\n")
    (files / "wire_headlines.csv").write_text(f"timestamp,title\n{NOW - HOUR_MS},Bitcoin falls\n")
    said = walk(files, tmp_path / "out", "--json", hours=5, capabilities="liquidity,anomaly")
    assert said.code == 0
    assert "funding of AAA: rows were refused: 1 x a number is outside of what it can be" in said.err
    told = answers(tmp_path / "out", "liquidity").to_pylist()
    with_book = {one["as_of"] for one in told if one["book_at"] is not None}
    assert with_book == {moment(NOW - ago * HOUR_MS) for ago in (3, 1)}
    assert {one["symbol"] for one in told if one["book_at"] is not None} == {"AAA"}


def test_observations_that_an_earlier_walk_did_not_have_are_refused(files: Path, tmp_path: Path) -> None:
    with_books(files, 3)
    first = walk(files, tmp_path / "out", hours=5, capabilities="liquidity")
    assert first.code == 0
    assert walk(files, tmp_path / "out", hours=5, capabilities="liquidity").code == 0
    before = answers(tmp_path / "out", "liquidity")
    with_books(files, 3, 2)
    again = walk(files, tmp_path / "out", hours=5, capabilities="liquidity")
    assert again.code != 0
    assert "did not have 1 records of book of AAA" in again.err.replace("\n", " ")
    assert answers(tmp_path / "out", "liquidity").equals(before)
