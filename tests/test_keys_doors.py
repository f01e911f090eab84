"""Keys and scopes on both doors: who may come in, how far, and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from commands import access
from commands.access import Unlocked
from commands.access_config import Access, Http
from commands.config import Config, Ledger, Models
from registry.audit_chain import verify
from registry.scope import Scope
from server import House, app, build
from tests.conftest import NOW, HandClock, table
from tests.doors import bearer, called, opened, rpc, session
from tools.gate import Gate

pytestmark = pytest.mark.anyio

ASK = {"symbol": "AAA"}
VETO = {"symbol": "AAA", "use": "veto"}
LOCAL = "barograph_local_" + "a" * 64


@pytest.fixture
def locked(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house that asks everybody for a key."""
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), access=Access(keys_on_loopback=True))
    built = build(config, tmp_path / "locked", clock)
    built.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
    yield built
    built.close()


@pytest.fixture
async def http(locked: House) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(app(locked, local_token=LOCAL)) as client:
        yield client


@pytest.fixture
def key(locked: House) -> Callable[..., dict[str, str]]:
    """Makes a key with these scopes, and gives the header for it."""

    def made(*scopes: str, expires_at: int | None = None) -> dict[str, str]:
        issued = locked.keys.add(
            "bot", [Scope(one) for one in scopes], expires_at=expires_at, by="local", at=locked.clock()
        )
        return bearer(issued.token)

    return made


def rows(house: House) -> Sequence[Any]:
    """The log, once all that is queued is in it."""
    house.audit.close()
    with house.store.read() as connection:
        verify(connection, "local")
        return connection.execute(text("SELECT at, actor, action, subject, detail FROM audit ORDER BY id")).all()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/tools/get_market_regime"),
        ("POST", "/mcp"),
        ("GET", "/v1/tools"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
    ],
)
@pytest.mark.parametrize(
    "header", [None, "Bearer", "Basic YTpi", "Bearer barograph_00000000_x", "Bearer SECRET", "Bearer " + "x" * 9_000]
)
async def test_without_a_good_credential_nothing_is_open(
    http: httpx.AsyncClient, method: str, path: str, header: str | None
) -> None:
    reply = await http.request(method, path, json=ASK, headers={"Authorization": header} if header else {})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (401, "unauthenticated")
    assert "barograph keys add" in error["accepted"][0]
    assert "SECRET" not in reply.text
    challenge = reply.headers["www-authenticate"]
    assert challenge == ('Bearer scope="read"' if header is None else 'Bearer error="invalid_token", scope="read"')


async def test_whether_the_server_is_up_may_be_known(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).status_code == 200


async def test_a_key_opens_both_doors_as_far_as_its_scopes_go(
    http: httpx.AsyncClient, key: Callable[..., dict[str, str]]
) -> None:
    reader, trader = key("read"), key("trade")
    assert (await http.post("/v1/tools/get_market_regime", json=ASK, headers=reader)).status_code == 200
    refused = await http.post("/v1/tools/get_market_regime", json=VETO, headers=reader)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert refused.json()["error"]["message"] == "this needs the scope trade"
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="trade"'
    assert (await http.post("/v1/tools/get_market_regime", json=VETO, headers=trader)).status_code == 200
    assert (await http.post("/v1/tools/get_market_regime", json=ASK, headers=trader)).status_code == 403

    mine = await session(http, reader)
    said = await called(http, "get_market_regime", ASK, mine)
    assert not said.get("isError")
    no = await called(http, "get_market_regime", VETO, mine)
    assert no["isError"]
    assert "forbidden: this needs the scope trade" in no["content"][0]["text"]
    theirs = await session(http, trader)
    assert not (await called(http, "get_market_regime", VETO, theirs)).get("isError")
    assert (await called(http, "get_market_regime", ASK, theirs))["isError"]


async def test_a_session_is_of_the_key_that_opened_it(
    http: httpx.AsyncClient, key: Callable[..., dict[str, str]]
) -> None:
    mine = await session(http, key("read", "trade"))
    stolen = await rpc(http, "tools/list", {}, {**mine, **key("read")})
    assert stolen.status_code == 404
    assert (await rpc(http, "tools/list", {}, mine)).status_code == 200


