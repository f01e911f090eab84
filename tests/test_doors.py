"""Two doors, one road: the same bytes through both, strict in, honest out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent
from pydantic_core import to_json

from barograph import __version__
from ml.bars import HOUR_MS
from ml.catalogue import CATALOGUE
from server import PROMPTS, House, app
from tests.conftest import NOW, HandClock
from tools.detail import Told
from tools.offer import Offer
from tools.over_mcp import ERROR, mcp_server
from tools.refusal import Code
from tools.reply import moment
from tools.tool import caller, serve

pytestmark = pytest.mark.anyio

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((one.tool, {"symbol": "AAA"}) for one in CATALOGUE),
    *((one.tool, {"symbol": "AAA", "more_symbols": ["BBB", "NOPE"], "use": "veto"}) for one in CATALOGUE),
    ("forecast_volatility", {"symbol": "BBB", "horizon": "6h", "as_of": "2023-12-30T07:30:00Z"}),
    ("get_market_regime", {"symbol": "AAA", "timeframe": "5m", "use": "veto"}),
    ("get_server_status", {}),
    ("get_server_status", {"symbol": "AAA"}),
    ("get_market_regime", {"symbol": "NOPE"}),
    ("get_market_regime", {}),
    ("forecast_volatility", {"symbol": "AAA", "horizon": "7h"}),
    ("explain_prediction", {"prediction_id": "0" * 32}),
)


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
async def mcp(house: House) -> AsyncIterator[Client]:
    async with Client(mcp_server(offered(house), house.call)) as client:
        yield client


def offered(house: House) -> Offer:
    return Offer.of(__version__, house.tools, house.catalogue, PROMPTS)


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize(("tool", "arguments"), QUESTIONS)
async def test_both_doors_say_the_same_bytes(
    http: httpx.AsyncClient, house: House, tool: str, arguments: dict[str, Any]
) -> None:
    over_http = await http.post(f"/v1/tools/{tool}", json=arguments)
    async with Client(mcp_server(offered(house), house.call)) as client:
        over_mcp = await client.call_tool(tool, arguments)
    if over_mcp.is_error:
        assert over_mcp.structured_content is None, "clients would hold it to the schema of the reply"
        assert {"error": (over_mcp.meta or {})[ERROR]} == over_http.json()
    elif tool != "get_server_status":  # which counts what is being written meanwhile
        assert to_json(over_mcp.structured_content).decode() == over_http.text
    assert over_mcp.is_error == (over_http.status_code != 200)


async def test_every_field_of_a_question_goes_through_the_strict_door(http: httpx.AsyncClient) -> None:
    for capability in CATALOGUE:
        asked = {
            "symbol": "AAA",
            "more_symbols": ["BBB"],
            "timeframe": "1h",
            "as_of": "2023-12-30T07:30:00+01:00",
            "use": "veto",
            **({"horizon": "12h"} if "horizon" in capability.question.model_fields else {}),
        }
        reply = await http.post(f"/v1/tools/{capability.tool}", json=asked)
        assert reply.status_code == 200, reply.text
        told = reply.json()
        assert [told["symbol"], told["more"][0]["symbol"]] == ["AAA", "BBB"]
        assert told["as_of"] == "2023-12-30T06:30:00Z"
        assert told["data_through"] == "2023-12-30T06:00:00Z"
        assert told["do_not_trade"] is False


@pytest.mark.parametrize(("tool", "arguments"), QUESTIONS)
async def test_text_and_structure_are_each_complete(mcp: Client, tool: str, arguments: dict[str, Any]) -> None:
    result = await mcp.call_tool(tool, arguments)
    text, told = text_of(result), result.structured_content
    if result.is_error:
        error = (result.meta or {})[ERROR]
        assert error["code"] in text
        assert error["message"] in text
        return
    assert told["summary"] in text
    for one in (told, *told.get("more", ())):
        if "answered_by" in one:
            assert one["answered_by"] in text
            assert one["source"] in text
            assert not one["stale"] or "STALE" in text
            assert not one.get("do_not_trade") or "DO NOT TRADE" in text


async def test_replies_match_the_schema_that_is_listed(mcp: Client) -> None:
    listed = {tool.name: tool for tool in (await mcp.list_tools()).tools}
    told = {"get_server_status", "explain_prediction", "get_track_record"}
    assert set(listed) == {one.tool for one in CATALOGUE} | told
    for tool, arguments in QUESTIONS:
        result = await mcp.call_tool(tool, arguments)
        if not result.is_error:
            schema = listed[tool].output_schema
            assert schema is not None
            assert schema["type"] == "object"
            jsonschema.validate(result.structured_content, schema)
    for one in listed.values():
        assert one.description is not None
        assert len(one.description) <= 1_024
        assert one.annotations is not None
        assert one.annotations.read_only_hint


async def test_a_default_reply_is_small_text_and_structure_together(house: House) -> None:
    for capability in CATALOGUE:
        questions: list[tuple[str, dict[str, Any]]] = [
            (capability.tool, {"symbol": "AAA", "use": "veto"}),
            ("get_track_record", {"instrument": capability.tool}),
            ("get_server_status", {}),
        ]
        said = await house.call(capability.tool, '{"symbol": "AAA"}', "test")
        questions.append(("explain_prediction", {"prediction_id": json.loads(said.body)["prediction_id"]}))
        for tool, asked in questions:
            served = await house.call(tool, json.dumps(asked), "test")
            assert served.code is None
            cost = (len(served.body) + len(served.text)) / 4
            assert cost <= 500, f"{tool} after {capability.tool}: {cost} tokens"


async def test_a_prediction_is_explained_with_the_rules_own_terms(mcp: Client) -> None:
    for capability in CATALOGUE:
        said = (await mcp.call_tool(capability.tool, {"symbol": "AAA", "detail": "full"})).structured_content
        why = await mcp.call_tool("explain_prediction", {"prediction_id": said["prediction_id"], "detail": "full"})
        told = why.structured_content
        assert told["answered_by"] == f"{capability.name}@0"
        assert told["reply"]["answer"] == said["answer"]
        assert told["terms"]
        assert set(told["features"]) == set(capability.features.names)
        assert all(term["text"] in text_of(why) for term in told["terms"])


WRONG: tuple[tuple[str, bytes, Code, int], ...] = (
    ("get_market_regime", b"{", Code.MALFORMED, 400),
    ("get_market_regime", b"\xff\xfe", Code.MALFORMED, 400),
    ("get_market_regime", b"[]", Code.INVALID, 422),
    ("get_market_regime", b"NaN", Code.INVALID, 422),
    ("get_market_regime", b"null", Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": NaN}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": 1e400}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "\\ud800"}', Code.MALFORMED, 400),
    ("get_market_regime", b'{"symbol": "SECRET-<script>"}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "AAA", "SECRET": 1}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": ["AAA"]}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "AAA", "as_of": 1700000000}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "AAA", "as_of": "2023-12-30T07:30:00"}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "AAA", "as_of": "9999-12-31T23:59:59Z"}', Code.IN_FUTURE, 422),
    ("get_market_regime", b'{"symbol": "AAA", "as_of": "0001-01-01T00:00:00Z"}', Code.BEFORE_HISTORY, 422),
    ("get_market_regime", b'{"symbol": "AAA", "use": "SECRET"}', Code.INVALID, 422),
    ("get_market_regime", b'{"symbol": "AAA", "timeframe": "SECRET"}', Code.INVALID, 422),
    ("forecast_volatility", b'{"symbol": "AAA", "horizon": "SECRET"}', Code.INVALID, 422),
    ("forecast_volatility", b'{"symbol": "AAA", "horizon": "5d", "timeframe": "1h"}', Code.INVALID, 422),
    ("forecast_volatility", b'{"symbol": "SECRET"}', Code.UNKNOWN_SYMBOL, 404),
    ("explain_prediction", b'{"prediction_id": "SECRET"}', Code.INVALID, 422),
    ("explain_prediction", b'{"prediction_id": "ffffffffffffffffffffffffffffffff"}', Code.UNKNOWN_PREDICTION, 404),
)


@pytest.mark.parametrize(("tool", "body", "code", "status"), WRONG)
async def test_bad_input_gets_a_typed_error_that_does_not_repeat_it(
    http: httpx.AsyncClient, tool: str, body: bytes, code: Code, status: int
) -> None:
    reply = await http.post(f"/v1/tools/{tool}", content=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert error["message"]
    assert error["accepted"]
    assert error["retryable"] is False
    assert "SECRET" not in reply.text
    assert "Traceback" not in reply.text


async def test_an_unknown_horizon_is_told_which_there_are(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/tools/forecast_volatility", json={"symbol": "AAA", "horizon": "7h"})
    assert "'6h', '12h', '24h', '48h'" in reply.json()["error"]["message"]


async def test_unknown_fields_are_refused_over_mcp_too(mcp: Client) -> None:
    result = await mcp.call_tool("get_market_regime", {"symbol": "AAA", "SECRET": 1})
    assert result.is_error
    assert "invalid_request" in text_of(result)
    assert "SECRET" not in text_of(result)


async def test_an_unknown_tool_is_a_protocol_error_over_mcp_and_404_over_http(
    mcp: Client, http: httpx.AsyncClient
) -> None:
    with pytest.raises(MCPError, match="unknown tool"):
        await mcp.call_tool("SECRET", {})
    reply = await http.post("/v1/tools/SECRET", json={})
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "unknown_tool"
    assert "SECRET" not in reply.text


async def test_a_large_body_is_refused_before_it_is_read(http: httpx.AsyncClient, house: House) -> None:
    limit = house.config.http.body_limit_bytes
    reply = await http.post("/v1/tools/get_market_regime", content=b" " * (limit + 1))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
    assert (await http.post("/v1/tools/get_server_status", content=b" " * limit)).status_code == 400


async def test_a_fault_is_masked_and_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: object, asked_by: str) -> Told:
        raise ZeroDivisionError("SECRET")

    tool = replace(house.tools[0], answer=broken)
    served = await serve(tool, b'{"symbol": "AAA"}', "test")
    assert served.code is Code.FAULT
    assert served.http_status == 500
    assert "SECRET" not in served.body + served.text
    assert "ZeroDivisionError: SECRET" in caplog.text


async def test_the_openapi_page_describes_every_tool(http: httpx.AsyncClient, house: House) -> None:
    page = (await http.get("/openapi.json")).json()
    assert page["openapi"].startswith("3.1")
    for tool in house.tools:
        operation = page["paths"][f"/v1/tools/{tool.name}"]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]
        codes = {"200", "400", "401", "403", "404", "410", "413", "422", "429", "500", "503"}
        assert set(operation["responses"]) == codes
    refs = set(_refs(page))
    assert refs
    assert all(ref.removeprefix("#/components/schemas/") in page["components"]["schemas"] for ref in refs)


def _refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _refs(value)]
    return [ref for value in node for ref in _refs(value)] if isinstance(node, list) else []


async def test_the_examples_of_the_page_are_answered_or_abstain(house: House, http: httpx.AsyncClient) -> None:
    for capability in CATALOGUE:
        for example in capability.examples:
            asked = json.loads(example.model_dump_json(exclude_defaults=True)) | {"symbol": "AAA"}
            reply = await http.post(f"/v1/tools/{capability.tool}", json=asked)
            if reply.status_code != 200:  # AAA has hourly bars of a hundred days alone
                assert reply.json()["error"]["code"] in (Code.UNKNOWN_SYMBOL, Code.BEFORE_HISTORY), reply.text


async def test_a_risk_engine_gets_no_for_stale_data(http: httpx.AsyncClient, clock: HandClock) -> None:
    clock.at += 4 * HOUR_MS
    reply = await http.post("/v1/tools/forecast_volatility", json={"symbol": "AAA", "use": "veto"})
    assert reply.status_code == 200
    assert reply.json()["do_not_trade"] is True
    assert reply.json()["stale"] is True
    assert reply.json()["as_of"] == moment(NOW + 4 * HOUR_MS).isoformat().replace("+00:00", "Z")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        ).map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {"symbol": st.sampled_from(["AAA", "BBB"])},
            optional={
                "as_of": st.datetimes().map(lambda at: at.isoformat() + "Z") | st.text(max_size=10),
                "use": st.sampled_from(["advice", "veto", "x"]),
                "timeframe": st.sampled_from(["1h", "1d", "1m", "7h"]),
                "horizon": st.sampled_from(["6h", "5d", "", "24H"]),
                "more_symbols": st.lists(st.text(max_size=4), max_size=3),
            },
        ).map(lambda value: json.dumps(value).encode()),
    ),
    tool=st.sampled_from([one.tool for one in CATALOGUE] + ["explain_prediction", "get_server_status"]),
)
async def test_no_body_makes_the_server_fail(house: House, body: bytes, tool: str) -> None:
    served = await caller(house.tools)(tool, body, "test")
    assert served.code is not Code.FAULT
    assert served.http_status < 500
    json.loads(served.body, parse_constant=lambda name: pytest.fail(f"{name} in a reply"))
