"""One tool over HTTP: a body in, a reply out. Plain ASGI: nobody here uses what a web framework adds to a request."""

from __future__ import annotations

from tools.asgi import Message, Receive, Scoped, Send
from tools.challenge import Challenge
from tools.refusal import Code, Refused
from tools.tool import DOOR_HEADER, WITH_TEXT, Call, Served, refusal

JSON = "application/json"
#: Our own doors that pass questions on, by the name under which the ledger knows who asked.
DOORS = ("cli", "mcp")

_DOORS = {door.encode(): door for door in DOORS}
_ACCEPT, _DOOR_HEADER, _WITH_TEXT = b"accept", DOOR_HEADER.encode(), WITH_TEXT.encode()
_OF_JSON = b"content-type", JSON.encode()
_OF_TEXT = b"content-type", _WITH_TEXT


class ToolDoor:
    """`POST` of a tool's arguments. Whoever asks `WITH_TEXT`, one of our own doors, gets all that was served."""

    def __init__(self, name: str, call: Call, body_limit_bytes: int, challenge: Challenge) -> None:
        self._name, self._call, self._limit_bytes, self._challenge = name, call, body_limit_bytes, challenge

    async def __call__(self, scope: Scoped, receive: Receive, send: Send) -> None:
        try:
            body = await bounded_body(receive, self._limit_bytes)
        except Refused as refused:
            await _say(refusal(refused), None, send)
            return
        if body is None:
            return
        accept, door = _asked_how(scope)
        if accept == _WITH_TEXT:
            served = await self._call(self._name, body or b"{}", _DOORS.get(door, "http"))
            await _send(200, served.model_dump_json().encode(), [_OF_TEXT], send)
            return
        await _say(await self._call(self._name, body or b"{}", "http"), self._challenge, send)


def headers_of(served: Served, challenge: Challenge | None) -> dict[str, str]:
    """What is told beside the body: when to come back, and which scope is lacking."""
    headers = {}
    if served.http_status in (429, 503):
        headers["Retry-After"] = str(served.retry_after_seconds or 1)
    if served.needs is not None and challenge is not None:
        headers["WWW-Authenticate"] = challenge.insufficient(served.needs)
    return headers


async def bounded_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """The body, read only as far as it may go: a caller cannot make the server hold more. None: the caller has gone.
    Raises Refused."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise Refused(Code.TOO_LARGE, f"the body is over {limit_bytes} bytes", accepted=[f"{limit_bytes} bytes"])
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _asked_how(scope: Scoped) -> tuple[bytes, bytes]:
    """The headers Accept and X-Barograph-Door, the first of each."""
    accept = door = b""
    for name, value in scope["headers"]:
        if name == _ACCEPT and not accept:
            accept = value
        elif name == _DOOR_HEADER and not door:
            door = value
    return accept, door


async def _say(served: Served, challenge: Challenge | None, send: Send) -> None:
    headers = [_OF_JSON]
    if served.code is not None:
        told = headers_of(served, challenge).items()
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told]
    await _send(served.http_status, served.body.encode(), headers, send)


async def _send(status: int, body: bytes, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
