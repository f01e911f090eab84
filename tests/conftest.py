"""A house in memory's reach: real parts over a temporary folder, a clock that the test moves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from commands.config import Config, Ledger, Models
from market.bar_table import BarTable, checked
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.checks import bars_for_laws
from registry.store import Store, migrate, open_store
from server import House, build

# How long a test takes says nothing of what it tests: on a machine at work any of them is slow at times.
settings.register_profile(
    "house", parent=settings.default, deadline=None, suppress_health_check=(HealthCheck.too_slow,)
)
settings.load_profile("house")

#: A Monday, 2024-01-01T00:00Z: where test histories end.
NOW = 1_704_067_200_000


class HandClock:
    """A clock that goes where the test puts it."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty state, on disk."""
    opened = open_store(tmp_path / "state.sqlite")
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def house(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house with 120 days of hourly bars of AAA and BBB that end now."""
    built = build(Config(ledger=Ledger(flush_ms=1), models=Models(train=False)), tmp_path / "data", clock)
    built.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    yield built
    built.close()


def hourly(symbol: str, *, seed: int, n: int = 120 * 24, end: int = NOW) -> Bars:
    """Lively hourly bars whose last one closes at `end`."""
    bars = bars_for_laws(np.random.default_rng(seed), Timeframe.H1, n, symbol)
    moved = end - n * HOUR_MS - int(bars.open_at[0])
    return Bars(symbol, Timeframe.H1, bars.open_at + moved, bars.open, bars.high, bars.low, bars.close, bars.volume)


def table(symbol: str, *, seed: int, n: int = 120 * 24, end: int = NOW) -> BarTable:
    return checked(hourly(symbol, seed=seed, n=n, end=end), "files")


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real data, for tests that need it; without it they skip and say so."""
    folder = os.environ.get("BAROGRAPH_MARKET_DATA")
    if not folder:
        pytest.skip("BAROGRAPH_MARKET_DATA is not set: no real market data")
    return Path(folder)
