"""`barograph call`, `status`, `doctor`, `serve`: answers on standard output, errors on standard error, never a
traceback."""

from __future__ import annotations

import errno
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml.bars import HOUR_MS
from registry.owner import Ownership, owner_of
from tests.cli import barograph, write_bars
from tests.conftest import NOW, HandClock, hourly
from tools.refusal import Code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 120 days of hourly bars of AAA and BBB that end at NOW."""
    home = tmp_path_factory.mktemp("cli")
    for seed, symbol in enumerate(("AAA", "BBB")):
        write_bars(home / "files", hourly(symbol, seed=seed))
    assert barograph("import", "bars", home / "files", "--data", home / "data").code == 0
    return home / "data"


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """It is NOW, for every command."""
    clock = HandClock(NOW)
    for module in ("asking", "doctor", "importing", "serve"):
        monkeypatch.setattr(f"commands.{module}.system_clock", clock)
    return clock


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BAROGRAPH_CONFIG", "BAROGRAPH_DATA"):
        monkeypatch.delenv(name, raising=False)


def test_call_answers_in_a_line_or_as_the_json_of_the_doors(folder: Path) -> None:
    said = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("AAA: ")
    told = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder, "--json")
    assert said.out.startswith(told.json["summary"])
    assert told.json["prediction_id"] in said.out
    assert told.json["answered_by"] == "regime@0"


def test_call_takes_fields_with_dashes_equal_signs_and_lists(folder: Path) -> None:
    words = ["call", "forecast_volatility", "--symbol=AAA", "--horizon", "6h", "--more-symbols", "BBB, NOPE", "--json"]
    told = barograph(*words, "--data", folder).json
    assert [told["symbol"], *(one["symbol"] for one in told["more"])] == ["AAA", "BBB", "NOPE"]
    assert told["more"][1]["abstained"]["why"] == "unknown_symbol"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("get_market_regime", "--symbol", "NOPE"), Code.UNKNOWN_SYMBOL, "AAA"),
        (("get_market_regime", "--symbol", "aaa!"), Code.INVALID, "symbol"),
        (("get_market_regime",), Code.INVALID, "symbol is missing"),
        (("get_market_regime", "--symbol", "AAA", "--colour", "red"), Code.INVALID, "a field that this tool does not"),
        (("forecast_volatility", "--symbol", "AAA", "--horizon", "7h"), Code.INVALID, "horizon"),
        (("forecast_volatility", "--symbol", "AAA", "--as-of", "2001-01-01T00:00:00Z"), Code.BEFORE_HISTORY, "as_of"),
        (("forecast_volatility", "--symbol", "AAA", "--as-of", "2031-01-01T00:00:00Z"), Code.IN_FUTURE, "as_of"),
        (("forecast_volatility", "--symbol", "AAA", "--as-of", "2023-12-01T00:00:00"), Code.INVALID, "as_of"),
        (("forecast_weather", "--symbol", "AAA"), Code.UNKNOWN_TOOL, "forecast_volatility"),
    ],
)
def test_what_a_tool_refuses_is_an_error_with_what_would_be_accepted(
    folder: Path, words: tuple[str, ...], code: Code, says: str
) -> None:
    said = barograph("call", *words, "--data", folder, "--json")
    assert said.code == 1
    assert said.error["code"] == code
    assert says in json.dumps(said.error)
    plain = barograph("call", *words, "--data", folder)
    assert (plain.code, plain.out) == (1, "")
    assert plain.err.startswith(code)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("call", "get_market_regime", "AAA"), "'AAA' is no field: they are given as --name value"),
        (("call", "get_market_regime", "--symbol"), "--symbol needs a value"),
        (("call", "get_market_regime", "--symbol", "--timeframe", "1h"), "--symbol needs a value"),
        (("call",), "Missing argument"),
        (("replay",), "Missing option '--data'."),
        (("status", "--colour"), "No such option: --colour"),
        (("wheather",), "No such command 'wheather'."),
        (("serve", "--port", "many"), "Invalid value for '--port'"),
        (("serve", "--port", "70000"), "http.port"),
        (("serve", "--host", "0.0.0.0"), "there is no key yet: make one first"),
        (("status", "--config", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
    ],
)
def test_a_mistake_in_the_words_is_told_as_json_too(words: tuple[str, ...], says: str) -> None:
    said = barograph(*words, "--json")
    assert said.code == 2
    assert says in said.error["message"]
    plain = barograph(*words)
    assert (plain.code, plain.out) == (2, "")
    assert plain.err


def test_status_says_what_is_fed_and_who_answers(folder: Path) -> None:
    said = barograph("status", "--data", folder)
    assert said.code == 0
    assert "2 series" in said.out
    assert "AAA 1h" in said.out
    assert "get_market_regime: answered by regime@0 on 1d, 1h" in said.out
    assert [one["symbol"] for one in barograph("status", "--data", folder, "--json").json["series"]] == ["AAA", "BBB"]


def test_a_clock_that_jumped_back_between_two_commands_is_no_fault(folder: Path, time: HandClock) -> None:
    now = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder, "--json").json
    time.at -= 48 * HOUR_MS
    back = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder, "--json").json
    assert back["answered_by"] == "regime@0"
    assert back["data_through"] < now["data_through"]
    said = barograph("doctor", "--data", folder)
    assert said.code == 1
    assert "172,800 s behind the newest bar" in said.out


def test_a_clock_that_jumped_ahead_makes_data_too_old_and_says_so(folder: Path, time: HandClock) -> None:
    time.at += 400 * 24 * HOUR_MS
    told = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder, "--json").json
    assert told["abstained"]["why"] == "data_too_old"
    time.at = NOW
    again = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", folder, "--json").json
    assert again["source"] == "rules"


def test_doctor_finds_a_sound_folder_well(folder: Path) -> None:
    said = barograph("doctor", "--data", folder, "--json")
    assert said.code == 0
    assert said.json["well"] is True
    assert "2 series" in said.json["findings"][-1]["says"]
    told = {one["what"]: one["says"] for one in said.json["findings"]}
    assert re.search(r"known until \d{4}-\d\d-\d\d; later ones go into market.calendar", told["releases"])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data folder that a test may break."""
    write_bars(tmp_path / "files", hourly("AAA", seed=1, n=100))
    assert barograph("import", "bars", tmp_path / "files", "--data", tmp_path / "data").code == 0
    return tmp_path / "data"


