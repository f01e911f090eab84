"""MCP callers who can get a token with more scopes are told so by HTTP, before the call, as the MCP specification has
it. Who holds a key is told in the result of the call: no key grows, and so the model at least reads why."""

from __future__ import annotations

import json
from collections.abc import Callable

from registry.scope import EVERY_SCOPE, Scope
from tools.asgi import Message, Receive, Scoped
from tools.guard import lacking
from tools.principal import Principal

#: More of a body is not looked through before it goes on.
MOST_BYTES = 1_048_576

#: Which scope a call of a tool takes, by its name and its arguments as JSON; None where nobody could say.
Needed = Callable[[str, bytes], Scope | None]


async def looked_through(scope: Scoped, principal: Principal, receive: Receive, needed: Needed) -> Receive:
    """The body of an MCP request, to be read again. Raises Refused for a call that takes a scope which the caller lacks
    and could get."""
    if scope["method"] != "POST" or not principal.may_step_up or principal.scopes == EVERY_SCOPE:
        return receive
    messages: list[Message] = []
    size = 0
    while size <= MOST_BYTES and (not messages or messages[-1].get("more_body")):
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
    call = _call(b"".join(message.get("body", b"") for message in messages))
    takes = needed(*call) if call else None
    if takes is not None and takes not in principal.scopes:
        raise lacking(takes)
    waiting = iter(messages)

    async def again() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return again


def _call(body: bytes) -> tuple[str, bytes] | None:
    """The tool that a JSON-RPC request calls, and its arguments."""
    try:
        said = json.loads(body)
        if said["method"] == "tools/call" and isinstance(name := said["params"]["name"], str):
            return name, json.dumps(said["params"].get("arguments") or {}).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # what is wrong with it, the MCP door says
    return None
