"""Liquidity through the house: asked from the shell, replayed into columns, told through both doors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands.call import with_numbers
from ml.bars import HOUR_MS
from server import House
from tests.cli import barograph, write_bars
from tests.conftest import NOW, hourly
from tools.reply import moment


def iso(instant: int) -> str:
    return moment(instant).isoformat()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=1_200))
    assert barograph("import", "bars", tmp_path / "files", "--data", tmp_path / "data").code == 0
    return tmp_path / "data"


def test_numbers_of_a_question_are_asked_from_the_shell(folder: Path) -> None:
    words = ["--symbol", "AAA", "--horizon", "6h", "--cost-bps", "5", "--order-quote=2.5e3", "--as-of", iso(NOW)]
    told = barograph("call", "forecast_liquidity", *words, "--data", folder, "--json").json
    assert told["answered_by"] == "liquidity@0"
    assert told["answer"]["order_cost_bps"] > 0.0
    assert "for 5 bp" in told["summary"]
    wrong = barograph("call", "forecast_liquidity", "--symbol", "AAA", "--cost-bps", "much", "--data", folder, "--json")
    assert "cost_bps" in json.dumps(wrong.error)


def test_a_symbol_that_looks_like_a_number_stays_a_word() -> None:
    asked: dict[str, object] = {"symbol": "7203", "cost_bps": "5", "more_symbols": ["1"]}
    assert with_numbers("forecast_liquidity", asked) == asked | {"cost_bps": 5.0}
    assert with_numbers("forecast_volatility", {"symbol": "7203"}) == {"symbol": "7203"}
    assert with_numbers("no_such_tool", {"cost_bps": "5"}) == {"cost_bps": "5"}


def test_a_replay_keeps_numbers_that_may_be_null_and_lists_of_words_in_columns_of_their_own(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=900))
    out = tmp_path / "out"
    options = {"--data": tmp_path / "files", "--out": out, "--capabilities": "liquidity"}
    options |= {"--start": iso(NOW - 47 * HOUR_MS), "--end": iso(NOW)}
    said = barograph("replay", *(word for pair in options.items() for word in pair), "--json")
    assert (said.code, said.err) == (0, "")
    told = pq.read_table(out / "liquidity.parquet")
    assert len(told) == 3 * 48
    assert told.schema.field("order_cost_bps").type == pa.float64()
    assert told.schema.field("hours").type == pa.int64()
    assert pa.types.is_list(told.schema.field("warnings").type)
    assert told["order_cost_bps"].null_count == len(told)
    for row in told.to_pylist():
        if row["truth"] is not None:
            thin = (row["p_low"] - float(row["truth"] < row["thin_below"])) ** 2 if row["horizon"] == "6h" else 0.0
            assert row["loss"] == pytest.approx(abs(row["qv"] - row["truth"]) / row["usual"] + thin, rel=1e-4)
    assert np.isfinite(np.array(told["max_order_quote"])).all()


@pytest.mark.anyio
async def test_the_reply_says_all_that_matters_in_its_summary(house: House) -> None:
    served = await house.call("forecast_liquidity", json.dumps({"symbol": "AAA", "as_of": iso(NOW)}), "test")
    told = json.loads(served.body)
    assert served.code is None
    assert told["source"] == "rules"
    assert "orders worked over 24 h up to" in told["summary"]
    for warning in told["answer"]["warnings"]:
        assert warning in told["summary"]
    assert len(served.body) / 4 <= 500
