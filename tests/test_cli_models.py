"""`barograph train` and `barograph models`: the operator's word, kept with its reasons; what failed stays out."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import server
from ml import catalogue
from registry.blobs import Blobs
from registry.owner import Ownership
from tests.cli import barograph, write_bars
from tests.conftest import NOW, HandClock, hourly
from tests.served_learner import EQUAL, GOOD, WORSE

WEEKS = 80


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for seed, symbol in enumerate(("AAA", "BBB")):
        write_bars(folder, hourly(symbol, seed=seed, n=WEEKS * 168))
    return folder


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """It is NOW, for every command, until the test moves it."""
    clock = HandClock(NOW)
    for module in ("asking", "importing", "train", "models"):
        monkeypatch.setattr(f"commands.{module}.system_clock", clock)
    for name in ("BAROGRAPH_CONFIG", "BAROGRAPH_DATA"):
        monkeypatch.delenv(name, raising=False)
    return clock


@pytest.fixture
def folder(files: Path, tmp_path: Path) -> Path:
    assert barograph("import", "bars", files, "--data", tmp_path / "data").code == 0
    return tmp_path / "data"


@pytest.fixture
def teach(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the command line know toys."""
    real = server.build

    def told(name: str) -> None:
        toys = {"GOOD": GOOD, "WORSE": WORSE, "EQUAL": EQUAL}[name]
        made = partial(real, catalogue=toys, taught_by=f"tests.served_learner:{name}")
        monkeypatch.setattr(server, "build", made)
        monkeypatch.setattr(catalogue, "CATALOGUE", toys)

    return told


def test_train_promotes_what_has_earned_it_and_the_operator_may_take_it_back_with_a_reason(
    folder: Path, teach: Any, time: HandClock
) -> None:
    teach("GOOD")
    data = ("--data", folder, "--json")
    trained = barograph("train", "volatility", *data)
    assert trained.code == 0, trained.err
    assert (trained.json["version"], trained.json["verdict"]) == ("volatility@1", "promoted")
    assert ": better than volatility@0; loss ratio" in trained.json["reasons"][0]
    time.at += 3_000
    asked = ("call", "forecast_volatility", "--symbol", "AAA", *data)
    assert barograph(*asked).json["answered_by"] == "volatility@1"
    listed = {one["version"]: one for one in barograph("models", "list", *data).json["versions"]}
    assert (listed["volatility@1"]["state"], listed["volatility@1"]["in_force"]) == ("champion", True)
    assert "24h, 1h bars, markets that never close" in listed["volatility@1"]["strata"]
    assert listed["volatility@0"]["state"] == "shadow"
    shown = barograph("models", "show", "volatility@1", "--data", folder).out
    assert "volatility@1 promoted by gate: 12h, 1h bars, markets that never close: better than volatility@0" in shown

    without = barograph("models", "rollback", "volatility", "--because", " ", *data)
    assert (without.code, "needs a reason" in without.error["message"]) == (2, True)
    back = barograph("models", "rollback", "volatility", "--because", "it looks odd", *data).json
    assert (back["verdict"], back["by"], back["reasons"]) == ("rolled_back", "operator", ["it looks odd"])
    time.at += 3_000
    assert barograph(*asked).json["answered_by"] == "volatility@0"
    again = barograph("models", "promote", "volatility@1", "--because", "it was the data", *data).json
    assert (again["verdict"], again["by"]) == ("promoted", "operator")
    time.at += 3_000
    assert barograph(*asked).json["answered_by"] == "volatility@1"
    assert barograph("models", "retire", "volatility@1", "--because", "enough", *data).json["verdict"] == "retired"
    time.at += 3_000
    assert barograph(*asked).json["answered_by"] == "volatility@0"
    decisions = barograph("models", "show", "volatility@1", *data).json["decisions"]
    assert [one["verdict"] for one in decisions] == ["registered", "promoted", "rolled_back", "promoted", "retired"]


def test_what_the_gate_refused_or_nobody_can_load_is_not_promoted_by_hand(
    folder: Path, teach: Any, time: HandClock
) -> None:
    teach("WORSE")
    data = ("--data", folder, "--json")
    assert barograph("train", "volatility", *data).json["verdict"] == "rejected"
    refused = barograph("models", "promote", "volatility@1", "--because", "I like it", *data)
    assert (refused.code, "is rejected and cannot become champion" in refused.error["message"]) == (2, True)
    teach("EQUAL")
    time.at += 1
    kept = barograph("train", "volatility", *data).json
    assert (kept["version"], kept["verdict"]) == ("volatility@2", "kept")
    Blobs(folder / "blobs" / "local").remove(kept["sha256"], ".artefact")
    gone = barograph("models", "promote", "volatility@2", "--because", "I like it", *data)
    assert (gone.code, gone.error["message"]) == (2, "volatility@2 cannot be promoted: its artefact is missing")


def test_beside_a_server_one_may_look_but_not_decide(folder: Path, tmp_path: Path) -> None:
    ownership = Ownership.claim(folder, 1, NOW)
    try:
        data = ("--data", folder, "--json")
        assert barograph("models", "list", *data).json["versions"][0]["in_force"] is True
        for words in (
            ("train", "volatility"),
            ("models", "rollback", "volatility", "--because", "x"),
            ("models", "retire", "volatility@1", "--because", "x"),
        ):
            refused = barograph(*words, *data)
            assert refused.code == 3
            assert "is owned by" in refused.error["message"]
    finally:
        ownership.release()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "weather"), "nothing called 'weather' can be learnt"),
        (("models", "show", "volatility"), "names no version"),
        (("models", "show", "volatility@7"), "there is no volatility@7"),
        (("models", "rollback", "volatility", "--because", "x"), "cannot become champion"),
        (("models", "rollback", "weather", "--because", "x"), "has no versions"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(folder: Path, words: tuple[str, ...], says: str) -> None:
    told = barograph(*words, "--data", folder, "--json")
    assert told.code == 2
    assert says in told.error["message"], told.err


def test_a_folder_that_was_never_used_has_no_versions(tmp_path: Path) -> None:
    told = barograph("models", "list", "--data", tmp_path, "--json")
    assert (told.code, "holds no state" in told.error["message"]) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert json.loads(told.err)["error"]
