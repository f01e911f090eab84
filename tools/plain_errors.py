"""What the SDK says of a malformed message repeats the message. Here it is told without it: errors end up in logs, and
in front of others."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

BAD_REQUEST = 400
#: How the SDK begins what goes on with the input.
REPEATS = "Validation error:"
INSTEAD = "Validation error: this is no JSON-RPC 2.0 message"


def plain(routes: Sequence[BaseRoute]) -> Sequence[BaseRoute]:
    """The routes of the MCP app, whose refusals repeat nothing."""
    for route in routes:
        if isinstance(route, Route):
            route.app = PlainErrors(route.app)
    return routes


class PlainErrors:
    """ASGI. A refusal is held back until it is whole; everything else goes through as it comes."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        began: Message | None = None
        parts: list[bytes] = []

        async def told(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start" and message["status"] == BAD_REQUEST:
                began = message
            elif began is None:
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body = without_input(b"".join(parts))
                    await send({**began, "headers": _sized(began["headers"], len(body))})
                    await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, told)


def without_input(body: bytes) -> bytes:
    """The JSON-RPC error, without what was sent."""
    try:
        said = json.loads(body)
        if not said["error"]["message"].startswith(REPEATS):
            return body
    except (ValueError, KeyError, TypeError, AttributeError):
        return body
    return json.dumps({**said, "error": {"code": said["error"]["code"], "message": INSTEAD}}).encode()


def _sized(headers: Sequence[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    return [(name, str(size).encode() if name.lower() == b"content-length" else value) for name, value in headers]
