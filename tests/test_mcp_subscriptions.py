"""A resource that changes is told of to whoever follows it, in both eras, and read again it says something new."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client._memory import InMemoryTransport
from mcp.client.subscriptions import ResourceUpdated
from mcp.types import ResourceUpdatedNotification

from commands import owner_events
from commands.owner_client import Remote, to_owner
from ml.catalogue import CATALOGUE
from registry.events import Fact
from registry.owner import Owner
from server import House, app
from tests.conftest import NOW
from tests.mcp_clients import ERAS, TRANSPORTS, loopback, offered
from tools import subscriptions as subscriptions_module
from tools.over_mcp import mcp_server
from tools.resources import resources
from tools.subscriptions import Subscriptions, touched

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning"),
]

LEGACY, MODERN = ERAS
Next = Callable[[], Awaitable[str]]


def closes(house: House, symbol: str, n: int = 1, timeframe: str = "1h") -> None:
    tell(house, "bar.closed", {"symbol": symbol, "timeframe": timeframe, "close_at": NOW + n})


def tell(house: House, name: str, told: Any) -> None:
    house.events.publish_all([Fact(name, json.dumps(told), json.dumps(told))], NOW)
    house.changes.told()


@asynccontextmanager
async def connected(house: House, transport: str, era: str, handler: Any = None) -> AsyncIterator[Client]:
    """A client of a server that pushes, over the loop that stdio runs, or over a port of this machine."""
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            offer = offered(house)
            followers = Subscriptions(offer.resources)
            await stack.enter_async_context(house.changes.running([followers.heard], followers.end))
            to: Any = InMemoryTransport(mcp_server(offer, house.call, followers))
        else:
            to = f"{await stack.enter_async_context(loopback(app(house)))}/mcp"
        yield await stack.enter_async_context(Client(to, mode=ERAS[era], message_handler=handler))


@asynccontextmanager
async def following(house: House, transport: str, era: str, *uris: str) -> AsyncIterator[tuple[Client, Next]]:
    """A client that follows these, and what it hears."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hears(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await heard.put(str(message.params.uri))

    async with connected(house, transport, era, hears) as client:
        if era == LEGACY:
            for uri in uris:
                await client.subscribe_resource(uri)
            yield client, lambda: asyncio.wait_for(heard.get(), 10)
            return
        async with client.listen(resource_subscriptions=uris) as listening:

            async def updated() -> str:
                event = await asyncio.wait_for(anext(listening), 10)
                assert isinstance(event, ResourceUpdated)
                return event.uri

            yield client, updated


both = pytest.mark.parametrize(("transport", "era"), [(transport, era) for transport in TRANSPORTS for era in ERAS])


@both
async def test_a_bar_that_closes_changes_every_instrument_of_its_symbol(house: House, transport: str, era: str) -> None:
    uris = [f"barograph://{one.name}/AAA" for one in CATALOGUE]
    async with following(house, transport, era, *uris, "barograph://models") as (client, updated):
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe
        closes(house, "BBB")
        closes(house, "AAA", timeframe="1d")
        closes(house, "AAA")
        assert {await updated() for _ in uris} == set(uris)
        tell(house, "model.promoted", {"capability": "regime", "version": 1})
        assert await updated() == "barograph://models", "nobody was told of another symbol, or of other bars"


@both
async def test_a_symbol_with_a_slash_may_be_followed_in_either_spelling(house: House, transport: str, era: str) -> None:
    for uri in ("barograph://regime/BTC/USDT", "barograph://regime/BTC%2FUSDT"):
        async with following(house, transport, era, uri) as (_, updated):
            closes(house, "BTC/USDT", n=hash(uri) % 1_000)
            assert await updated() == uri, "under the address that was given"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_not_followed_any_more_is_not_told_of(house: House, transport: str) -> None:
    models, status = "barograph://models", "barograph://status"
    async with following(house, transport, LEGACY, models, status) as (client, updated):
        await client.unsubscribe_resource(models)
        await client.unsubscribe_resource("barograph://regime/AAA")
        tell(house, "model.retired", {"capability": "regime", "version": 1})
        tell(house, "feed.stale", {"symbol": "AAA", "timeframe": "1h"})
        assert await updated() == status


async def refused(house: House, transport: str, era: str, *uris: str) -> str:
    """What is said to a client that tries to follow these."""
    async with connected(house, transport, era) as client:
        try:
            if era == LEGACY:
                for uri in uris:
                    await client.subscribe_resource(uri)
            else:
                async with client.listen(resource_subscriptions=uris):
                    pass
        except MCPError as no:
            return str(no)
    pytest.fail("they were followed")


