"""What an operator may set of where the data come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml.observed_kind import Kind
from ml.symbol import Symbol
from ml.timeframe import Timeframe

Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Exchange(_Section):
    """One exchange that is followed: its ccxt name, and symbols by our name with the exchange's."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    symbols: Annotated[Mapping[Symbol, str], Field(min_length=1)]
    timeframes: Annotated[tuple[Timeframe, ...], Field(min_length=1)] = (Timeframe.H1,)
    history_days: Annotated[int, Field(ge=1)] = 400
    observe: frozenset[Kind] = frozenset({Kind.FUNDING, Kind.OPEN_INTEREST})
    every_seconds: Annotated[int, Field(ge=1)] = 5
    books_every_seconds: Annotated[int, Field(ge=10)] = 300
    at_once: Annotated[int, Field(ge=1, le=64)] = 8
    base_url: Url | None = None


class News(_Section):
    """One feed of headlines."""

    source: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]
    url: Url


class Feeds(_Section):
    """Everything that is followed."""

    exchanges: tuple[Exchange, ...] = ()
    folders: tuple[str, ...] = ()
    folders_every_seconds: Annotated[int, Field(ge=1)] = 10
    news: tuple[News, ...] = ()
    news_every_seconds: Annotated[int, Field(ge=30)] = 300

    @field_validator("news")
    @classmethod
    def _sources_differ(cls, said: tuple[News, ...]) -> tuple[News, ...]:
        if len({one.source for one in said}) < len(said):
            raise ValueError("two feeds of headlines have one source: name them apart")
        return said

    @model_validator(mode="after")
    def _symbols_differ(self) -> Feeds:
        named = [symbol for one in self.exchanges for symbol in one.symbols]
        twice = sorted({one for one in named if named.count(one) > 1})
        if twice:
            raise ValueError(f"two exchanges feed {', '.join(twice)}: a symbol has one source, name them apart")
        if len({one.name for one in self.exchanges}) < len(self.exchanges):
            raise ValueError("an exchange is named twice: give it all its symbols in one place")
        return self
