"""A client with a key, without one, and with one that may not do what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barograph import Client, Refused
from commands.access_config import Access, Limits
from commands.config import Config, Ledger, Models
from registry.scope import Scope
from server import House, build
from tests.client_transports import Hand, InMemory
from tests.conftest import NOW, HandClock, table


@pytest.fixture
def guarded(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house that asks its neighbours for keys as well, and lets each ask three times a minute."""
    access, limits = Access(keys_on_loopback=True), Limits(with_key="3/minute")
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), access=access, limits=limits)
    built = build(config, tmp_path / "data", clock)
    built.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
    yield built
    built.close()


def key(house: House, *scopes: Scope) -> str:
    return house.keys.add("test", scopes, expires_at=None, by="test", at=NOW).token


def test_without_a_key_the_server_says_so_and_a_verdict_is_no(guarded: House) -> None:
    with Client(transport=InMemory(guarded)) as client:
        with pytest.raises(Refused, match="key") as caught:
            client.regime("AAA")
        assert (caught.value.status, caught.value.retryable) == (401, False)
        assert client.veto("AAA").do_not_trade


def test_a_key_that_may_read_gets_advice_and_no_veto(guarded: House) -> None:
    token = key(guarded, Scope.READ)
    with Client(key=token, transport=InMemory(guarded)) as client:
        assert client.regime("AAA").symbol == "AAA"
        said = client.veto("AAA", instruments=["get_market_regime"])
    assert said.do_not_trade
    assert token not in str(said)


def test_a_key_that_may_trade_gets_its_verdict_and_whoever_asks_too_often_is_told_when_to_come_back(
    guarded: House,
) -> None:
    hand = Hand()
    token = key(guarded, Scope.READ, Scope.TRADE)
    with Client(key=token, transport=InMemory(guarded), clock=hand.clock, sleep=hand.sleep) as client:
        assert client.veto("AAA", instruments=["get_market_regime"]).may_trade
        for _ in range(2):
            client.regime("AAA")
        with pytest.raises(Refused) as caught:
            client.regime("AAA")
    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert caught.value.retry_after_seconds is not None
    assert hand.slept == [], "a minute is longer than the call may take"
