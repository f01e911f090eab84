"""What `get_server_status` says. Written by `make client` from the contract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from barograph.replies.shared import Timeframe


@dataclass(frozen=True, kw_only=True)
class InForce:
    """The version of a capability that is in force now."""

    version: str
    """name@version; @0 are the rules."""
    state: Literal["answers", "passed_over"]
    because: str | None = None
    """Why it is passed over for the rules; null when it answers."""
    learned_through: datetime | None = None
    """What it learnt had settled by then; null: the rules."""


@dataclass(frozen=True, kw_only=True)
class InstrumentStatus:
    """One capability and who answers for it."""

    tool: str
    answered_by: tuple[str, ...]
    """The chain, first asked first."""
    in_force: InForce | None = None
    """Concise: told where it is passed over."""
    timeframes: tuple[Timeframe, ...] | None = None
    """Full only."""


@dataclass(frozen=True, kw_only=True)
class SeriesStatus:
    """One series of bars."""

    symbol: str
    timeframe: Timeframe
    origin: str
    n_bars: int
    first_open: datetime
    data_through: datetime
    expected_missing: int
    """Bars that should have come since data_through and did not."""
    stale: bool
    gaps: int
    """Bars missing inside the history while the market was open."""
    revisions: int
    """Late and revised bars kept."""
    quality: float
    """Mean data quality of the newest rows, 0 to 1; above 0.9 is usable."""


@dataclass(frozen=True, kw_only=True)
class LedgerStatus:
    """Whether predictions are being written down."""

    written: int
    waiting: int
    lag_ms: float
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of the server."""

    summary: str
    version: str
    started_at: datetime
    now: datetime
    instruments: tuple[InstrumentStatus, ...]
    n_symbols: int
    """Symbols that are fed and begin with starts_with."""
    symbols: tuple[str, ...]
    """The first of them; starts_with narrows them down."""
    series: tuple[SeriesStatus, ...]
    """Concise: stale ones, or those of the symbol asked for."""
    more_series: int
    """Series left out of this reply; ask for one symbol."""
    ledger: LedgerStatus | None = None
    """Concise: told where something is wrong."""
