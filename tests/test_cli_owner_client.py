"""Finding the owner of a data folder, and asking it: what happens when it is another, a stranger, or gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from commands import owner_client
from commands.faults import OWNED
from commands.owner_client import NoOwner, Remote, serving, start_owner
from registry.owner import Ownership
from tests.conftest import NOW
from tools.refusal import Code
from tools.tool import WITH_TEXT, Served


@pytest.fixture
def url() -> Iterator[str]:
    """Somebody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class Started:
    """A process that was started and has ended, or has not."""

    def __init__(self, code: int | None) -> None:
        self._code = code

    def poll(self) -> int | None:
        return self._code


def test_an_owner_whose_address_is_dead_does_not_serve(tmp_path: Path, url: str) -> None:
    ownership = Ownership.claim(tmp_path, 7, NOW)
    assert serving(tmp_path) is None
    ownership.announce("http://127.0.0.1:9")  # the card of a killed owner, in the instant before it is replaced
    assert serving(tmp_path) is None
    ownership.announce(url)
    owner = serving(tmp_path)
    assert owner is not None
    assert owner.url == url
    ownership.release()


def test_whoever_comes_second_waits_for_the_first(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[Ownership] = []

    def start(folder: Path, arguments: object) -> Started:
        first.append(Ownership.claim(folder, 7, NOW))  # another process took the folder before ours could
        first[0].announce(url)
        return Started(OWNED)

    monkeypatch.setattr(owner_client, "_started", start)
    assert start_owner(tmp_path / "data", []).pid == 7
    first[0].release()


def test_if_the_first_goes_at_once_another_is_started(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Ownership] = []

    def start(folder: Path, arguments: object) -> Started:
        if not held:
            held.append(Ownership.claim(folder, 7, NOW))
            held[0].release()
            return Started(OWNED)
        held.append(Ownership.claim(folder, 8, NOW))
        held[1].announce(url)
        return Started(None)

    monkeypatch.setattr(owner_client, "_started", start)
    assert start_owner(tmp_path / "data", []).pid == 8
    held[1].release()


def test_a_folder_that_somebody_uses_without_serving_it_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ownership = Ownership.claim(tmp_path, 7, NOW)
    monkeypatch.setattr(owner_client, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(NoOwner, match="is in use by process 7, which does not serve it; wait for it, or stop it"):
        start_owner(tmp_path, [])
    ownership.release()


def remote(answer: httpx.Response | type[httpx.TransportError]) -> Remote:
    def handler(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("no")

    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Remote(client, "http://owner", Path("nowhere"), None)


@pytest.mark.anyio
async def test_a_reply_comes_through_as_it_was_served() -> None:
    served = Served(body="{}", text="well", code=None)
    reply = httpx.Response(200, headers={"content-type": WITH_TEXT}, content=served.model_dump_json())
    assert await remote(reply).call("a_tool", "{}", "test") == served


@pytest.mark.anyio
async def test_an_error_of_the_door_comes_through_with_its_code() -> None:
    body = '{"error":{"code":"request_too_large","message":"too much","accepted":[],"retryable":false}}'
    served = await remote(httpx.Response(413, content=body)).call("a_tool", "{}", "test")
    assert (served.code, served.text) == (Code.TOO_LARGE, "request_too_large: too much.")


@pytest.mark.anyio
@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"error": "no"}'])
async def test_a_stranger_at_the_address_is_told(body: str) -> None:
    with pytest.raises(NoOwner, match="what answers at http://owner is no Barograph of this version"):
        await remote(httpx.Response(200, content=body)).call("a_tool", "{}", "test")
    with pytest.raises(NoOwner, match="no Barograph"):
        await remote(httpx.Response(200, content=body)).offer()


@pytest.mark.anyio
@pytest.mark.parametrize("gone", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_an_owner_that_does_not_answer_is_told(gone: type[httpx.TransportError]) -> None:
    with pytest.raises(NoOwner, match=rf"the server at http://owner does not answer \({gone.__name__}\)"):
        await remote(gone).call("a_tool", "{}", "test")
