"""A risk engine asks whether it must keep out: all but a clear, fresh, timely "no objection" means yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph import AsyncClient, Client, Verdict
from ml.bars import HOUR_MS
from server import House
from tests.client_transports import InMemory, Script, refusal, reply, scripted, told
from tests.conftest import HandClock

ONE = ("get_market_regime",)


def verdict(script: Script, **how: Any) -> Verdict:
    hand = script.hand
    with Client(transport=httpx.MockTransport(script), clock=hand.clock, sleep=hand.sleep, retries=1) as client:
        return client.veto("AAA", **({"instruments": ONE} | how))


def test_with_fresh_data_and_no_objection_one_may_trade(house: House) -> None:
    with Client(transport=InMemory(house)) as client:
        said = client.veto("AAA")
    assert (said.may_trade, said.do_not_trade, said.because) == (True, False, ())
    assert set(said.replies) == {"get_market_regime", "forecast_volatility"}
    assert said.expires_at == min(reply.expires_at for reply in said.replies.values())


def test_stale_data_unknown_symbols_and_abstentions_of_a_real_house_mean_no(house: House, clock: HandClock) -> None:
    with Client(transport=InMemory(house)) as client:
        assert "unknown_symbol" in client.veto("NOPE").because[0]
        assert "not_measured" in client.veto("AAA", timeframe="5m", instruments=ONE).because[0] or (
            client.veto("AAA", timeframe="5m", instruments=ONE).do_not_trade
        )
        clock.at += 4 * HOUR_MS
        said = client.veto("AAA")
    assert said.do_not_trade
    assert all("stale" in one for one in said.because)


CLOSED: tuple[tuple[str, Any, str], ...] = (
    ("it says so", told(reply(do_not_trade=True, do_not_trade_because="gap: too wide")), "gap: too wide"),
    ("it does not say", told(reply(do_not_trade=...)), "did not say that one may trade"),
    ("it says null", told(reply(do_not_trade=None)), "did not say that one may trade"),
    ("stale", told(reply(stale=True)), "stale"),
    ("not said whether stale", told(reply(stale=...)), "stale is missing"),
    ("abstains", told(reply(answer=None, source="abstain")), "there is no answer"),
    ("another symbol", told(reply(symbol="BBB")), "another symbol"),
    ("a string for a bool", told(reply(do_not_trade="false")), "no Barograph of this version"),
    ("zero for a bool", told(reply(do_not_trade=0)), "no Barograph of this version"),
    ("not a number", told(reply(confidence=float("nan"))), "no Barograph of this version"),
    ("refused", refusal(503, "not_durable", retryable=True), "not_durable"),
    ("no key", refusal(401, "unauthorized", retryable=False), "unauthorized"),
    ("too often", refusal(429, "rate_limited", retryable=True, retry_after="99"), "rate_limited"),
    ("a fault", refusal(500, "internal_fault", retryable=False), "internal_fault"),
    ("late", 11.0, "in time"),
    ("no connection", httpx.ConnectError(""), "cannot be reached"),
    ("a page", told(b"<html>", 200), "no Barograph"),
    ("a bug below", ZeroDivisionError("secret"), "could not be asked: ZeroDivisionError"),
    ("no memory", MemoryError(), "could not be asked: MemoryError"),
)


@pytest.mark.parametrize(("act", "says"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED])
def test_whatever_goes_wrong_means_do_not_trade_with_the_reason(act: Any, says: str) -> None:
    said = verdict(scripted(act))
    assert (said.do_not_trade, said.may_trade) == (True, False)
    assert any(says in one for one in said.because), said.because
    assert "secret" not in str(said)


@pytest.mark.parametrize(("act", "says"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED])
@pytest.mark.anyio
async def test_the_async_client_fails_closed_as_well(act: Any, says: str) -> None:
    script = scripted(act)

    async def sleep(seconds: float) -> None:
        script.hand.sleep(seconds)

    async with AsyncClient(transport=httpx.MockTransport(script), clock=script.hand.clock, sleep=sleep) as client:
        said = await client.veto("AAA", instruments=ONE)
    assert said.do_not_trade
    assert any(says in one for one in said.because), said.because


def test_one_objection_is_enough_and_all_are_told() -> None:
    said = verdict(scripted(told(reply()), told(reply(stale=True))), instruments=("get_market_regime",) * 2)
    assert said.do_not_trade
    assert len(said.because) == 1


def test_nobody_asked_means_no() -> None:
    script = scripted(told(reply()))
    assert verdict(script, instruments=()).because == ("nobody was asked",)
    assert script.seen == []


def test_all_instruments_share_one_limit() -> None:
    script = scripted(1.5)
    said = verdict(script, instruments=("get_market_regime",) * 3, within_seconds=2.0)
    assert len(said.because) == 3
    assert script.hand.at == pytest.approx(2.0, abs=0.01)
    assert said.because[1:] == ("get_market_regime: no time was left",) * 2
    limits = [request.extensions["timeout"]["read"] for request in script.seen]
    assert limits[0] == 2.0
    assert all(0 < limit <= 0.5 for limit in limits[1:])


def test_what_cannot_be_put_as_json_means_no() -> None:
    said = verdict(scripted(told(reply())), timeframe=object())
    assert said.do_not_trade


def test_a_closed_client_means_no() -> None:
    client = Client(transport=httpx.MockTransport(scripted(told(reply()))))
    client.close()
    assert client.veto("AAA", instruments=ONE).do_not_trade


def test_a_verdict_cannot_be_mistaken_for_a_truth_value() -> None:
    said = verdict(scripted(told(reply())))
    with pytest.raises(TypeError, match="may_trade"):
        bool(said)
    assert said.may_trade


def test_stopping_the_program_is_not_swallowed() -> None:
    def stop(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client(transport=httpx.MockTransport(stop)).veto("AAA")


@given(
    changed=st.dictionaries(
        st.sampled_from(["do_not_trade", "stale", "symbol", "answer", "source", "as_of", "summary"]),
        st.sampled_from([None, True, 0, 1, "", "AAA", "false", [], {}, 1.5]),
        max_size=3,
    ),
    status=st.sampled_from([200, 200, 200, 204, 404, 500]),
    cut=st.integers(0, 3),
)
def test_one_may_trade_only_on_a_whole_reply_that_says_so(changed: dict[str, Any], status: int, cut: int) -> None:
    body = reply(**changed)
    response = told(body, status)
    whole: Callable[[], bool] = lambda: not cut and status == 200  # noqa: E731 - read where it is used
    said = verdict(scripted(httpx.Response(status, content=response.content[: len(response.content) - cut])))
    if said.may_trade:
        assert whole()
        assert body["do_not_trade"] is False
        assert body["stale"] is False
        assert (body["symbol"], bool(body["answer"])) == ("AAA", True)
