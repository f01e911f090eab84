"""One contract, two doors: whatever is asked, both say the same bytes, in the schema that was listed, in few words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import jsonschema
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel
from pydantic_core import to_json

from ml.capability import Why
from ml.volatility.answer import VolatilityAnswer
from server import House, app
from tests.mcp_clients import served
from tools.over_mcp import ERROR, McpServer, listing
from tools.reply import MOST_CHARACTERS, Abstention, Reply, Source, TrackRecord, moment
from tools.tool import Face, Tool

pytestmark = pytest.mark.anyio

#: What fifteen tools may cost in a list, without and with what they answer, in characters over four.
LIST_TOKENS, WHOLE_LIST_TOKENS, OF_TOOLS = 5_000, 12_000, 15

WORDS = st.sampled_from(["AAA", "BBB", "NOPE", "aaa", "", "SECRET", "1h", "1d", "6h", "24h", "5d", "full", "concise",
                         "veto", "advice", "regime", "forecast_volatility", "0" * 32, "2023-12-30T07:30:00Z",
                         "9999-01-01T00:00:00Z", "2023-12-30T07:30:00"])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**9) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def tokens(listed: object) -> float:
    """What something costs an agent: the characters of its JSON over four."""
    return len(json.dumps(listed, separators=(",", ":"), ensure_ascii=False)) / 4


def questions(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    """Good ones, nearly good ones, and some with a field that the tool does not have."""
    fields = dict.fromkeys(tool.request.model_fields, JSON)
    good = {"symbol": st.sampled_from(["AAA", "BBB", "NOPE"]), "detail": st.sampled_from(["full", "concise"])}
    likely = {name: good[name] for name in good if name in tool.request.model_fields}
    return st.fixed_dictionaries({}, optional={**fields, "SECRET": JSON}) | st.fixed_dictionaries(likely)


@dataclass(frozen=True)
class Doors:
    """Both, over one app. Each question has a client of its own, as each example of a property has its own tasks."""

    app: FastAPI
    server: McpServer

    async def ask(self, tool: str, question: dict[str, Any]) -> tuple[httpx.Response, CallToolResult]:
        transport = httpx.ASGITransport(app=self.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http,
            Client(self.server) as client,
        ):
            return await http.post(f"/v1/tools/{tool}", json=question), await client.call_tool(tool, question)


@pytest.fixture
def doors(house: House) -> Doors:
    return Doors(app(house), served(house))


def payload(result: CallToolResult) -> str:
    if result.is_error:
        assert result.structured_content is None
        assert result.meta is not None
        return to_json({"error": result.meta[ERROR]}).decode()
    return to_json(result.structured_content).decode()


#: What a clock or a count changes between two calls, however close.
MOVING = ("ledger", "now", "asked_at")


def still(body: str) -> Any:
    told = json.loads(body)
    return {name: value for name, value in told.items() if name not in MOVING}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_doors_say_the_same_bytes_whatever_is_asked(house: House, doors: Doors, data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from(house.tools), label="tool")
    question = data.draw(questions(tool), label="question")
    over_http, over_mcp = anyio.run(doors.ask, tool.name, question)
    if set(json.loads(over_http.text)) & set(MOVING):
        assert still(payload(over_mcp)) == still(over_http.text)
    else:
        assert payload(over_mcp) == over_http.text
    assert over_mcp.is_error == (over_http.status_code != 200)
    assert over_http.status_code < 500
    (text,) = over_mcp.content
    assert isinstance(text, TextContent)
    if over_mcp.is_error:
        error = over_http.json()["error"]
        assert "SECRET" not in over_http.text + text.text
        assert all(said in text.text for said in (error["code"], error["message"]))
        assert {"code", "message", "accepted", "retryable"} <= set(error)
        assert all(one.rstrip(".") in text.text for one in error["accepted"])
        return
    told = over_http.json()
    jsonschema.validate(told, Face.of(tool).output_schema)
    jsonschema.validate(told, tool.reply.model_json_schema(mode="serialization"))
    if question.get("detail", "concise") == "concise" and not question.get("more_symbols"):
        assert len(over_http.text) + len(text.text) <= MOST_CHARACTERS
    if "answered_by" in told and "as_of" in told:
        assert_complete(told, text.text)


def assert_complete(told: dict[str, Any], text: str) -> None:
    """Whoever sees text alone, or structure alone, knows who answered, how fresh it is, and of an abstention."""
    assert told["summary"] in text
    for word in (told["symbol"], told["answered_by"], told["prediction_id"], moment_in(told["as_of"])):
        assert word in text
    assert ("stale" if told["stale"] else "fresh" if told.get("data_through") else "no data") in text
    assert (told["source"] == "abstain") == ("answer" not in told) == ("abstained" in told)
    assert (told["source"] == "abstain") == ("abstains" in text)
    assert told.get("do_not_trade", False) == ("DO NOT TRADE" in text)
    assert told["reasons"]


def moment_in(as_of: str) -> str:
    return as_of[:19].replace("T", " ")


def test_a_list_of_fifteen_tools_fits_its_budget(house: House) -> None:
    listed = [listing(Face.of(tool)).model_dump(by_alias=True, exclude_none=True, mode="json") for tool in house.tools]
    bare = [{name: value for name, value in one.items() if name != "outputSchema"} for one in listed]
    share = len(listed) / OF_TOOLS
    costs = {one["name"]: (tokens(few), tokens(one)) for one, few in zip(listed, bare, strict=True)}
    assert sum(few for few, _ in costs.values()) <= LIST_TOKENS * share, costs
    assert sum(all_ for _, all_ in costs.values()) <= WHOLE_LIST_TOKENS * share, costs


def test_a_tool_says_what_it_is_for_in_a_few_sentences(house: House) -> None:
    for tool in house.tools:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool.name)
        assert len(tool.description) <= 1_024
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z`])", tool.description.replace("e.g. ", ""))
        assert 3 <= len(sentences) <= 4, (tool.name, sentences)
        assert re.search(r"\bAsk\b|\bTell\b|\bUse\b", tool.description), f"{tool.name} does not say when"
        assert re.search(r"\b([Nn]ot|[Nn]othing|[Nn]ever)\b", tool.description), f"{tool.name} does not say when not"
        listed = listing(Face.of(tool))
        assert listed.annotations is not None
        assert listed.annotations.read_only_hint is tool.read_only
        assert listed.annotations.open_world_hint is False
        assert listed.input_schema["additionalProperties"] is False
        assert listed.input_schema["type"] == "object"


def nullable_and_required(schema: dict[str, Any]) -> Iterator[str]:
    for name, one in {"": schema, **schema.get("$defs", {})}.items():
        for field in one.get("required", ()):
            if {"type": "null"} in one["properties"][field].get("anyOf", ()):
                yield f"{name}.{field}"


def test_what_may_be_null_may_be_left_out_of_every_reply(house: House) -> None:
    for tool in house.tools:
        assert list(nullable_and_required(tool.reply.model_json_schema(mode="serialization"))) == []
        assert isinstance(tool.reply, type)
        assert issubclass(tool.reply, BaseModel)


VERDICT = "insufficient (31 weeks of 52), so far better than the rules, loss 0.912 x (0.861-0.964) over 31 weeks"
RECORD = TrackRecord(
    n_live=5_208,
    n_replayed=31_000,
    basis="live",
    window="weeks of 2024-01-01 to 2024-07-29, 52 at most",
    loss_ratio_to_rules=0.912,
    loss_ratio_low=0.861,
    loss_ratio_high=0.964,
    calibration={"ece": 0.011},
    verdict=VERDICT,
)
PASSED = "volatility@3: the model is 9 days old, the limit is 7"


@pytest.mark.parametrize("n_reasons", [1, 2, 4])
def test_a_concise_reply_keeps_what_matters_when_much_went_wrong(n_reasons: int) -> None:
    """Somebody passed over, the data stale, the evidence long: still within 500 tokens, and nothing of it lost."""
    reply: Reply[Any] = Reply[VolatilityAnswer](
        symbol="BTCUSDT",
        summary=f"BTCUSDT: no answer, volatility@0 abstains: 7 bars are missing. Passed over {PASSED}. DO NOT TRADE.",
        answered_by="volatility@0",
        source=Source.ABSTAIN,
        abstained=Abstention(why=Why.GAP_IN_DATA, text="7 bars are missing in the last 24"),
        passed_over=(PASSED,),
        reasons=("a reason with its numbers, as long as reasons are wont to be: 1.234% against 5.678%" * 3,)
        * n_reasons,
        track_record=RECORD,
        do_not_trade=True,
        do_not_trade_because="gap_in_data: 7 bars are missing",
        data_origin="simulated",
        as_of=moment(0),
        stale=True,
        prediction_id="0" * 32,
    )
    said = reply.concise()
    told = json.loads(said.body)
    assert len(said.body) + len(said.text) <= MOST_CHARACTERS
    assert told["track_record"] == {"n_live": 5_208, "n_replayed": 31_000, "verdict": VERDICT}
    assert (told["passed_over"], told["stale"], told["do_not_trade"]) == ([PASSED], True, True)
    assert_complete(told, said.text)
    full = json.loads(reply.model_dump_json(exclude_none=True))
    assert len(full["reasons"]) == n_reasons
    assert full["track_record"]["calibration"] == {"ece": 0.011}
    assert all(reason in reply.text() for reason in reply.reasons)
    assert VERDICT in reply.text()


async def test_other_symbols_cost_little_and_bring_their_papers(house: House, doors: Doors) -> None:
    for capability in house.catalogue:
        question = {"symbol": "AAA", "more_symbols": ["BBB", "NOPE"]}
        over_http, over_mcp = await doors.ask(capability.tool, question)
        told = over_http.json()
        (text,) = over_mcp.content
        assert isinstance(text, TextContent)
        assert [one["symbol"] for one in told["more"]] == ["BBB", "NOPE"]
        for one, line in zip((told, *told["more"]), text.text.splitlines(), strict=True):
            assert_complete(one, line)
        assert all(len(one["reasons"]) == 1 and "track_record" not in one for one in told["more"])
        full, _ = await doors.ask(capability.tool, {**question, "detail": "full"})
        assert "track_record" in full.json()["more"][0]
        jsonschema.validate(
            full.json(), next(Face.of(t).output_schema for t in house.tools if t.name == capability.tool)
        )
