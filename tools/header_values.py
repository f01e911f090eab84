"""Blanks around the value of a header are no part of it (RFC 9110, 5.5); the parser we use leaves those behind it.

The MCP door compares headers with bodies, so it would refuse what any other parser reads.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

BLANKS = b" \t"


class TrimmedHeaders:
    """Takes them away, before anybody looks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(value[-1:] in (b" ", b"\t") for _, value in scope["headers"]):
            scope = {**scope, "headers": [(name, value.strip(BLANKS)) for name, value in scope["headers"]]}
        await self._app(scope, receive, send)
