"""Fixtures of protocol 2026-07-28: tools that need more from the client before they can answer, and list changes."""

from __future__ import annotations

import json

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)


def rounds(server: MCPServer) -> None:
    """All of them, on a server."""
    _one_round(server)
    _several_rounds(server)
    _capabilities(server)
    _changes(server)


def asked(field: str, message: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampled(text: str, max_tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def told(ctx: Context, key: str, field: str) -> object:
    """What the client's user said, or None."""
    said = (ctx.input_responses or {}).get(key)
    return said.content.get(field) if isinstance(said, ElicitResult) and said.content else None


def _one_round(server: MCPServer) -> None:
    @server.tool(description="Needs a name.", structured_output=False)
    async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
        name = told(ctx, "user_name", "name")
        if name is None:
            return InputRequiredResult(input_requests={"user_name": asked("name", "What is your name?")})
        return f"Hello, {name}!"

    def needs(name: str, key: str, request: InputRequest) -> None:
        async def tool(ctx: Context) -> str | InputRequiredResult:
            said = (ctx.input_responses or {}).get(key)
            if said is None:
                return InputRequiredResult(input_requests={key: request})
            return f"The client said: {said.model_dump_json()}"

        server.tool(name=name, description=f"Needs {key}.", structured_output=False)(tool)

    needs("test_input_required_result_sampling", "capital_question", sampled("What is the capital of France?"))
    needs("test_input_required_result_list_roots", "client_roots", ListRootsRequest())
    needs("test_streaming_elicitation", "user_name", asked("name", "What is your name?"))

    @server.prompt(description="Needs a context.")
    async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | InputRequiredResult:
        context = told(ctx, "user_context", "context")
        if context is None:
            question = asked("context", "What context should the prompt use?")
            return InputRequiredResult(input_requests={"user_context": question})
        return [UserMessage(content=TextContent(type="text", text=f"Use this context: {context}"))]


def _several_rounds(server: MCPServer) -> None:
    confirm = asked("ok", "Please confirm", "boolean")

    def remembers(name: str) -> None:
        """The seal is opened by the SDK: what was changed on the way never comes here."""

        async def tool(ctx: Context) -> str | InputRequiredResult:
            if ctx.request_state is None:
                return InputRequiredResult(input_requests={"confirm": confirm}, request_state="first round")
            return f"state-ok: {ctx.request_state}"

        server.tool(name=name, description="Remembers a round.", structured_output=False)(tool)

    remembers("test_input_required_result_request_state")
    remembers("test_input_required_result_tampered_state")

    @server.tool(description="Needs three things at once.", structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
        if {"user_name", "greeting", "client_roots"} <= set(ctx.input_responses or {}):
            return "All three came."
        return InputRequiredResult(
            input_requests={
                "user_name": asked("name", "What is your name?"),
                "greeting": sampled("Generate a greeting", 50),
                "client_roots": ListRootsRequest(),
            },
            request_state="three things",
        )

    @server.tool(description="Needs one thing after the other.", structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        known: dict[str, object] = json.loads(ctx.request_state) if ctx.request_state else {}
        for key, field, message in (
            ("step1", "name", "Step 1: What is your name?"),
            ("step2", "color", "Step 2: What is your favorite color?"),
        ):
            known[field] = known.get(field) or told(ctx, key, field)
            if known[field] is None:
                return InputRequiredResult(input_requests={key: asked(field, message)}, request_state=json.dumps(known))
        return f"{known['name']} likes {known['color']}."


def _capabilities(server: MCPServer) -> None:
    @server.tool(description="Asks only for what the client can do.", structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        can = ctx.client_capabilities
        requests: dict[str, InputRequest] = {}
        if can is not None and can.sampling is not None:
            requests["greeting"] = sampled("Generate a greeting", 50)
        if can is not None and can.elicitation is not None:
            requests["user_name"] = asked("name", "What is your name?")
        return InputRequiredResult(input_requests=requests, request_state="asked") if requests else "Nothing to ask."

    @server.tool(description="Cannot work without sampling.", structured_output=False)
    async def test_missing_capability(ctx: Context) -> str:
        can = ctx.client_capabilities
        if can is None or can.sampling is None:
            missing: dict[str, object] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs the client's sampling", missing)
        return "The client has sampling."


def _changes(server: MCPServer) -> None:
    @server.tool(description="Says that the tools have changed.", structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        await ctx.notify_tools_changed()
        return "done"

    @server.tool(description="Says that the prompts have changed.", structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        await ctx.notify_prompts_changed()
        return "done"
