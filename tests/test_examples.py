"""The examples: small, pinned, without a key, and held to what a model must see. They run in `make examples`."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from barograph import Client
from benchmarks.examples import EXAMPLES, Example
from benchmarks.seen import missing
from server import House
from tests.client_transports import InMemory
from tests.conftest import NOW

FOLDER = Path(__file__).parent.parent / "examples"
MOST_LINES = 80
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)


def test_every_folder_of_examples_is_run() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == {one.name for one in EXAMPLES}


@each_example
def test_an_example_is_small_and_says_how_to_run_it_without_a_key(example: Example) -> None:
    text = (FOLDER / example.name / example.script).read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert f"{example.script} http://127.0.0.1:8765" in text
    assert "barograph serve --sample" in text
    assert not re.search(r"API_KEY|sk-|api_key", text)


@each_example
def test_what_an_example_needs_is_pinned(example: Example) -> None:
    wanted = FOLDER / example.name / "requirements.txt"
    lines = wanted.read_text("utf-8").splitlines() if wanted.exists() else []
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?==[0-9.]+", line) for line in lines), lines
    named = {re.split(r"[\[=]", line)[0] for line in lines}
    assert set(example.packages) <= named, "the versions that are shown are those that are pinned"


@pytest.fixture
def client(house: House) -> Any:
    with Client(transport=InMemory(house)) as made:
        yield made


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> float:
    """The house's clock stands in 2024: there everything was asked."""
    return NOW / 1000 - 1


def structured(house: House, tool: str, **fields: str) -> str:
    """The reply as a host gets it that shows its model structure alone."""
    with httpx.Client(transport=InMemory(house), base_url="http://127.0.0.1") as door:
        return door.post(f"/v1/tools/{tool}", json=fields).text


TOOLS = [("get_market_regime", {}), ("forecast_volatility", {"horizon": "6h"})]


@pytest.mark.parametrize(("tool", "fields"), TOOLS)
def test_text_and_structure_each_hold_all_that_a_model_must_see(
    client: Client, house: House, began: float, tool: str, fields: dict[str, str]
) -> None:
    text = client.say(tool, symbol="AAA", **fields)
    structure = structured(house, tool, symbol="AAA", **fields)
    for seen in (text, structure, json.dumps([{"type": "text", "text": text}]), json.dumps(structure)):
        assert missing(seen, client, began) == []


@pytest.mark.parametrize("lost", ["source", "stale", "as_of", "label", "p_range_bound"])
def test_what_a_model_would_lack_is_noticed(client: Client, house: House, began: float, lost: str) -> None:
    said = json.loads(structured(house, "get_market_regime", symbol="AAA"))
    del said["summary"], said["track_record"], said["reasons"]
    whole = json.dumps(said)
    assert missing(whole, client, began) == []
    number = {name: value for name, value in said["answer"].items() if name.startswith("p_") or name == "confidence"}
    if lost == "p_range_bound":
        for name in number:
            del said["answer"][name]
        said.pop("confidence", None)
    elif lost == "label":
        del said["answer"]["label"]
    else:
        del said[lost]
        said["answered_by"] = ""
    assert missing(json.dumps(said), client, began) != []


def test_a_stale_reply_that_is_called_fresh_is_noticed(client: Client, began: float) -> None:
    text = client.say("get_market_regime", symbol="AAA")
    assert missing(text.replace("fresh", "stale"), client, began) != []
    assert missing("a nice story", client, began) == ["no prediction is named"]
    assert missing(text, client, time.time()) != [], "an old answer"
