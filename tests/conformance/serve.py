"""The production app over a small market, with the suite's fixtures behind it, on a port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from commands.config import Config, Ledger, Models
from server import app, build
from tests.conformance.fixtures import dress
from tests.conftest import NOW, HandClock, table
from tests.mcp_clients import loopback
from tools.over_mcp import Dress


@asynccontextmanager
async def serving(folder: Path, dressed: Dress = dress) -> AsyncIterator[str]:
    """Its address."""
    house = build(Config(ledger=Ledger(flush_ms=1), models=Models(train=False)), folder, HandClock(NOW))
    house.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    try:
        async with loopback(app(house, dress=dressed)) as url:
            yield url
    finally:
        house.close()