def damaged_part(folder: Path) -> None:
    (part,) = (folder / "blobs" / "local").glob("*.parquet")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def missing_part(folder: Path) -> None:
    for part in (folder / "blobs" / "local").glob("*.parquet"):
        part.unlink()


def damaged_state(folder: Path) -> None:
    (folder / "state.sqlite").write_bytes(b"this is no database " * 500)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damaged_part, "is damaged: its content has sha256"),
        (missing_part, "is missing. Restore it from a backup"),
        (damaged_state, "is not a whole SQLite database"),
    ],
)
def test_what_is_damaged_is_named_with_what_to_do(own: Path, damage: Any, says: str) -> None:
    damage(own)
    for words in (("call", "get_market_regime", "--symbol", "AAA"), ("status",), ("serve", "--port", "0")):
        said = barograph(*words, "--data", own, "--json")
        assert said.code == 2
        assert says in said.error["message"]
        assert owner_of(own) is None, "the folder is given back"
        assert not (own / "state.sqlite-wal").exists(), "the state is closed"
    found = barograph("doctor", "--data", own)
    assert found.code == 1
    assert says in found.out


def test_a_full_disk_is_told_and_an_answer_that_was_not_written_down_is_not_given(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("registry.ledger.Ledger._write", full)
        said = barograph("call", "get_market_regime", "--symbol", "AAA", "--data", own, "--json")
    assert said.code == 2
    assert "No space left" in said.error["message"]
    assert barograph("call", "get_market_regime", "--symbol", "AAA", "--data", own).code == 0


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("call", "get_server_status"), ("status",)])
def test_a_second_owner_is_refused_and_told_what_to_do(tmp_path: Path, words: tuple[str, ...]) -> None:
    first = Ownership.claim(tmp_path, 4_242, NOW)  # it does not serve: an import, say
    said = barograph(*words, "--data", tmp_path, "--json")
    first.release()
    assert said.code == 3
    assert f"{tmp_path} is owned by process 4242; wait for it, stop it, or name another folder" in said.error["message"]


def test_doctor_tells_of_an_owner_that_does_not_answer(tmp_path: Path) -> None:
    first = Ownership.claim(tmp_path, 4_242, NOW)
    first.announce("http://127.0.0.1:9")
    said = barograph("doctor", "--data", tmp_path)
    first.release()
    assert said.code == 1
    assert "process 4242 at http://127.0.0.1:9 owns it and does not answer" in said.out


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def test_a_port_in_use_is_told_before_anything_is_built(tmp_path: Path, taken: int) -> None:
    said = barograph("serve", "--data", tmp_path / "data", "--port", taken, "--json")
    assert said.code == 2
    assert f"port {taken} on 127.0.0.1 is in use" in said.error["message"]
    assert "--port (0 takes any free one)" in said.error["message"]
    assert owner_of(tmp_path / "data") is None


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("status",), ("call", "get_server_status")])
def test_a_data_folder_that_is_a_file_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "data[1]").write_text("")
    said = barograph(*words, "--data", tmp_path / "data[1]")
    assert said.code == 2
    assert f"{tmp_path / 'data[1]'}" in said.err
    assert "Traceback" not in said.err


def test_the_data_folder_is_that_of_the_option_then_the_environment_then_the_config(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {folder}\n")
    assert len(barograph("status", "--config", config, "--json").json["series"]) == 2
    monkeypatch.setenv("BAROGRAPH_DATA", str(tmp_path / "empty"))
    assert barograph("status", "--config", config, "--json").json["series"] == []
    assert len(barograph("status", "--config", config, "--data", folder, "--json").json["series"]) == 2
    monkeypatch.setenv("BAROGRAPH_CONFIG", str(tmp_path / "none.yaml"))
    assert "none.yaml: cannot be read" in barograph("status", "--json").error["message"]
