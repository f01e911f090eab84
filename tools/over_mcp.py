"""The MCP door. Tools come from their models; a call is handed to `serve` as it came, so HTTP says the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as ListedTool

from tools.tool import Call, Face, Served

INSTRUCTIONS = (
    "Instruments for trading agents. Each reply says who answered (model or rules), how sure, how fresh the data are "
    "and whether it abstains. Ask get_server_status for the symbols. Same as_of, same answer. Not advice to trade."
)


def mcp_server(faces: Sequence[Face], call: Call, version: str) -> Server[Any]:
    """The server object for stdio and streamable HTTP, both protocol eras. `call` answers, here or elsewhere."""
    listed = ListToolsResult(tools=[listing(face) for face in faces])
    names = [face.name for face in faces]
    schemas = {face.name: face.input_schema for face in faces}

    async def list_tools(_: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        return listed

    async def call_tool(_: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        if params.name not in names:
            raise MCPError(INVALID_PARAMS, f"unknown tool; there are {', '.join(names)}")
        return result(await call(params.name, json.dumps(params.arguments or {}), "mcp"))

    return Server(
        "barograph",
        version=version,
        title="Barograph",
        instructions=INSTRUCTIONS,
        # Else every call over HTTP would work out the whole list of tools, to check one header.
        get_tool_input_schema=schemas.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def listing(face: Face) -> ListedTool:
    """What `tools/list` says of a tool."""
    return ListedTool(
        name=face.name,
        title=face.title,
        description=face.description,
        input_schema=face.input_schema,
        output_schema=face.output_schema,
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )


def result(served: Served) -> CallToolResult:
    """Text and structure, each complete on its own. An error is `isError`, told in both."""
    return CallToolResult(
        content=[TextContent(type="text", text=served.text)],
        structured_content=json.loads(served.body),
        is_error=served.code is not None,
    )