async def test_a_revoked_key_is_out_at_once_in_the_middle_of_a_session(
    http: httpx.AsyncClient, locked: House, key: Callable[..., dict[str, str]], clock: HandClock
) -> None:
    header = key("read")
    mine = await session(http, header)
    brief = key("read", expires_at=NOW + 60_000)
    assert (await http.get("/v1/tools", headers=brief)).status_code == 200
    locked.keys.revoke(header["Authorization"].split("_")[1], by="local", at=NOW)
    for reply in (await rpc(http, "tools/list", {}, mine), await http.get("/v1/tools", headers=header)):
        assert (reply.status_code, reply.json()["error"]["message"]) == (401, "this key was revoked")
    clock.at += 60_000
    late = await http.get("/v1/tools", headers=brief)
    assert (late.status_code, late.json()["error"]["message"]) == (401, "this key has expired")


async def test_a_stream_ends_when_its_key_does(locked: House, key: Callable[..., dict[str, str]]) -> None:
    header = key("read")
    sent: list[dict[str, Any]] = []

    async def words(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(4):
            if n == 2:
                locked.keys.revoke(header["Authorization"].split("_")[1], by="local", at=NOW)
            await send({"type": "http.response.body", "body": b"word", "more_body": True})

    async def send(message: Any) -> None:
        sent.append(message)

    rules = access.rules(locked.config, locked.keys, locked.audit, locked.clock)
    gate = Gate(words, rules, lambda *_: None)
    headers = [(b"host", b"localhost"), (b"authorization", header["Authorization"].encode())]
    at = {"type": "http", "method": "GET", "path": "/v1/events", "headers": headers, "client": ("127.0.0.1", 5)}
    await gate(at, None, send)  # type: ignore[arg-type]  # nothing is received
    assert [(one.get("body"), one.get("more_body")) for one in sent[1:]] == [
        (b"word", True),
        (b"word", True),
        (b"", False),
    ]


async def test_operators_make_list_and_end_keys(http: httpx.AsyncClient, locked: House) -> None:
    here = bearer(LOCAL)
    made = await http.post(
        "/v1/operate/add_key", json={"name": "desk bot", "scopes": ["operate"], "expires_in_days": 7}, headers=here
    )
    assert made.status_code == 200
    token, card = made.json()["token"], made.json()["key"]
    assert (card["name"], card["scopes"], card["state"]) == ("desk bot", ["operate"], "live")
    operator = bearer(token)
    listed = await http.post("/v1/operate/list_keys", json={}, headers=operator)
    assert [one["key_id"] for one in listed.json()["keys"]] == [card["key_id"]]
    assert token.rpartition("_")[2] not in listed.text
    assert (await http.post("/v1/tools/get_market_regime", json=ASK, headers=operator)).status_code == 403
    wrong = await http.post("/v1/operate/revoke_keys", json={"key_id": "00000000"}, headers=operator)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "unknown_key")
    assert (await http.post("/v1/operate/revoke_keys", json={}, headers=operator)).status_code == 422
    ended = await http.post("/v1/operate/revoke_keys", json={"key_id": card["key_id"]}, headers=operator)
    assert ended.json()["keys"][0]["state"] == "revoked"
    assert (await http.post("/v1/operate/list_keys", json={}, headers=operator)).status_code == 401
    log = str(rows(locked))
    assert token not in log
    assert "desk bot" not in log


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["SECRET"]},
        {"name": "<SECRET>", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
    ],
)
async def test_a_key_that_cannot_be_is_refused(http: httpx.AsyncClient, body: Any) -> None:
    reply = await http.post("/v1/operate/add_key", json=body, headers=bearer(LOCAL))
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_request")
    assert "SECRET" not in reply.text


async def test_readers_do_not_operate(http: httpx.AsyncClient, key: Callable[..., dict[str, str]]) -> None:
    reader = key("read", "trade")
    reply = await http.post("/v1/operate/list_keys", json={}, headers=reader)
    assert (reply.status_code, reply.json()["error"]["message"]) == (403, "this needs the scope operate")
    assert (await http.post("/v1/anything", json={}, headers=reader)).status_code == 403
    assert (await http.post("/v1/anything", json={}, headers=bearer(LOCAL))).status_code == 404


async def test_the_owners_token_is_good_on_this_machine_alone(locked: House) -> None:
    served = app(locked, local_token=LOCAL)
    async with opened(served, client=("203.0.113.9", 5000)) as far:
        assert (await far.get("/v1/tools", headers=bearer(LOCAL))).status_code == 401


async def test_on_loopback_a_neighbour_needs_no_key_but_for_the_keys(house: House) -> None:
    async with opened(app(house)) as http:
        assert (await http.post("/v1/tools/get_market_regime", json=VETO)).status_code == 200
        assert not (await called(http, "get_market_regime", ASK, await session(http, {}))).get("isError")
        assert (await http.post("/v1/operate/list_keys", json={})).status_code == 401
        assert (await http.get("/v1/tools", headers=bearer("barograph_wrong"))).status_code == 401
    async with opened(app(house), client=("203.0.113.9", 5000)) as far:  # through a proxy that says for whom
        assert (await far.post("/v1/tools/get_market_regime", json=ASK)).status_code == 401


