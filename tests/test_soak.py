"""The soak in short: bars come in, a model is promoted and taken back, many ask through both doors, and too many."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.access_config import Limits
from commands.config import Config, Ledger, Models
from market.bar_table import checked
from ml.bars import HOUR_MS
from server import House, app, build
from tests.conftest import NOW, HandClock, hourly, table
from tests.doors import called, opened, session
from tests.served_learner import GOOD
from tests.test_models_served import registered

pytestmark = pytest.mark.anyio

TOOL, ROUNDS, ASKERS = "forecast_volatility", 8, 12
LATER = {
    symbol: hourly(symbol, seed=seed, n=120 * 24 + ROUNDS, end=NOW + ROUNDS * HOUR_MS)
    for symbol, seed in (("AAA", 1), ("BBB", 2))
}


@pytest.fixture
def soaked(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house where each of too many callers is told to wait."""
    config = Config(
        ledger=Ledger(flush_ms=1),
        models=Models(train=False),
        limits=Limits(without_key=f"{ROUNDS * ASKERS * 4}/minute"),
    )
    built = build(config, tmp_path / "data", clock, catalogue=GOOD, taught_by="tests.served_learner:GOOD")
    built.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    yield built
    built.close()


async def test_no_error_and_no_answer_of_two_versions_while_bars_come_and_the_champion_changes(
    soaked: House, clock: HandClock
) -> None:
    versions: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    seen: Counter[str] = Counter()

    def note(reply: Any) -> None:
        seen[reply["answered_by"]] += 1
        key = (reply["symbol"], reply["data_through"], reply["answered_by"])
        versions[key].add(json.dumps([reply["answer"], reply["prediction_id"]]))

    async with opened(app(soaked)) as http:
        mcp, one_at_a_time = await session(http, {}), asyncio.Lock()

        async def ask(n: int) -> None:
            symbol = ("AAA", "BBB")[n % 2]
            if n % 4 == 0:
                async with one_at_a_time:  # every request of `called` has the same id
                    note((await called(http, TOOL, {"symbol": symbol}, mcp))["structuredContent"])
                return
            reply = await http.post(f"/v1/tools/{TOOL}", json={"symbol": symbol})
            assert reply.status_code == 200, reply.text
            note(reply.json())

        version = registered(soaked, 0.9)
        for round_ in range(ROUNDS):
            asking = [asyncio.create_task(ask(n)) for n in range(ASKERS)]
            await asyncio.sleep(0)
            clock.at = NOW + (round_ + 1) * HOUR_MS + 500
            at = 120 * 24 + round_
            tables = [checked(one.between(at, at + 1), "files") for one in LATER.values()]
            await asyncio.to_thread(soaked.history.append, tables, received_at=clock.at, live=True)
            if round_ == 2:
                soaked.versions.promote("volatility", version, ["a test"], "test", clock.at)
            if round_ == 5:
                soaked.versions.rollback("volatility", ["a test"], "test", clock.at)
            await soaked.watch.once()
            await asyncio.gather(*asking)

        assert set(seen) == {"volatility@0", "volatility@1"}
        assert all(len(said) == 1 for said in versions.values()), "one version, on one bar, has one answer"
        closed = [one for one in soaked.events.since(0, 1_000) if one.name == "bar.closed"]
        assert len(closed) >= 2 * ROUNDS

        told = [await http.post(f"/v1/tools/{TOOL}", json={"symbol": "AAA"}) for _ in range(5 * ROUNDS * ASKERS)]
        statuses = Counter(one.status_code for one in told)
        assert set(statuses) == {200, 429}
        assert all(
            int(one.headers["retry-after"]) >= 1 for one in told if one.status_code == httpx.codes.TOO_MANY_REQUESTS
        )
