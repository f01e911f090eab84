"""A connection that asks over and over: HTTP/1.1, kept open, requests as bytes. A tenth of what a client library costs,
so that a benchmark measures the server and not itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Nobody waits longer for an answer.
MOST_SECONDS = 30.0


class Lost(Exception):  # noqa: N818 - told as it is
    """The connection ended before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: its status, its headers by lower-case name, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> bytes:
    """A request, ready to be sent again and again."""
    said = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(said)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + said


class Wire(asyncio.Protocol):
    """One connection, and one request at a time on it. Opens itself again where the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._come = bytearray()
        self._waiting: asyncio.Future[Heard] | None = None

    async def ask(self, request: bytes) -> Heard:
        """The answer. Raises Lost, OSError where nobody listens, and TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._come.clear()
        self._waiting = loop.create_future()
        self._transport.write(request)
        async with asyncio.timeout(MOST_SECONDS):
            return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._come += data
        heard = whole(bytes(self._come))
        if heard is not None and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(heard)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Lost(str(exc or "closed by the server")))


def whole(come: bytes) -> Heard | None:
    """The answer in these bytes, or None where there is more to come."""
    head, found, rest = come.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = _chunks(rest) if headers.get("transfer-encoding") == "chunked" else _sized(rest, headers)
    return None if body is None else Heard(int(first.split(" ")[1]), headers, body)


def _sized(rest: bytes, headers: Mapping[str, str]) -> bytes | None:
    size = int(headers.get("content-length", 0))
    return rest[:size] if len(rest) >= size else None


def _chunks(rest: bytes) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line, found, rest = rest.partition(b"\r\n")
        size = int(line, 16) if found else -1
        if size < 0 or len(rest) < size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(rest[:size])
        rest = rest[size + 2 :]
