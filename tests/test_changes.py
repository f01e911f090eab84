"""The change feed: in order, at least once, from where the reader was; and no reader holds anybody up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from commands.access_config import Access
from commands.config import Config, Ledger, Models
from commands.running import Announcing
from ml.bars import DAY_MS
from registry.events import Fact
from registry.scope import Scope
from server import House, app, build
from tests.conftest import NOW, HandClock
from tests.doors import bearer
from tests.mcp_clients import loopback
from tools import changes as changes_module
from tools import event_stream
from tools.refusal import Code, Refused
from workers.sweep import TOLD_MS

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Told:
    """One event as a reader sees it."""

    id: int
    name: str
    data: Any


def publish(house: House, *names: str, at: int = NOW) -> None:
    """Events n of these names, each with its number as the payload."""
    first = house.events.newest() + 1
    facts = [Fact(name, f"key {first + i}", json.dumps({"n": first + i})) for i, name in enumerate(names)]
    house.events.publish_all(facts, at)
    house.changes.told()


@asynccontextmanager
async def following(url: str, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[Told]]:
    """A reader of `/v1/events`."""
    async with (
        httpx.AsyncClient(timeout=10, trust_env=False) as client,
        client.stream("GET", f"{url}/v1/events{query}", headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        yield told(lines)


async def told(lines: AsyncIterator[str]) -> AsyncIterator[Told]:
    said: dict[str, str] = {}
    async for line in lines:
        if not line:
            if "data" in said:
                yield Told(int(said["id"]), said["event"], json.loads(said["data"]))
            said = {"id": said["id"]} if "id" in said else {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            said[name] = value


async def some(events: AsyncIterator[Told], n: int) -> list[Told]:
    return [await anext(events) for _ in range(n)]


async def test_a_reader_hears_what_happens_from_now_on_in_order(house: House) -> None:
    publish(house, "bar.closed", "bar.closed")
    async with loopback(app(house)) as url, following(url) as events:
        publish(house, "bar.closed", "model.promoted")
        publish(house, "regime.changed")
        assert await some(events, 3) == [
            Told(3, "bar.closed", {"n": 3}),
            Told(4, "model.promoted", {"n": 4}),
            Told(5, "regime.changed", {"n": 5}),
        ]


@pytest.mark.parametrize(("query", "header"), [("?after=2", {}), ("", {"last-event-id": "2"}), ("?after=0", None)])
async def test_a_reader_goes_on_after_the_id_that_it_has_dealt_with(
    house: House, query: str, header: dict[str, str] | None
) -> None:
    publish(house, *["bar.closed"] * 4)
    async with loopback(app(house)) as url, following(url, query, **(header or {})) as events:
        first = 1 if header is None else 3
        assert [one.id for one in await some(events, 5 - first)] == list(range(first, 5))
        publish(house, "bar.closed")
        assert (await anext(events)).id == 5


async def test_what_an_event_stream_said_last_wins_over_where_it_began(house: House) -> None:
    """A browser that reconnects repeats the address that it was given first."""
    publish(house, *["bar.closed"] * 4)
    async with loopback(app(house)) as url, following(url, "?after=0", **{"last-event-id": "3"}) as events:
        assert (await anext(events)).id == 4


async def test_more_than_a_page_comes_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "PAGE", 3)
    publish(house, *["bar.closed"] * 10)
    async with loopback(app(house)) as url, following(url, "?after=0") as events:
        assert [one.id for one in await some(events, 10)] == list(range(1, 11))


async def test_only_events_of_the_wanted_names_come_and_the_others_are_passed_over_for_good(house: House) -> None:
    publish(house, "bar.closed", "model.promoted", "bar.closed", "regime.changed", "bar.closed")
    async with loopback(app(house)) as url:
        async with following(url, "?after=0&name=model.promoted&name=regime.changed") as events:
            assert [one.id for one in await some(events, 2)] == [2, 4]
        async with (
            httpx.AsyncClient(trust_env=False) as client,
            client.stream("GET", f"{url}/v1/events?after=0&name=model.promoted") as response,
        ):
            lines = response.aiter_lines()
            while await anext(lines) != "id: 5":  # without an event: so that the reader goes on after it
                pass


async def test_what_the_registry_wrote_by_itself_is_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion is one transaction with its event; nobody tells the feed of it."""
    monkeypatch.setattr(changes_module, "LOOK_SECONDS", 0.01)
    async with loopback(app(house)) as url, following(url) as events:
        house.events.publish("volatility@1", "model.promoted", '{"in_force":1}', NOW)
        assert (await anext(events)).name == "model.promoted"


@pytest.mark.parametrize("after", ["5", "-1", "x", "1.0", "9" * 30, "٣"])
async def test_an_id_that_no_event_has_is_refused(house: House, after: str) -> None:
    publish(house, "bar.closed")
    with pytest.raises(Refused) as refused:
        await house.changes.after(after)
    assert refused.value.code is Code.INVALID
    assert after not in refused.value.body.error.message


@pytest.mark.parametrize("query", ["after=2", "name=Bars", "name=" + "&name=".join(["a.b"] * 33)])
async def test_a_wrong_question_is_a_typed_refusal(house: House, query: str) -> None:
    transport = httpx.ASGITransport(app=app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        reply = await client.get(f"/v1/events?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_request")


async def test_too_many_readers_are_turned_away_and_one_that_leaves_makes_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "MOST_READERS", 1)
    publish(house, "bar.closed")
    async with loopback(app(house)) as url, httpx.AsyncClient(trust_env=False) as client:
        async with following(url, "?after=0") as events:
            assert (await anext(events)).id == 1
            reply = await client.get(f"{url}/v1/events")
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "overloaded")
            assert reply.headers["retry-after"]
        for _ in range(200):
            async with client.stream("GET", f"{url}/v1/events?after=0") as response:
                if response.status_code == 200:
                    return
        pytest.fail("the reader that left still takes up room")


