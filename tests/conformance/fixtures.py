"""What the conformance suite calls for: content of every kind, prompts and resources that no market has.

They are an MCP server of their own, put behind the production one by composition: whatever the production server does
not know is asked here. Nothing of it is in the application.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Annotated, Any

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.types import (
    INVALID_PARAMS,
    AudioContent,
    CallToolRequestParams,
    EmbeddedResource,
    EmptyResult,
    GetPromptRequestParams,
    ImageContent,
    ReadResourceRequestParams,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field, JsonValue, create_model

from tests.conformance.rounds import rounds
from tools.over_mcp import McpServer

#: One red pixel, and 1/8,000 s of silence.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="
A_MOMENT_SECONDS = 0.05

#: Where the fixtures live; what is nowhere is for the production server to say.
KNOWN = ("test://static-", "test://template/", "test://watched-resource")

#: The suite wants to see it in a list; it is never called.
SCHEMA_TOOL = Tool(
    name="json_schema_2020_12_tool",
    description="A schema with words of JSON Schema 2020-12.",
    input_schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)


def dress(server: McpServer) -> None:
    """Puts the fixtures behind a server that is about to be served."""
    behind = _fixtures()._lowlevel_server  # the SDK has no public way yet
    _lists(server, behind, "tools/list", "tools", [SCHEMA_TOOL])
    for method, listed in (
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resource_templates"),
    ):
        _lists(server, behind, method, listed, [])
    ours = {"tools/call": _fixture, "prompts/get": _fixture, "resources/read": _address, "completion/complete": _about}
    kinds: dict[str, type[Any]] = {
        "tools/call": CallToolRequestParams,
        "prompts/get": GetPromptRequestParams,
        "resources/read": ReadResourceRequestParams,
    }
    for method, is_fixture in ours.items():
        _routed(server, behind, method, kinds.get(method), is_fixture)
    listen = behind.get_request_handler("subscriptions/listen")
    assert listen is not None
    server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, listen.handler)
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, _done)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _done)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, _done)
    # What the fixtures hand out for a later round comes back sealed, or not at all.
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
    schemas, others = server.get_tool_input_schema, behind.get_tool_input_schema
    assert schemas is not None
    assert others is not None
    server.get_tool_input_schema = lambda name: schemas(name) or others(name)


async def _done(_: object, __: object) -> EmptyResult:
    return EmptyResult()


def _fixture(params: Any) -> bool:
    return str(params.name).startswith("test_")


def _address(params: Any) -> bool:
    return str(params.uri).startswith(KNOWN)


def _about(params: Any) -> bool:
    return _fixture(params.ref) if hasattr(params.ref, "name") else str(params.ref.uri).startswith("test://")


def _lists(server: McpServer, behind: McpServer, method: str, field: str, more: list[Any]) -> None:
    """One list after the other."""
    first, second = server.get_request_handler(method), behind.get_request_handler(method)
    assert first is not None
    assert second is not None
    front, back = first.handler, second.handler

    async def both(ctx: Any, params: Any) -> Any:
        own: Any = await front(ctx, params)
        theirs = await back(ctx, params)
        return own.model_copy(update={field: [*getattr(own, field), *getattr(theirs, field), *more]})

    server.add_request_handler(method, first.params_type, both)


def _routed(
    server: McpServer, behind: McpServer, method: str, kind: type[Any] | None, is_fixture: Callable[[Any], bool]
) -> None:
    """Fixtures to where they are known, all else to the production handler."""
    first, second = server.get_request_handler(method), behind.get_request_handler(method)
    assert first is not None
    assert second is not None
    front, back = first.handler, second.handler

    async def routed(ctx: Any, params: Any) -> Any:
        return await (back if is_fixture(params) else front)(ctx, params)

    server.add_request_handler(method, kind or first.params_type, routed)


class Username(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


_TITLED: list[JsonValue] = [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]


_PLAIN: list[JsonValue] = ["option1", "option2", "option3"]

#: The names are the suite's.
Choices = create_model(
    "Choices",
    untitledSingle=(str, Field(json_schema_extra={"enum": _PLAIN})),
    titledSingle=(str, Field(json_schema_extra={"oneOf": _TITLED})),
    legacyEnum=(str, Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]})),
    untitledMulti=(list[str], Field(json_schema_extra={"items": {"type": "string", "enum": _PLAIN}})),
    titledMulti=(list[str], Field(json_schema_extra={"items": {"anyOf": _TITLED}})),
)


def _fixtures() -> MCPServer:
    server = MCPServer("fixtures")
    _content(server)
    _conversation(server)
    _questions(server)
    _prompts(server)
    _resources(server)
    rounds(server)

    async def nothing(*_: Any) -> None:
        return None

    server.completion()(nothing)  # type: ignore[no-untyped-call]  # the SDK's has no types
    return server


def _content(server: MCPServer) -> None:
    pixel = ImageContent(type="image", data=PIXEL, mime_type="image/png")

    def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
        return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))

    @server.tool(description="Text.", structured_output=False)
    async def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="An image.", structured_output=False)
    async def test_image_content() -> list[ImageContent]:
        return [pixel]

    @server.tool(description="A sound.", structured_output=False)
    async def test_audio_content() -> list[AudioContent]:
        return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]

    @server.tool(description="A resource.", structured_output=False)
    async def test_embedded_resource() -> list[EmbeddedResource]:
        return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]

    @server.tool(description="All kinds.", structured_output=False)
    async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        text = TextContent(type="text", text="Multiple content types test:")
        told = json.dumps({"test": "data", "value": 123})
        return [text, pixel, embedded("test://mixed-content-resource", "application/json", told)]

    @server.tool(description="An error.", structured_output=False)
    async def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="A value that is told in a header too.", structured_output=False)
    async def test_header_echo(text: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Text"})] = "") -> str:
        return text


def _conversation(server: MCPServer) -> None:
    async def log_thrice(ctx: Context) -> None:
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.session.send_log_message("info", text, related_request_id=ctx.request_id)
            await asyncio.sleep(A_MOMENT_SECONDS)

    @server.tool(description="Logs.", structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        await log_thrice(ctx)
        return "done"

    @server.tool(description="Logs, if the client asked for it.", structured_output=False)
    async def test_logging_tool(ctx: Context) -> str:
        if (ctx.request_context.meta or {}).get("io.modelcontextprotocol/logLevel"):
            await log_thrice(ctx)
        return "done"

    @server.tool(description="Progress.", structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        for progress in (0, 50, 100):
            await ctx.report_progress(progress, 100)
            await asyncio.sleep(A_MOMENT_SECONDS)
        return "done"

    @server.tool(description="Closes its stream halfway.", structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
        return "Reconnection test completed"


def _questions(server: MCPServer) -> None:
    @server.tool(description="Asks the client's model.", structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        asked = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        said = await ctx.session.create_message([asked], max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {said.content.text if isinstance(said.content, TextContent) else ''}"

    def elicits(name: str, schema: type[BaseModel]) -> None:
        async def ask(ctx: Context, message: str = "Please tell") -> str:
            said = await ctx.elicit(message=message, schema=schema)
            content = said.data.model_dump_json() if said.action == "accept" else "{}"
            return f"User response: action={said.action}, content={content}"

        server.tool(name=name, description="Asks the user.", structured_output=False)(ask)

    elicits("test_elicitation", Username)
    elicits("test_elicitation_sep1034_defaults", Defaults)
    elicits("test_elicitation_sep1330_enums", Choices)


def _prompts(server: MCPServer) -> None:
    def user(text: str) -> UserMessage:
        return UserMessage(content=TextContent(type="text", text=text))

    @server.prompt(description="Plain.")
    async def test_simple_prompt() -> list[UserMessage]:
        return [user("This is a simple prompt for testing.")]

    @server.prompt(description="With arguments.")
    async def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        return [user(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    @server.prompt(description="With a resource.")
    async def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's
        told = TextResourceContents(
            uri=resourceUri, mime_type="text/plain", text="Embedded resource content for testing."
        )
        resource = UserMessage(content=EmbeddedResource(type="resource", resource=told))
        return [resource, user("Please process the embedded resource above.")]

    @server.prompt(description="With an image.")
    async def test_prompt_with_image() -> list[UserMessage]:
        image = UserMessage(content=ImageContent(type="image", data=PIXEL, mime_type="image/png"))
        return [image, user("Please analyze the image above.")]


def _resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain", description="Text.")
    async def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png", description="An image.")
    async def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", mime_type="text/plain", description="Watched.")
    async def watched() -> str:
        return "Watched resource content"

    @server.resource("test://template/{id}/data", mime_type="application/json", description="A template.")
    async def template(id: str) -> str:
        if not id.isdigit():
            raise MCPError(INVALID_PARAMS, "no such resource")
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
