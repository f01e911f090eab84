"""What is pushed in over HTTP is on disk before the reply, and in the answers after it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.access_config import Limits
from commands.config import Config, Models
from ml.bars import HOUR_MS, Timeframe
from ml.observed import Kind
from server import House, app, build
from tests.conftest import NOW, HandClock, hourly
from tests.doors import bearer, opened

pytestmark = pytest.mark.anyio
TOKEN = f"barograph_local_{'a' * 64}"


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(app(house, local_token=TOKEN)) as client:
        client.headers.update(bearer(TOKEN))
        yield client


def next_bars(symbol: str, seed: int, n: int = 2) -> list[list[float]]:
    """Bars that follow on those of the house."""
    bars = hourly(symbol, seed=seed, n=200, end=NOW + n * HOUR_MS).between(200 - n, 200)
    columns = (bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [[int(row[0]), *map(float, row[1:])] for row in zip(*columns, strict=True)]


async def pushed(http: httpx.AsyncClient, what: str, body: Any) -> Any:
    reply = await http.post(f"/v1/market/{what}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_a_pushed_bar_is_in_the_next_answer_and_pushing_it_again_changes_nothing(
    house: House, http: httpx.AsyncClient, clock: HandClock
) -> None:
    clock.at = NOW + 2 * HOUR_MS
    batch = {"origin": "files", "series": [{"symbol": "AAA", "timeframe": "1h", "bars": next_bars("AAA", 1)}]}
    receipt = await pushed(http, "bars", batch)
    assert (receipt["kept"], receipt["repeated"], receipt["refused"]) == (2, 0, 0)
    answer = (await http.post("/v1/tools/get_market_regime", json={"symbol": "AAA"})).json()
    assert answer["data_through"] == "2024-01-01T02:00:00Z"
    again = await pushed(http, "bars", batch)
    assert (again["kept"], again["repeated"]) == (0, 2)


async def test_what_was_kept_is_there_after_a_kill(house: House, http: httpx.AsyncClient, clock: HandClock) -> None:
    clock.at = NOW + 2 * HOUR_MS
    batch = {"origin": "files", "series": [{"symbol": "AAA", "timeframe": "1h", "bars": next_bars("AAA", 1)}]}
    await pushed(http, "bars", batch)
    again = build(house.config, house.store.path.parent, clock)  # nothing of the first was closed or flushed
    timeline = again.history.timeline("AAA", Timeframe.H1)
    assert timeline is not None
    assert timeline.latest().close_at[-1] == NOW + 2 * HOUR_MS
    again.close()


async def test_bad_rows_are_counted_by_what_is_wrong_and_the_good_ones_kept(
    http: httpx.AsyncClient, clock: HandClock
) -> None:
    clock.at = NOW + 2 * HOUR_MS
    good, bad = next_bars("AAA", 1)
    bad[2] = -1.0
    off = [good[0] + 60_000, *good[1:]]
    batch = {"origin": "files", "series": [{"symbol": "AAA", "timeframe": "1h", "bars": [good, bad, off]}]}
    receipt = await pushed(http, "bars", batch)
    assert (receipt["kept"], receipt["refused"]) == (1, 2)
    assert {one["first_rows"][0] for one in receipt["series"][0]["refused"]} == {2, 3}


async def test_another_origin_does_not_mix_into_a_series(http: httpx.AsyncClient, clock: HandClock) -> None:
    clock.at = NOW + 2 * HOUR_MS
    batch = {"series": [{"symbol": "AAA", "timeframe": "1h", "bars": next_bars("AAA", 1)}]}
    reply = await http.post("/v1/market/bars", json=batch)
    assert reply.status_code == 422
    assert "come from 'files'" in reply.json()["error"]["message"] if "error" in reply.json() else reply.text


async def test_funding_interest_books_and_headlines_are_taken_in(house: House, http: httpx.AsyncClient) -> None:
    await pushed(http, "funding", {"series": [{"symbol": "AAA", "rates": [[NOW - HOUR_MS, 0.0001], [NOW, -0.0002]]}]})
    await pushed(http, "open_interest", {"series": [{"symbol": "AAA", "interest": [[NOW, 5.0, None]]}]})
    book = {"symbol": "AAA", "at": NOW, "bids": [[99.0, 1.0]], "asks": [[101.0, 2.0], [102.0, 3.0]]}
    await pushed(http, "book", {"books": [book]})
    told = {"source": "wire", "headlines": [{"at": NOW, "title": "Bitcoin falls", "symbols": ["AAA"]}]}
    assert (await pushed(http, "headlines", told))["kept"] == 1
    assert (await pushed(http, "headlines", told))["repeated"] == 1
    for kind in Kind:
        observed = house.observations.observed(kind, "AAA")
        assert observed is not None
        assert len(observed.known(NOW)) > 0
    assert [one.headline.title for one in house.headlines.known(NOW)] == ["Bitcoin falls"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"series": []},
        {"series": [{"symbol": "a b", "timeframe": "1h", "bars": [[NOW, 1, 1, 1, 1, 1]]}]},
        {"series": [{"symbol": "AAA", "timeframe": "7h", "bars": [[NOW, 1, 1, 1, 1, 1]]}]},
        {"series": [{"symbol": "AAA", "timeframe": "1h", "bars": [[NOW, 1, 1, 1]]}]},
        {"series": [{"symbol": "AAA", "timeframe": "1h", "bars": [[NOW, 1, 1, 1, 1, 1]]}], "secret-word": 1},
    ],
)
async def test_a_body_of_another_shape_is_refused_without_an_echo(http: httpx.AsyncClient, body: Any) -> None:
    reply = await http.post("/v1/market/bars", json=body)
    assert reply.status_code == 422
    assert "a b" not in reply.text
    assert "secret-word" not in reply.text


async def test_only_an_operator_may_push(house: House) -> None:
    async with opened(app(house, local_token=TOKEN)) as stranger:
        reply = await stranger.post("/v1/market/bars", json={})
        assert reply.status_code == 401


async def test_whoever_pushes_too_often_is_told_when_to_come_back_and_nothing_of_the_batch_is_kept(
    tmp_path: Path, clock: HandClock
) -> None:
    limits = Limits(pushes="2/minute", tools={"headlines": "1/minute"})
    house = build(Config(limits=limits, models=Models(train=False)), tmp_path / "limited", clock)
    async with opened(app(house, local_token=TOKEN)) as http:
        http.headers.update(bearer(TOKEN))

        async def push(n: int) -> httpx.Response:
            rates = {"symbol": f"S{n}", "rates": [[NOW, 0.0001]]}
            return await http.post("/v1/market/funding", json={"series": [rates]})

        assert [(await push(n)).status_code for n in range(2)] == [200, 200]
        late = await push(2)
        assert (late.status_code, late.headers["retry-after"]) == (429, "60")
        assert late.json()["error"]["code"] == "rate_limited"
        assert house.observations.symbols(Kind.FUNDING) == ["S0", "S1"]
        told = {"source": "wire", "headlines": [{"at": NOW, "title": "Bitcoin falls"}]}
        statuses = [(await http.post("/v1/market/headlines", json=told)).status_code for _ in range(2)]
        assert statuses == [200, 429], "another kind, and its own rate"
        clock.at += 60_000
        assert (await push(2)).status_code == 200
    house.close()


async def test_a_batch_may_be_larger_than_a_question_but_not_without_end(http: httpx.AsyncClient) -> None:
    row = [NOW, 1.0, 1.0, 1.0, 1.0, 1.0]
    fits = {"series": [{"symbol": "NEW", "timeframe": "1h", "bars": [row] * 3_000}]}
    assert len(json.dumps(fits)) > 65_536
    assert (await http.post("/v1/market/bars", json=fits)).status_code == 200
    assert (await http.post("/v1/market/bars", content=b" " * 5_000_000)).status_code == 413
