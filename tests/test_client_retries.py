"""When a client tries again, how long it waits, and when it gives up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph import AsyncClient, Client, Refused, Unexpected, Unreachable
from barograph.decoding import Mismatch, decoded
from barograph.replies import REPLIES
from tests.client_transports import Hand, Script, refusal, reply, scripted, told

OVERLOADED = refusal(503, "overloaded", retryable=True)
LIMITED = refusal(429, "rate_limited", retryable=True, retry_after="3")
KEY = "secret-key"


def client(script: Script, retries: int = 2, chance: Callable[[], float] = lambda: 0.5) -> Client:
    hand = script.hand
    return Client(
        key=KEY,
        transport=httpx.MockTransport(script),
        clock=hand.clock,
        sleep=hand.sleep,
        retries=retries,
        chance=chance,
    )


@pytest.mark.parametrize(
    "failure",
    [OVERLOADED, httpx.ConnectError(""), httpx.ReadError(""), httpx.RemoteProtocolError(""), told(b"<html>", 502), 0.1],
    ids=["overloaded", "no connection", "broken off", "no HTTP", "gateway", "timeout"],
)
def test_what_may_go_by_is_tried_again(failure: Any) -> None:
    script = scripted(failure, failure, told(reply()))
    assert client(script).regime("AAA").symbol == "AAA"
    assert len(script.seen) == 3
    assert script.hand.slept == [0.05, 0.1], "pauses double, and chance halves them here"


def test_the_wait_that_a_server_asks_for_is_kept_and_never_shortened() -> None:
    script = scripted(LIMITED, told(reply()))
    client(script).regime("AAA")
    assert script.hand.slept == [3.05]


def test_a_wait_given_as_a_time_is_read_against_the_servers_own_clock() -> None:
    wait = {"retry_after": "Mon, 01 Jan 2024 00:00:02 GMT", "date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    dated = refusal(503, "overloaded", retryable=True, **wait)
    script = scripted(dated, refusal(503, "overloaded", retryable=True, retry_after="soon"), told(reply()))
    client(script).regime("AAA")
    assert script.hand.slept == [2.05, 0.1]


def test_a_wait_that_is_longer_than_the_call_may_take_is_not_begun_and_is_told() -> None:
    script = scripted(refusal(429, "rate_limited", retryable=True, retry_after="60"))
    with pytest.raises(Refused, match="rate_limited") as caught:
        client(script).regime("AAA")
    assert (caught.value.retry_after_seconds, script.hand.slept, len(script.seen)) == (60.0, [], 1)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "unauthorized"), (403, "forbidden"), (404, "unknown_symbol"), (422, "invalid_request")]
)
def test_what_will_not_change_is_not_tried_again(status: int, code: str) -> None:
    script = scripted(refusal(status, code, retryable=False))
    with pytest.raises(Refused) as caught:
        client(script).regime("AAA")
    assert (caught.value.code, caught.value.status, len(script.seen)) == (code, status, 1)


def test_a_tool_that_this_version_does_not_know_is_tried_again_only_where_nothing_can_have_arrived() -> None:
    script = scripted(httpx.ConnectError(""), told({"said": {"deep": [1]}}))
    assert client(script).ask("place_order", size=1).said.deep == [1]
    for failure in (httpx.ReadError(""), OVERLOADED, told(b"", 502)):
        script = scripted(failure)
        with pytest.raises((Unreachable, Refused)):
            client(script).ask("place_order", size=1)
        assert len(script.seen) == 1


def test_a_call_gives_up_in_time_and_each_attempt_has_only_what_is_left() -> None:
    script = scripted(4.0)
    with pytest.raises(Unreachable, match="in time"):
        client(script, retries=99).regime("AAA")
    limits = [request.extensions["timeout"]["read"] for request in script.seen]
    assert limits == [10.0, pytest.approx(5.95), pytest.approx(1.85)]
    assert script.hand.at == pytest.approx(10.0)


def test_no_retries_means_one_attempt() -> None:
    script = scripted(httpx.ConnectError(""))
    with pytest.raises(Unreachable):
        client(script, retries=0).regime("AAA")
    assert len(script.seen) == 1


@given(chance=st.floats(0, 1, exclude_max=True), asked=st.none() | st.integers(0, 4), failures=st.integers(1, 6))
def test_a_pause_is_never_shorter_than_asked_and_the_whole_never_longer_than_the_limit(
    chance: float, asked: int | None, failures: int
) -> None:
    wait = {"retry_after": str(asked)} if asked is not None else {}
    script = scripted(*[refusal(503, "overloaded", retryable=True, **wait)] * failures, told(reply()))
    try:
        client(script, retries=9, chance=lambda: chance).regime("AAA")
    except Refused:
        assert script.hand.at < 10
    assert all(pause >= (asked or 0) for pause in script.hand.slept)
    assert sum(script.hand.slept) < 10


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff", reply(symbol=7), reply(stale="no"), reply(as_of="yesterday"),
        reply(answer=[]), reply(stale=...), reply(more=[None]), reply(confidence=float("nan")), b"[" * 5_000,
        json.dumps(reply(confidence=5)).replace(": 5", ": 1e400").encode(), reply(confidence=10**400),
    ],
)  # fmt: skip
def test_what_is_no_reply_is_told_without_repeating_it(body: Any) -> None:
    with pytest.raises(Unexpected, match="no Barograph of this version") as caught:
        client(scripted(told(body))).regime("AAA")
    assert "yesterday" not in str(caught.value)


def test_a_page_of_somebody_else_is_told_apart_from_a_refusal() -> None:
    for status in (200, 301, 404, 500):
        with pytest.raises(Unexpected, match="no Barograph"):
            client(scripted(told(b"<html>secret</html>", status))).regime("AAA")


def test_a_newer_server_may_say_more() -> None:
    said = reply(new_field=1, source="oracle", track_record={"n_live": 1, "n_replayed": 0, "verdict": "v", "new": 2})
    answered = client(scripted(told(said))).regime("AAA")
    assert (answered.source, answered.track_record and answered.track_record.n_live) == ("oracle", 1)


@given(
    said=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*reply(), "more"]), inner),
    ),
    kind=st.sampled_from(sorted(REPLIES)),
)
def test_any_json_is_decoded_or_a_mismatch(said: Any, kind: str) -> None:
    try:
        found = str(type(decoded(REPLIES[kind], said)))
    except Mismatch as error:
        found = str(error)
    assert found.startswith(("reply", "<class 'barograph.replies"))


def test_a_key_goes_as_a_bearer_token_and_into_no_text() -> None:
    script = scripted(httpx.ConnectError(f"{KEY} at http://user:{KEY}@host"))
    made = client(script)
    with pytest.raises(Unreachable) as caught:
        made.regime("AAA")
    assert script.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{caught.value}{caught.value!r}{made!r}{made._patience!r}"


def test_a_redirect_does_not_take_the_key_along() -> None:
    script = scripted(httpx.Response(307, headers={"location": "http://elsewhere/"}))
    with pytest.raises(Unexpected):
        client(script).regime("AAA")
    assert [request.url.host for request in script.seen] == ["127.0.0.1"]


def test_only_what_was_said_is_sent_and_a_prefix_of_the_address_is_kept() -> None:
    script = scripted(told(reply()))
    transport = httpx.MockTransport(script)
    Client("https://risk.example/barograph/", transport=transport).regime("AAA", more_symbols=("BBB",))
    (request,) = script.seen
    assert str(request.url) == "https://risk.example/barograph/v1/tools/get_market_regime"
    assert json.loads(request.content) == {"symbol": "AAA", "more_symbols": ["BBB"]}


def test_an_endless_reply_is_not_read_to_its_end() -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            while True:
                yield b" " * 1_000_000

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless()))
    with pytest.raises(Unreachable, match="too large"):
        Client(transport=transport, retries=0).regime("AAA")


@pytest.mark.anyio
async def test_the_async_client_walks_the_same_road() -> None:
    script, hand = scripted(LIMITED, httpx.ReadError(""), told(reply())), Hand()

    async def sleep(seconds: float) -> None:
        hand.sleep(seconds)

    transport = httpx.MockTransport(script)
    async with AsyncClient(transport=transport, clock=hand.clock, sleep=sleep, chance=lambda: 0.5) as made:
        assert (await made.regime("AAA")).symbol == "AAA"
    assert hand.slept == [3.05, 0.1]


@pytest.mark.anyio
async def test_the_limit_of_an_async_call_holds_against_a_server_that_drips() -> None:
    import anyio

    async def dripping(request: httpx.Request) -> httpx.Response:
        while True:
            await anyio.lowlevel.checkpoint()

    async with AsyncClient(transport=httpx.MockTransport(dripping), timeout_seconds=0.05, retries=0) as made:
        with pytest.raises(Unreachable, match="in time"):
            await made.regime("AAA")


def test_a_refusal_beside_its_text_is_tried_again_like_any_other() -> None:
    body = refusal(503, "overloaded", retryable=True).content.decode()
    busy = told({"body": body, "text": "overloaded: no.", "code": "overloaded", "retry_after_seconds": 2})
    script = scripted(busy, told({"body": "{}", "text": "AAA: range_bound", "code": None}))
    assert client(script).say("get_market_regime", symbol="AAA") == "AAA: range_bound"
    assert script.hand.slept == [2.05]
    assert {request.headers["accept"] for request in script.seen} == {"application/vnd.barograph.served+json"}
    with pytest.raises(Refused, match="overloaded"):
        client(scripted(busy), retries=0).say("get_market_regime", symbol="AAA")
    with pytest.raises(Unexpected):
        client(scripted(told({"text": 1}))).say("get_market_regime", symbol="AAA")
