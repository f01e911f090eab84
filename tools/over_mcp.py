"""The MCP door. All it offers is made from models; a call is handed on as it came, so HTTP says the same bytes.

Protocol errors are for requests that are wrong as such: an unknown name, a cursor that nobody gave, a resource that
cannot be read. A tool that was asked and cannot answer says so in its result, with `isError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from mcp import MCPError
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ContentBlock,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptArgument,
    PromptMessage,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from mcp.types import Prompt as ListedPrompt
from mcp.types import Resource as ListedResource
from mcp.types import Tool as ListedTool

from tools.completion import Completions, completions, symbols
from tools.instructions import INSTRUCTIONS
from tools.offer import Offer
from tools.prompts import Prompt
from tools.refusal import Refused
from tools.resources import Resource, found, read
from tools.subscriptions import Subscriptions
from tools.tool import Call, Face, Served, refusal

DOOR = "mcp"
#: Where the typed error of a call that failed is to be found, in `_meta`.
ERROR = "barograph/error"
#: What is offered changes with the version of the server alone; what is read changes with every bar.
FOR_A_WHILE = CacheHint(ttl_ms=300_000, scope="public")
CACHED: tuple[CacheableMethod, ...] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)

McpServer: TypeAlias = Server[Any]
Context: TypeAlias = ServerRequestContext[Any]
Page: TypeAlias = PaginatedRequestParams | None
Listed = TypeVar("Listed")
#: Adds to a server before it is served.
Dress: TypeAlias = Callable[[McpServer], None]


def mcp_server(offer: Offer, call: Call, subscriptions: Subscriptions | None = None) -> McpServer:
    """The server object for stdio and streamable HTTP, both protocol eras. `call` answers, here or elsewhere. Without
    `subscriptions` no resource can be followed."""
    door = _Door(offer, call)
    server: McpServer = Server(
        "barograph",
        version=offer.version,
        title="Barograph",
        instructions=INSTRUCTIONS,
        cache_hints=dict.fromkeys(CACHED, FOR_A_WHILE),
        # Else every call over HTTP would work out the whole list of tools, to check one header.
        get_tool_input_schema=door.schemas.get,
        on_list_tools=door.list_tools,
        on_call_tool=door.call_tool,
        on_list_resources=door.list_resources,
        on_list_resource_templates=door.list_templates,
        on_read_resource=door.read_resource,
        on_list_prompts=door.list_prompts,
        on_get_prompt=door.get_prompt,
        on_completion=door.complete,
        on_subscribe_resource=subscriptions.subscribe if subscriptions else None,
        on_unsubscribe_resource=subscriptions.unsubscribe if subscriptions else None,
        on_subscriptions_listen=subscriptions.listen if subscriptions else None,
    )
    server.middleware.append(nameless)
    return server


async def nameless(ctx: Context, call_next: CallNext) -> HandlerResult:
    """An unknown method is not named back: no error repeats the input."""
    try:
        return await call_next(ctx)
    except MCPError as error:
        if error.error.code != METHOD_NOT_FOUND:
            raise
        raise MCPError(METHOD_NOT_FOUND, error.error.message) from None


class _Door:
    """The handlers. Everything that is listed is worked out once: a call costs the same however much is offered."""

    def __init__(self, offer: Offer, call: Call) -> None:
        self._offer = offer
        self._call = call
        self.schemas = {face.name: face.input_schema for face in offer.tools}
        self._prompts = {one.name: one for one in offer.prompts}
        self._tools = ListToolsResult(tools=[listing(face) for face in offer.tools])
        self._listed_prompts = ListPromptsResult(prompts=[_listed_prompt(one) for one in offer.prompts])
        self._resources = ListResourcesResult(
            resources=[_listed_resource(one) for one in offer.resources if not one.template]
        )
        self._templates = ListResourceTemplatesResult(
            resource_templates=[_listed_template(one) for one in offer.resources if one.template]
        )

    async def list_tools(self, _: Context, page: Page) -> ListToolsResult:
        return _only_page(self._tools, page)

    async def list_resources(self, _: Context, page: Page) -> ListResourcesResult:
        return _only_page(self._resources, page)

    async def list_templates(self, _: Context, page: Page) -> ListResourceTemplatesResult:
        return _only_page(self._templates, page)

    async def list_prompts(self, _: Context, page: Page) -> ListPromptsResult:
        return _only_page(self._listed_prompts, page)

    async def call_tool(self, _: Context, params: CallToolRequestParams) -> CallToolResult:
        if params.name not in self.schemas:
            raise MCPError(INVALID_PARAMS, f"unknown tool; there are {', '.join(self.schemas)}")
        return result(await self._call(params.name, json.dumps(params.arguments or {}), DOOR))

    async def read_resource(self, _: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        at = found(self._offer.resources, str(params.uri))
        if at is None:
            there = ", ".join(one.uri for one in self._offer.resources)
            raise MCPError(INVALID_PARAMS, f"there is no such resource; there are {there}")
        resource, symbol = at
        served = await read(resource, symbol, self._call, DOOR)
        if served.code is not None:
            raise _wrong(served)
        contents = TextResourceContents(uri=params.uri, mime_type=resource.mime_type, text=served.body)
        return ReadResourceResult(contents=[contents])

    async def get_prompt(self, _: Context, params: GetPromptRequestParams) -> GetPromptResult:
        prompt = self._prompt(params.name)
        try:
            text = prompt.rendered(params.arguments or {})
        except Refused as refused:
            raise _wrong(refusal(refused)) from None
        message = PromptMessage(role="user", content=TextContent(type="text", text=text))
        return GetPromptResult(description=prompt.description, messages=[message])

    async def complete(self, _: Context, params: CompleteRequestParams) -> CompleteResult:
        said = await self._completed(params)
        return CompleteResult(
            completion=Completion(values=list(said.values), total=said.total, has_more=said.total > len(said.values))
        )

    async def _completed(self, params: CompleteRequestParams) -> Completions:
        if isinstance(params.ref, PromptReference):
            arguments = {one.name: one for one in self._prompt(params.ref.name).arguments}
            argument = arguments.get(params.argument.name)
            return await completions(argument, params.argument.value, self._call, DOOR) if argument else Completions()
        if params.ref.uri not in {one.uri for one in self._offer.resources if one.template}:
            raise MCPError(INVALID_PARAMS, "there is no such resource template")
        if params.argument.name != "symbol":
            return Completions()
        return await symbols(params.argument.value.upper(), self._call, DOOR)

    def _prompt(self, name: str) -> Prompt:
        if name not in self._prompts:
            raise MCPError(INVALID_PARAMS, f"unknown prompt; there are {', '.join(self._prompts)}")
        return self._prompts[name]


def listing(face: Face) -> ListedTool:
    """What `tools/list` says of a tool."""
    return ListedTool(
        name=face.name,
        title=face.title,
        description=face.description,
        input_schema=face.input_schema,
        output_schema=face.output_schema,
        annotations=ToolAnnotations(read_only_hint=face.read_only, open_world_hint=False),
    )


def result(served: Served) -> CallToolResult:
    """Text and structure, each complete on its own. An error is `isError` and text: clients hold any structure to the
    schema of the reply, which an error does not have. For programs it is in `_meta`, as HTTP says it."""
    content: list[ContentBlock] = [TextContent(type="text", text=served.text)]
    told = json.loads(served.body)
    if served.code is not None:
        return CallToolResult(content=content, is_error=True, _meta={ERROR: told["error"]})
    return CallToolResult(content=content, structured_content=told)


def _only_page(listed: Listed, page: Page) -> Listed:
    """All there is fits one page, so no cursor was ever given."""
    if page is not None and page.cursor is not None:
        raise MCPError(INVALID_PARAMS, "this cursor was not given here; ask for the list without one")
    return listed


def _wrong(served: Served) -> MCPError:
    """A refusal as a protocol error: what was wrong in its message, the typed error in its data."""
    code = INTERNAL_ERROR if served.http_status >= 500 else INVALID_PARAMS
    return MCPError(code, served.text, json.loads(served.body))


def _listed_prompt(one: Prompt) -> ListedPrompt:
    arguments = [PromptArgument(name=a.name, description=a.description, required=a.required) for a in one.arguments]
    return ListedPrompt(name=one.name, title=one.title, description=one.description, arguments=arguments)


def _listed_resource(one: Resource) -> ListedResource:
    return ListedResource(
        uri=one.uri, name=one.name, title=one.title, description=one.description, mime_type=one.mime_type
    )


def _listed_template(one: Resource) -> ResourceTemplate:
    return ResourceTemplate(
        uri_template=one.uri, name=one.name, title=one.title, description=one.description, mime_type=one.mime_type
    )
