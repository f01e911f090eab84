"""What is asked: how much will be traded in one symbol over the hours to come, and how large an order that bears."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from ml.bars import HOUR_MS, Timeframe
from ml.capability import Question


class Horizon(StrEnum):
    """How far ahead, in hours of a market that never closes."""

    H6 = "6h"
    H12 = "12h"
    H24 = "24h"

    @property
    def bars(self) -> int:
        """How many hourly bars the horizon spans."""
        return int(self.value[:-1])

    @property
    def milliseconds(self) -> int:
        return self.bars * HOUR_MS


class LiquidityQuestion(Question):
    """How much will be traded in `symbol` over `horizon`, and how large an order costs `cost_bps`?

    Timeframes other than 1h are accepted here and abstained on where they are answered: nothing was measured there.
    """

    horizon: Horizon = Field(default=Horizon.H24, description="How far ahead: 6h, 12h or 24h (from 1h bars).")
    cost_bps: float = Field(
        default=10.0,
        gt=0.0,
        le=1_000.0,
        allow_inf_nan=False,
        description="Price impact in basis points that an order, worked over the horizon, may have.",
    )
    order_quote: float | None = Field(
        default=None,
        gt=0.0,
        le=1e15,
        allow_inf_nan=False,
        description="Size of an order in quote currency, whose expected impact is wanted.",
    )


def horizons_on(timeframe: Timeframe) -> tuple[Horizon, ...]:
    """The horizons that bars of `timeframe` can answer; empty where nothing was measured."""
    return tuple(Horizon) if timeframe is Timeframe.H1 else ()