async def test_a_reader_that_takes_nothing_holds_nobody_up_and_loses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "PAGE", 50)
    big = json.dumps({"filler": "x" * 20_000})
    house.events.publish_all([Fact("bar.closed", str(i), big) for i in range(600)], NOW)
    async with loopback(app(house)) as url, following(url, "?after=0") as slow:
        assert (await anext(slow)).id == 1  # 12 MB are behind it: more than any socket holds
        async with following(url, "?after=599") as quick:
            assert (await anext(quick)).id == 600
        assert [one.id async for one in _first(slow, 599)] == list(range(2, 601))


async def _first(events: AsyncIterator[Told], n: int) -> AsyncIterator[Told]:
    for _ in range(n):
        yield await anext(events)


async def test_a_reader_that_takes_nothing_for_too_long_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_stream, "STALLED_SECONDS", 0.01)
    publish(house, "bar.closed")
    reading = await event_stream.stream(house.changes, "0", ())
    never = asyncio.Event()

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    async def waiting() -> Any:
        await never.wait()

    with caplog.at_level("INFO"):
        await reading({"type": "http", "method": "GET"}, waiting, stuck)
    assert "was cut off" in caplog.text


async def test_a_comment_keeps_a_quiet_connection_open(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BREATH_SECONDS", 0.01)
    async with (
        loopback(app(house)) as url,
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"{url}/v1/events") as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith(": ping"):
                return


async def test_the_server_stops_at_once_while_readers_follow_and_ends_their_streams_in_order(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        up = asyncio.Event()
        server = Announcing(uvicorn.Config(app(house), log_level="error"), up.set, house.changes.end)
        running = asyncio.create_task(server.serve([listening]))
        await up.wait()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with following(url) as events:
            publish(house, "bar.closed")
            assert (await anext(events)).id == 1
            server.should_exit = True
            assert [one async for one in events] == []
        await running


async def test_whoever_was_away_for_too_long_is_told_what_is_gone(house: House, clock: HandClock) -> None:
    publish(house, "bar.closed", "bar.closed")
    publish(house, "bar.closed", at=NOW + DAY_MS)
    clock.at = NOW + TOLD_MS + 1
    house.sweep.once()
    async with loopback(app(house)) as url, following(url, "?after=1") as events:
        gone, kept = await some(events, 2)
    assert gone == Told(2, "events.missed", {"missed": 1, "goes_on_at": 3})
    assert (kept.id, kept.name) == (3, "bar.closed")


async def test_the_newest_event_stays_so_that_ids_go_on(house: House, clock: HandClock) -> None:
    publish(house, "bar.closed", "bar.closed")
    clock.at = NOW + 10 * TOLD_MS
    house.sweep.once()
    assert [one.id for one in house.events.since(0, 10)] == [2]
    house.sweep.once()
    publish(house, "bar.closed")
    assert [one.id for one in house.events.since(0, 10)] == [2, 3]
    assert house.events.prune(0, most=1) == 1
    assert [one.id for one in house.events.since(0, 10)] == [3]


@pytest.fixture
def locked(tmp_path: Path, clock: HandClock) -> House:
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), access=Access(keys_on_loopback=True))
    return build(config, tmp_path / "locked", clock)


async def test_following_takes_a_credential_that_reads_and_ends_with_it(locked: House) -> None:
    def key(*scopes: Scope) -> Any:
        return locked.keys.add("bot", list(scopes), expires_at=None, by="local", at=NOW)

    reading, operating = key(Scope.READ), key(Scope.OPERATE)
    publish(locked, "bar.closed")
    try:
        async with loopback(app(locked)) as url, httpx.AsyncClient(timeout=10, trust_env=False) as client:
            assert (await client.get(f"{url}/v1/events")).status_code == 401
            assert (await client.get(f"{url}/v1/events", headers=bearer(operating.token))).status_code == 403
            async with following(url, "?after=0", **bearer(reading.token)) as events:
                assert (await anext(events)).id == 1
                locked.keys.revoke(reading.key.key_id, by="local", at=NOW)
                publish(locked, "bar.closed")
                assert [one async for one in events] == []
    finally:
        locked.close()


async def test_an_ear_that_fails_keeps_the_news_from_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()

    async def deaf(_: object) -> None:
        raise RuntimeError

    async def hears(event: Any) -> None:
        await heard.put(event.id)

    publish(house, "bar.closed")
    async with house.changes.running([deaf, hears]):
        publish(house, "bar.closed", "bar.closed")
        assert [await heard.get(), await heard.get()] == [2, 3]
    assert "event 2 could not be passed on" in caplog.text


async def test_it_ends_where_the_last_news_comes_as_it_is_told_to_end(house: House) -> None:
    """Once it did not: `asyncio.wait_for` loses a cancellation that comes together with what it waited for."""

    async def told_as_it_ends() -> None:
        async with house.changes.running():
            for _ in range(10):
                await asyncio.sleep(0)  # it waits for news
            house.changes.told()
            await asyncio.sleep(0)

    ending = asyncio.create_task(told_as_it_ends())
    ended, _ = await asyncio.wait({ending}, timeout=10)
    ending.cancel()
    assert ended
