"""`barograph replay --retrain-every`: who answers is what had been fitted, and had earned its place, by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from market.sample import COINS, SEED
from market.simulator import simulate
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS
from tests.cli import Said, barograph, write_bars
from tests.conftest import NOW, hourly

WEEKS = 108


def ask(folder: Path, *words: object, **columns: Any) -> Said:
    pq.write_table(pa.table(columns), folder / "Q.parquet")
    given = ["--data", folder / "files", "--questions", folder / "Q.parquet", "--out", folder / "A.parquet"]
    return barograph("replay", *given, *words)


def times(*instants: int | None) -> pa.Array:
    return pa.array(instants, pa.timestamp("ms", tz="UTC"))


def test_each_question_is_answered_by_the_refit_of_its_time_in_the_place_it_was_asked_in(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("torch")
    hours = WEEKS * 7 * 24
    anchor = NOW // DAY_MS * DAY_MS - WEEKS * WEEK_MS
    market = simulate(SEED, COINS, anchor, hours)
    for bars in market.bars:
        write_bars(tmp_path / "files", bars)
    names, end = [bars.symbol for bars in market.bars], anchor + hours * HOUR_MS
    config = tmp_path / "config.yaml"
    config.write_text("models:\n  walk_forward_refit_days: 182\n")
    at = [int(end - back * HOUR_MS) for back in np.random.default_rng(1).permutation(np.arange(30, 20 * 24, 7))]
    at += [at[0], at[5]]
    asked: dict[str, Any] = {"symbol": [names[k % 2] for k in range(len(at))], "as_of": times(*at[:-1], None)}
    said = ask(tmp_path, "--capability", "regime", "--retrain-every", "10d", "--config", config, **asked)
    assert said.code == 0, said.err
    told = pq.read_table(tmp_path / "A.parquet")
    assert told["symbol"].to_pylist() == asked["symbol"]
    assert told["as_of"].to_pylist() == asked["as_of"].to_pylist()
    rows = told.to_pylist()
    assert rows[-1]["why"].startswith("bad_question")
    first = min(at)
    fitted = [first + k * 10 * DAY_MS for k in range(2)]
    for row, instant in zip(rows[:-1], at, strict=False):
        assert row["source"] == "model", row
        behind = max(k for k, one in enumerate(fitted) if one <= instant)
        assert int(row["answered_by"].removeprefix("regime@")) == behind + 4


def test_history_too_short_to_learn_from_is_answered_by_the_rules(tmp_path: Path) -> None:
    write_bars(tmp_path / "files", hourly("AAA", seed=0, n=80 * 24))
    said = ask(tmp_path, "--capability", "regime", "--retrain-every", "30d", symbol=["AAA"], as_of=times(NOW))
    assert said.code == 0, said.err
    assert pq.read_table(tmp_path / "A.parquet")["source"].to_pylist() == ["rules"]
