"""How many MCP sessions stay open: the one that was used longest ago makes room for a new one.

Whoever can reach the door may open sessions, each of some 40 KB, and forget them. A client whose session was closed is
told 404, as the protocol has it, and opens another. Closing is what a client would do: DELETE, as the one who opened
it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute, Route

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_SESSIONS = 256
SESSION = b"mcp-session-id"
#: What a request to close one must say beside its id.
KEPT_HEADERS = (b"host", b"authorization", b"mcp-protocol-version")


def bounded(routes: Sequence[BaseRoute], most: int = MOST_SESSIONS) -> Sequence[BaseRoute]:
    """The routes of the MCP app, with at most so many sessions that nobody is waiting in."""
    for route in routes:
        if isinstance(route, Route):
            route.app = Sessions(route.app, most)
    return routes


@dataclass(slots=True)
class _Open:
    opened_with: Message
    in_flight: int = 0


class Sessions:
    """ASGI, in front of the MCP endpoint."""

    def __init__(self, app: App, most: int) -> None:
        self._app = app
        self._most = most
        self._open: OrderedDict[bytes, _Open] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        named = _header(scope["headers"], SESSION)
        using = self._open.get(named) if named else None
        if named and using:
            self._open.move_to_end(named)
            using.in_flight += 1

        async def told(message: Message) -> None:
            if named is None and message["type"] == "http.response.start":
                opened = _header(message["headers"], SESSION)
                if opened:
                    self._open[opened] = _Open(scope)
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            if named and using:
                using.in_flight -= 1
                if scope["method"] == "DELETE":
                    self._open.pop(named, None)
        await self._make_room()

    async def _make_room(self) -> None:
        if len(self._open) <= self._most:
            return
        older = list(self._open.items())[:-1]  # the newest has not been used yet
        idle = [name for name, one in older if not one.in_flight]
        for name in idle[: len(self._open) - self._most]:
            await self._close(name, self._open.pop(name).opened_with)

    async def _close(self, name: bytes, opened_with: Message) -> None:
        headers = [one for one in opened_with["headers"] if one[0] in KEPT_HEADERS]
        request = {**opened_with, "method": "DELETE", "headers": [*headers, (SESSION, name)]}

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(_: Message) -> None:
            """Nobody waits for the answer."""

        await self._app(request, nothing, unheard)


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name.lower() == wanted), None)
