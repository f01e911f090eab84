"""How often each caller may use each tool: moving windows by the clock that is passed in."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from commands.access import BadRates
from commands.access_config import Limits
from commands.config import Config, Models
from registry.scope import Scope
from server import PROMPTS, House, app, build
from tests.conftest import HandClock
from tools import rate_limits
from tools.offer import Offer
from tools.over_mcp import mcp_server
from tools.principal import Principal, neighbour, speaking
from tools.rate_limits import RateLimits

READER = Principal("key:a", "local", frozenset({Scope.READ}))
OTHER = Principal("key:b", "local", frozenset({Scope.READ}))


class Seconds:
    """A clock of seconds."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def test_a_window_moves_with_the_clock() -> None:
    clock = Seconds()
    limits = RateLimits("3/10 second", "9/second", {}, clock)
    took = []
    for at in (0.0, 4.0, 8.0, 9.0, 9.9, 10.0, 10.1, 14.0):
        clock.at = 1_000 + at
        took.append(limits.take(READER, "a_tool"))
    assert took == [None, None, None, 1, 1, None, 4, None]


def test_callers_and_tools_do_not_use_up_each_others_rate() -> None:
    limits = RateLimits("1/minute", "2/minute", {"dear": "1/hour"}, Seconds())
    assert [limits.take(READER, "a"), limits.take(READER, "a")] == [None, 60]
    assert [limits.take(OTHER, "a"), limits.take(READER, "b")] == [None, None]
    assert [limits.take(neighbour("local"), "a") for _ in range(3)] == [None, None, 60]
    assert [limits.take(READER, "dear"), limits.take(READER, "dear")] == [None, 3_600]
    assert limits.rate(READER, "dear") == "1 calls in 3600 s"


def test_windows_of_those_who_have_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_WINDOWS", 50)
    clock = Seconds()
    limits = RateLimits("1/second", "1/second", {}, clock)
    for n in range(500):
        clock.at += 0.1
        assert limits.take(Principal(f"jwt:{n}", "local", frozenset()), "a") is None
    assert len(limits._windows._calls) <= 51


@given(gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60), n=st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_rate(gaps: list[float], n: int) -> None:
    clock = Seconds()
    limits = RateLimits(f"{n}/5 second", "1/second", {}, clock)
    admitted: list[float] = []
    for gap in gaps:
        clock.at += gap
        wait = limits.take(READER, "a")
        recent = [at for at in admitted if at > clock.at - 5]
        assert (wait is None) == (len(recent) < n)
        if wait is None:
            admitted.append(clock.at)
        else:
            assert 0 <= wait - (recent[0] + 5 - clock.at) < 1 or wait == 1


def test_a_rate_of_a_tool_that_there_is_not_is_refused(tmp_path: Path, clock: HandClock) -> None:
    config = Config(limits=Limits(tools={"get_market_regmie": "1/second"}), models=Models(train=False))
    with pytest.raises(BadRates, match=r"there is no tool get_market_regmie; there are .*get_market_regime"):
        build(config, tmp_path / "data", clock)


@pytest.mark.anyio
async def test_whoever_asks_too_often_is_told_when_to_come_back_on_both_doors(house: House, clock: HandClock) -> None:
    house.guard._limits = RateLimits("1/minute", "2/minute", {}, lambda: clock.at / 1_000)
    transport = httpx.ASGITransport(app=app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        replies = [await http.post("/v1/tools/get_market_regime", json={"symbol": "AAA"}) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert replies[2].headers["retry-after"] == "60"
        error = replies[2].json()["error"]
        assert (error["code"], error["retryable"], error["retry_after_seconds"]) == ("rate_limited", True, 60)
        assert (await http.post("/v1/tools/get_server_status", json={})).status_code == 200, "another tool"
        clock.at += 60_000
        assert (await http.post("/v1/tools/get_market_regime", json={"symbol": "AAA"})).status_code == 200

    offer = Offer.of("1", house.tools, house.catalogue, PROMPTS)
    with speaking(READER):
        async with Client(mcp_server(offer, house.guard.call)) as mcp:
            assert not (await mcp.call_tool("get_market_regime", {"symbol": "AAA"})).is_error
            refused = await mcp.call_tool("get_market_regime", {"symbol": "AAA"})
    assert refused.is_error
    assert "rate_limited: this tool was called too often" in refused.content[0].text  # type: ignore[union-attr]  # a text, by the contract
    assert "Try again in 60 s" in refused.content[0].text  # type: ignore[union-attr]  # a text, by the contract
