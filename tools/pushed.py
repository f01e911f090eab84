"""What may be pushed in over HTTP, and what is said of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from market.headline import MOST_SYMBOLS
from ml.bars import Timeframe
from ml.capability import Symbol

#: Where pushed data say they come from, if the one who pushes does not say.
PUSHED = "pushed"
MOST_SERIES = 1_000
MOST_ROWS = 20_000

Millis = Annotated[int, Field(ge=0, le=4_102_444_800_000, description="ms since 1970, UTC")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Origin = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$", description="Where the data come from.")]
Level = tuple[Number, Number]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Batch(_Asked):
    origin: Origin = PUSHED
    live: bool = Field(
        default=True,
        description="true: known since now. false: an archive, whose rows count as known at their own time.",
    )


class PushedBars(_Asked):
    """Closed bars of one series."""

    symbol: Symbol
    timeframe: Timeframe
    bars: tuple[tuple[Millis, Number, Number, Number, Number, Number], ...] = Field(
        min_length=1, max_length=MOST_ROWS, description="[open_at_ms, open, high, low, close, volume in base units]"
    )


class PushBars(_Batch):
    """Bars of several series."""

    series: tuple[PushedBars, ...] = Field(min_length=1, max_length=MOST_SERIES)


class PushedFunding(_Asked):
    """Funding rates of one symbol."""

    symbol: Symbol
    rates: tuple[tuple[Millis, Number], ...] = Field(
        min_length=1, max_length=MOST_ROWS, description="[at_ms, rate per interval, a fraction]"
    )


class PushFunding(_Batch):
    """Funding rates of several symbols."""

    series: tuple[PushedFunding, ...] = Field(min_length=1, max_length=MOST_SERIES)


class PushedOpenInterest(_Asked):
    """Open interest of one symbol."""

    symbol: Symbol
    interest: tuple[tuple[Millis, Number, Number | None], ...] = Field(
        min_length=1, max_length=MOST_ROWS, description="[at_ms, base units, quote currency or null]"
    )


class PushOpenInterest(_Batch):
    """Open interest of several symbols."""

    series: tuple[PushedOpenInterest, ...] = Field(min_length=1, max_length=MOST_SERIES)


class PushedBook(_Asked):
    """One order book: [price, size in base units] per level, best first; levels beyond the tenth are not kept."""

    symbol: Symbol
    at: Millis
    bids: tuple[Level, ...] = Field(min_length=1, max_length=1_000)
    asks: tuple[Level, ...] = Field(min_length=1, max_length=1_000)


class PushBook(_Batch):
    """Order books."""

    books: tuple[PushedBook, ...] = Field(min_length=1, max_length=MOST_SERIES)


class PushedHeadline(_Asked):
    """One headline."""

    at: Millis
    title: Annotated[str, Field(min_length=1, max_length=2_000)]
    key: Annotated[
        str, Field(max_length=2_000, description="The source's own name for it; its words, if left out.")
    ] = ""
    symbols: Annotated[tuple[Symbol, ...], Field(max_length=MOST_SYMBOLS)] = ()


class PushHeadlines(_Asked):
    """Headlines of one source."""

    source: Origin
    live: bool = True
    headlines: tuple[PushedHeadline, ...] = Field(min_length=1, max_length=MOST_ROWS)


class Refusals(BaseModel):
    """Rows that were not kept, and why; of bars the numbers of the first of them, from 1."""

    why: str
    n: int
    first_rows: tuple[int, ...] = ()


class Kept(BaseModel):
    """What became of one series (of headlines: of one source). `new` rows continue it, `late` ones were missing,
    `revised` ones had other numbers, `repeated` ones were there."""

    name: str
    new: int = 0
    late: int = 0
    revised: int = 0
    repeated: int = 0
    refused: tuple[Refusals, ...] = ()


class PushReceipt(BaseModel):
    """What became of a batch. Everything that it counts as new, late or revised is on disk."""

    kept: int
    repeated: int
    refused: int
    series: tuple[Kept, ...]

    def text(self) -> str:
        return f"{self.kept} rows kept, {self.repeated} were there, {self.refused} refused"