@both
async def test_where_nothing_is_nothing_can_be_followed(house: House, transport: str, era: str) -> None:
    assert await refused(house, transport, era, "barograph://secrets/SECRET") == "there is no such resource"


@pytest.mark.parametrize("era", ERAS)
async def test_nobody_may_follow_without_end(house: House, era: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions_module, "MOST_RESOURCES", 2)
    said = await refused(house, "stdio", era, *(f"barograph://regime/S{i}" for i in range(3)))
    assert said.endswith("may follow 2 resources")


async def test_a_stream_ends_in_order_when_the_server_stops(house: House) -> None:
    models = ["barograph://models"]
    async with connected(house, "http", MODERN) as client, client.listen(resource_subscriptions=models) as listening:
        house.changes.end()
        assert [one async for one in listening] == []


async def test_a_session_that_takes_nothing_holds_nobody_up_and_follows_nothing_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscriptions_module, "STALLED_SECONDS", 0.01)
    followers, never = Subscriptions(offered(house).resources), asyncio.Event()
    cut = asyncio.Event()
    told: asyncio.Queue[str] = asyncio.Queue()

    class Session:
        """One whose client reads, or not."""

        def __init__(self, *, stuck: bool) -> None:
            self.stuck = stuck

        async def send_resource_updated(self, uri: str) -> None:
            if self.stuck:
                with suppress(asyncio.CancelledError):
                    await never.wait()
                cut.set()
                raise asyncio.CancelledError
            await told.put(uri)

    class Asked:
        def __init__(self, name: str, *, stuck: bool) -> None:
            self.session, self.request = Session(stuck=stuck), type("R", (), {"headers": {"mcp-session-id": name}})

    class Params:
        uri = "barograph://models"

    stuck, quick = Asked("a", stuck=True), Asked("b", stuck=False)
    for one in (stuck, quick):
        await followers.subscribe(one, Params)  # type: ignore[arg-type]  # as much of a session as is looked at
    with caplog.at_level("INFO"):
        for _ in range(2):
            await followers.tell("model.promoted", "{}")
            assert await asyncio.wait_for(told.get(), 10) == "barograph://models"
        await asyncio.wait_for(cut.wait(), 10)
    assert caplog.text.count("follows nothing any more") == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_proxy_over_stdio_passes_on_what_its_owner_tells_and_outlives_it(
    house: House, era: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner is on a port; the proxy is what `barograph stdio` runs."""
    monkeypatch.setattr(owner_events, "AGAIN_SECONDS", 0.01)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hears(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await heard.put(str(message.params.uri))

    async def next_of(client: Client, stack: AsyncExitStack) -> Next:
        uri = "barograph://regime/AAA"
        if era == LEGACY:
            await client.subscribe_resource(uri)
            return lambda: asyncio.wait_for(heard.get(), 10)
        listening = await stack.enter_async_context(client.listen(resource_subscriptions=[uri]))

        async def updated() -> str:
            return str(getattr(await asyncio.wait_for(anext(listening), 10), "uri", ""))

        return updated

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        url = await first.enter_async_context(loopback(app(house)))
        remote = Remote(await stack.enter_async_context(to_owner()), url, tmp_path, None)
        offer = await remote.offer()
        followers = Subscriptions(offer.resources, lambda: events.begin())
        events = owner_events.OwnerEvents(remote, followers.tell)
        stack.push_async_callback(events.end)
        proxy = InMemoryTransport(mcp_server(offer, remote.call, followers))
        client = await stack.enter_async_context(Client(proxy, mode=ERAS[era], message_handler=hears))
        updated = await next_of(client, stack)
        closes(house, "AAA")
        assert await updated() == "barograph://regime/AAA"
        house.changes.end()
        await first.aclose()
        closes(house, "AAA", n=2)  # while nobody serves
        async with loopback(app(house)) as again:
            card = Owner(pid=1, url=again, started_at=NOW)
            monkeypatch.setattr(owner_events, "serving", lambda _: card)
            assert await updated() == "barograph://regime/AAA"
            await events.end()


def test_every_event_that_changes_a_resource_is_one_that_there_is() -> None:
    every = resources(CATALOGUE)
    told = json.dumps({"symbol": "AAA", "timeframe": "1h"})
    assert len(list(touched(every, "bar.closed", told))) == len(CATALOGUE)
    assert [one.name for one, _ in touched(every, "model.rolled_back", told)] == ["models"]
    assert [one.name for one, _ in touched(every, "feed.recovered", told)] == ["status"]
    assert list(touched(every, "regime.changed", told)) == []
