"""`from barograph import Client, AsyncClient`: typed answers of a real house, and nothing heavy behind it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, get_type_hints

import httpx
import pytest

from barograph import AsyncClient, Client, Refused
from barograph.replies import REPLIES
from barograph.replies.regime import RegimeAnswer
from barograph.replies.shared import Reply
from ml.catalogue import CATALOGUE
from server import House, app
from tests.client_transports import InMemory
from tests.client_types import PACKAGE, catalogue, method_of, written

#: What each tool needs beside a symbol.
ASKED: dict[str, dict[str, Any]] = {"get_track_record": {"instrument": "volatility"}, "get_server_status": {}}


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    with Client(transport=InMemory(house)) as made:
        yield made


@pytest.fixture
async def async_client(house: House) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=httpx.ASGITransport(app=app(house))) as made:
        yield made


def asked(tool: str, prediction_id: str) -> dict[str, Any]:
    return {"prediction_id": prediction_id} if tool == "explain_prediction" else ASKED.get(tool, {"symbol": "AAA"})


def test_the_files_of_the_client_are_those_of_the_catalogue() -> None:
    files = written(catalogue())
    there = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / "replies").glob("*.py")}
    assert there == {name for name in files if name.startswith("replies/")}, "the contract changed: run `make client`"
    for name, text in files.items():
        assert (PACKAGE / name).read_text("utf-8") == text, f"{name}: the contract changed: run `make client`"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_tool_has_a_method_with_the_fields_of_its_request(kind: type[Any]) -> None:
    for tool in catalogue():
        method = getattr(kind, method_of(tool))
        assert list(inspect.signature(method).parameters)[1:] == sorted(
            tool.request.model_fields, key=lambda name: not tool.request.model_fields[name].is_required()
        )
        assert get_type_hints(method)["return"] == REPLIES[tool.name]


def test_a_sync_client_gets_typed_answers_from_every_tool(client: Client, house: House) -> None:
    regime = client.regime("AAA", more_symbols=["BBB"], as_of=datetime(2023, 12, 31, tzinfo=UTC), use="veto")
    assert isinstance(regime, Reply)
    assert isinstance(regime.answer, RegimeAnswer)
    assert isinstance(regime.more[0].answer, RegimeAnswer)
    assert (regime.symbol, regime.more[0].symbol, regime.do_not_trade) == ("AAA", "BBB", False)
    assert regime.as_of == datetime(2023, 12, 31, tzinfo=UTC)
    for tool in house.tools:
        fields = asked(tool.name, regime.prediction_id)
        named = getattr(client, method_of(tool))(**fields)
        called = client.ask(tool.name, **fields)
        assert type(named) is type(called)
        assert getattr(named, "answer", None) == getattr(called, "answer", None)
        assert called.summary


@pytest.mark.anyio
async def test_an_async_client_gets_the_same(async_client: AsyncClient, house: House) -> None:
    regime = await async_client.regime("AAA")
    assert isinstance(regime.answer, RegimeAnswer)
    for tool in house.tools:
        fields = asked(tool.name, regime.prediction_id)
        named = await getattr(async_client, method_of(tool))(**fields)
        called = await async_client.ask(tool.name, **fields)
        assert type(named) is type(called)
    assert {face.name for face in await async_client.tools()} == {tool.name for tool in house.tools}
    assert (await async_client.veto("AAA")).may_trade


def test_whatever_the_server_says_about_itself_is_listed(client: Client, house: House) -> None:
    faces = {face.name: face for face in client.tools()}
    assert set(faces) == {tool.name for tool in house.tools}
    assert faces["get_market_regime"].input_schema["properties"]["symbol"]


@pytest.mark.parametrize("detail", ["concise", "full"])
def test_a_reply_says_the_same_in_either_detail(client: Client, house: House, detail: Any) -> None:
    for capability in CATALOGUE:
        told = client.ask(capability.tool, symbol="AAA", detail=detail)
        assert told.track_record.verdict
        assert told.stale is False
        assert told.source == "rules"


def test_a_refusal_is_raised_with_all_that_it_says(client: Client) -> None:
    with pytest.raises(Refused, match=r"unknown_symbol: .* Accepted: AAA; BBB") as caught:
        client.regime("NOPE")
    error = caught.value
    assert (error.code, error.status, error.retryable) == ("unknown_symbol", 404, False)
    assert error.retry_after_seconds is None
    assert error.accepted == ("AAA", "BBB")
    with pytest.raises(Refused, match="invalid_request"):
        client.ask("get_market_regime", symbol="AAA", horizon="6h")
    with pytest.raises(Refused, match="unknown_tool"):
        client.ask("../../secret", symbol="AAA")


def test_a_naive_time_is_refused_and_not_guessed(client: Client) -> None:
    with pytest.raises(Refused, match="as_of"):
        client.regime("AAA", as_of=datetime(2023, 12, 31))  # noqa: DTZ001 - the mistake that is tested


def test_no_method_of_a_tool_hides_one_of_the_client() -> None:
    names = {method_of(tool) for tool in catalogue()}
    assert names.isdisjoint({"ask", "tools", "veto", "close"})


def test_importing_the_package_brings_nothing_and_the_client_brings_httpx_alone() -> None:
    program = """
import json, sys
before = set(sys.modules)
import barograph
package = sorted(set(sys.modules) - before)
from barograph import Client
client = sorted({name.partition(".")[0] for name in sys.modules})
from barograph import AsyncClient, BarographError, Refused, Unexpected, Unreachable, Verdict
print(json.dumps([package, client, dir(barograph)]))
"""
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    package, client, names = json.loads(done.stdout)
    assert package == ["barograph"] or set(package) <= {"barograph", "__future__"}
    assert "httpx" in client
    assert {"mcp", "numpy", "pydantic", "fastapi", "onnxruntime", "sqlalchemy", "tools", "ml"}.isdisjoint(client)
    assert {"Client", "AsyncClient", "Verdict", "__version__"} <= set(names)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = __import__("barograph").Nothing


def test_the_text_of_a_reply_is_what_a_host_gets_that_shows_text_alone(client: Client, house: House) -> None:
    for capability in CATALOGUE:
        text = client.say(capability.tool, symbol="AAA")
        reply = client.ask(capability.tool, symbol="AAA")
        assert text.startswith(reply.summary)
        for word in (reply.source, reply.answered_by, reply.prediction_id, "As of 2024-01-01 00:00", "fresh"):
            assert word in text
    with pytest.raises(Refused, match="unknown_symbol") as caught:
        client.say("get_market_regime", symbol="NOPE")
    assert caught.value.accepted == ("AAA", "BBB")


@pytest.mark.anyio
async def test_the_async_client_says_the_same(async_client: AsyncClient) -> None:
    assert "AAA" in await async_client.say("get_market_regime", symbol="AAA")