async def test_the_stateless_era_knows_who_asks_too(
    http: httpx.AsyncClient, key: Callable[..., dict[str, str]]
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    header = {
        **key("read"),
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "get_market_regime",
    }
    said = {}
    for use in ("advice", "veto"):
        arguments = {"symbol": "AAA", "use": use}
        reply = await rpc(
            http, "tools/call", {"name": "get_market_regime", "arguments": arguments, "_meta": meta}, header
        )
        assert reply.status_code == 200, reply.text
        said[use] = reply.text
    assert "forbidden: this needs the scope trade" not in said["advice"]
    assert "forbidden: this needs the scope trade" in said["veto"]


async def test_every_call_is_written_down_without_a_word_of_it(
    http: httpx.AsyncClient, locked: House, key: Callable[..., dict[str, str]]
) -> None:
    header = key("read", "trade")
    who = f"key:{locked.keys.all()[0].key_id}"
    advice = await http.post("/v1/tools/get_market_regime", json=ASK, headers=header)
    await http.post("/v1/tools/get_market_regime", json={"symbol": "SECRET"}, headers=header)
    await http.post("/v1/tools/get_market_regime", json={"SECRET": 1}, headers=header)
    await called(http, "get_server_status", {}, await session(http, header))
    await http.post("/v1/SECRET", json={}, headers=bearer(LOCAL))
    log = rows(locked)
    calls = [row for row in log if row.action == "call"]
    assert {(row.at, row.actor) for row in calls} == {(NOW, who)}
    told = [(row.subject, *(json.loads(row.detail)[name] for name in ("door", "status", "code"))) for row in calls]
    assert told == [
        ("get_market_regime", "http", 200, None),
        ("get_market_regime", "http", 404, "unknown_symbol"),
        ("get_market_regime", "http", 422, "invalid_request"),
        ("get_server_status", "mcp", 200, None),
    ]
    assert json.loads(calls[0].detail)["prediction_id"] == advice.json()["prediction_id"]
    assert len(json.loads(calls[0].detail)["question_sha256"]) == 64
    assert [(row.actor, row.subject, row.detail) for row in log if row.action == "request"] == [
        ("local", "POST other", '{"status":404}')
    ]
    assert "SECRET" not in str(log)
    assert locked.keys.all()[0].last_used_at == NOW


async def test_a_veto_is_in_the_log_before_it_is_said_and_advice_soon(
    http: httpx.AsyncClient, locked: House, key: Callable[..., dict[str, str]]
) -> None:
    header = key("read", "trade")

    def logged() -> int:
        with locked.store.read() as connection:
            return int(connection.execute(text("SELECT count(*) FROM audit WHERE action = 'call'")).scalar_one())

    for n in range(1, 4):
        await http.post("/v1/tools/get_market_regime", json=VETO, headers=header)
        assert logged() == n


async def test_where_the_log_cannot_be_written_a_veto_is_refused(
    http: httpx.AsyncClient, locked: House, key: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    header = key("read", "trade")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(locked.audit, "_seen", full)
    no = await http.post("/v1/tools/get_market_regime", json=VETO, headers=header)
    assert (no.status_code, no.json()["error"]["code"], no.json()["error"]["retryable"]) == (503, "not_durable", True)
    assert no.headers["retry-after"] == "1"
    assert (await http.post("/v1/tools/get_market_regime", json=ASK, headers=header)).status_code == 200
    monkeypatch.setattr(locked.audit, "_capacity", 0)
    busy = await http.post("/v1/tools/get_market_regime", json=ASK, headers=header)
    assert (busy.status_code, busy.json()["error"]["code"]) == (503, "overloaded")
    monkeypatch.undo()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
async def test_where_others_can_reach_it_a_server_without_keys_does_not_start(
    tmp_path: Path, clock: HandClock, host: str
) -> None:
    house = build(Config(http=Http(host=host), models=Models(train=False)), tmp_path / "data", clock)
    try:
        with pytest.raises(Unlocked, match="make one first"):
            app(house)
        brief = house.keys.add("bot", [Scope.READ], expires_at=NOW + 1, by="local", at=NOW)
        async with opened(app(house)) as http:
            assert (await http.get("/v1/tools")).status_code == 401
            assert (await http.get("/v1/tools", headers=bearer(brief.token))).status_code == 200
        clock.at = NOW + 1
        with pytest.raises(Unlocked):
            app(house)
    finally:
        house.close()
