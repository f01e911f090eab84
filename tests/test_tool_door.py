"""The door of one tool: no further read than it must, and nothing said to whoever has gone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tools.asgi import Message, Receive
from tools.challenge import Challenge
from tools.tool import Served
from tools.tool_door import ToolDoor

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "POST", "path": "/v1/tools/a_tool", "headers": []}


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def coming(messages: Iterable[Message]) -> Receive:
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


class Heard:
    """A call that remembers what it was asked, and a caller who remembers what was said."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes | str, str]] = []
        self.said: list[Message] = []

    async def call(self, name: str, arguments: bytes | str, door: str) -> Served:
        self.asked.append((name, arguments, door))
        return Served(body='{"a":1}', text="a", code=None)

    async def send(self, message: Message) -> None:
        self.said.append(message)


async def given(*messages: Message, limit_bytes: int = 10) -> Heard:
    heard = Heard()
    await ToolDoor("a_tool", heard.call, limit_bytes, Challenge(None))(SCOPE, coming(messages), heard.send)
    return heard


async def test_a_body_may_come_in_parts_or_not_at_all() -> None:
    assert (await given(part(b"{", more=True), part(b"}", more=False))).asked == [("a_tool", b"{}", "http")]
    heard = await given(part(b"", more=False))
    assert heard.asked == [("a_tool", b"{}", "http")]
    assert [message["type"] for message in heard.said] == ["http.response.start", "http.response.body"]
    assert dict(heard.said[0]["headers"]) == {b"content-type": b"application/json", b"content-length": b"7"}
    assert heard.said[1]["body"] == b'{"a":1}'


async def test_whoever_goes_in_the_middle_of_a_body_asks_nothing_and_is_told_nothing() -> None:
    heard = await given(part(b"{", more=True), {"type": "http.disconnect"})
    assert (heard.asked, heard.said) == ([], [])


async def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    heard = await given(part(b"123456", more=True), part(b"123456", more=True), limit_bytes=10)
    assert heard.asked == []
    assert heard.said[0]["status"] == 413
