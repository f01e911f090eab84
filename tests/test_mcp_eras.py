"""One server, two protocol eras, two transports: the same offer and the same answers through all four."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from mcp import Client, MCPError
from mcp.types import (
    INVALID_PARAMS,
    PaginatedRequestParams,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)
from pydantic_core import to_json

from barograph import __version__
from ml.catalogue import CATALOGUE
from server import House, app
from tests.mcp_clients import ERAS, TRANSPORTS, client, loopback
from tools.instructions import INSTRUCTIONS

pytestmark = pytest.mark.anyio

ALL = [(transport, era) for transport in TRANSPORTS for era in ERAS]


@pytest.fixture(params=ALL, ids=["-".join(one) for one in ALL])
async def agent(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    transport, era = request.param
    async with client(house, transport, era) as connected:
        assert connected.protocol_version == era
        yield connected


async def test_an_agent_finds_and_uses_everything_in_either_era_over_either_transport(
    agent: Client, house: House
) -> None:
    assert agent.instructions == INSTRUCTIONS
    assert agent.server_info is not None
    assert (agent.server_info.name, agent.server_info.version) == ("barograph", __version__)
    assert agent.server_capabilities.completions is not None

    tools = (await agent.list_tools()).tools
    assert [one.name for one in tools] == [one.name for one in house.tools]
    for capability in CATALOGUE:
        result = await agent.call_tool(capability.tool, {"symbol": "AAA", "use": "veto"})
        assert not result.is_error
        expected = await house.call(capability.tool, '{"symbol": "AAA", "use": "veto"}', "test")
        assert to_json(result.structured_content).decode() == expected.body
        assert isinstance(result.content[0], TextContent)
        assert result.content[0].text == expected.text
    wrong = await agent.call_tool("get_market_regime", {"symbol": "NOPE"})
    assert wrong.is_error
    assert wrong.structured_content is None, "it would be held to the schema of the reply"
    assert wrong.meta is not None
    assert wrong.meta["barograph/error"]["code"] == "unknown_symbol"

    templates = (await agent.list_resource_templates()).resource_templates
    assert [one.uri_template for one in templates] == [f"barograph://{one.name}/{{symbol}}" for one in CATALOGUE]
    uris = [str(one.uri) for one in (await agent.list_resources()).resources]
    for uri in [*uris, *(one.uri_template.replace("{symbol}", "AAA") for one in templates)]:
        (contents,) = (await agent.read_resource(uri)).contents
        assert isinstance(contents, TextResourceContents)
        assert contents.text
        assert contents.uri == uri

    prompts = {one.name: one for one in (await agent.list_prompts()).prompts}
    assert {one.name for one in CATALOGUE} < set(prompts)
    (message,) = (await agent.get_prompt("regime", {"symbol": "AAA"})).messages
    assert isinstance(message.content, TextContent)
    assert "For symbol AAA." in message.content.text

    symbol = {"name": "symbol", "value": "a"}
    for reference in (
        PromptReference(type="ref/prompt", name="regime"),
        ResourceTemplateReference(type="ref/resource", uri="barograph://volatility/{symbol}"),
    ):
        found = (await agent.complete(reference, symbol)).completion
        assert (found.values, found.total, found.has_more) == (["AAA"], 1, False)


async def test_names_that_nobody_gave_are_protocol_errors_without_an_echo(agent: Client) -> None:
    asked = (
        lambda: agent.call_tool("SECRET", {}),
        lambda: agent.get_prompt("SECRET"),
        lambda: agent.get_prompt("regime", {"symbol": "AAA", "SECRET": "1"}),
        lambda: agent.get_prompt("regime", {"symbol": "SECRET<script>"}),
        lambda: agent.read_resource("barograph://SECRET/AAA"),
        lambda: agent.read_resource("barograph://regime/SECRET%20"),
        lambda: agent.read_resource("barograph://regime/SECRET"),
        lambda: agent.complete(PromptReference(type="ref/prompt", name="SECRET"), {"name": "a", "value": ""}),
        lambda: agent.session.list_tools(params=PaginatedRequestParams(cursor="SECRET")),
    )
    for ask in asked:
        with pytest.raises(MCPError) as told:
            await ask()
        assert told.value.error.code == INVALID_PARAMS
        assert "SECRET" not in str(told.value.error)


async def test_blanks_around_a_header_are_no_part_of_it(house: House) -> None:
    """RFC 9110, 5.5. The parser leaves those behind a value, and the door compares `Mcp-Name` with the body."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "get_server_status", "arguments": {}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    async with loopback(app(house)) as url:
        port = int(url.rpartition(":")[2])
        for name, status in (("get_server_status \t", b"200"), ("get_track_record", b"400")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                "Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\n"
                f"Mcp-Method: tools/call\r\nMcp-Name:  {name}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n"
            )
            writer.write((head + body).encode())
            assert (await reader.read()).split(b" ")[1] == status
            writer.close()
            await writer.wait_closed()


async def test_the_lists_may_be_kept_for_a_while(house: House) -> None:
    async with client(house, "stdio", "2026-07-28") as agent:
        for listed in (
            await agent.list_tools(),
            await agent.list_prompts(),
            await agent.list_resources(),
            await agent.list_resource_templates(),
        ):
            assert (listed.ttl_ms, listed.cache_scope) == (300_000, "public")
            assert listed.next_cursor is None
        assert (await agent.read_resource("barograph://status")).ttl_ms == 0
