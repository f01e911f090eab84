"""How much a reply says: `concise` for a model that pays for each token, `full` for whoever wants all of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict


class Detail(StrEnum):
    """`concise` says all that a decision needs; `full` leaves nothing out."""

    CONCISE = "concise"
    FULL = "full"


class Request(BaseModel):
    """Base of what a tool may be asked: unknown fields are refused, and the caller chooses how much is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detail: Detail = Detail.CONCISE


class Told(Protocol):
    """A reply can say itself in text, complete without its fields."""

    def text(self) -> str: ...

    def model_dump_json(self, *, exclude_none: bool = False) -> str: ...


@dataclass(frozen=True, slots=True)
class Said:
    """A reply as it goes through a door: JSON, and the same for hosts that show text alone."""

    body: str
    text: str


@runtime_checkable
class Shortened(Protocol):
    """A reply that also has a concise form. It obeys the same schema: what may be left out is not required there."""

    def concise(self) -> Said: ...


def said(reply: Told, request: BaseModel) -> Said:
    """The reply in the detail that was asked for, without nulls. Whoever has no concise form says everything."""
    if _shortens(type(reply)) and getattr(request, "detail", Detail.FULL) is Detail.CONCISE:
        return cast(Shortened, reply).concise()
    return Said(reply.model_dump_json(exclude_none=True), reply.text())


@lru_cache(maxsize=256)
def _shortens(kind: type) -> bool:
    """Looked up once: to look through a protocol takes as long as half of the answer."""
    return issubclass(kind, Shortened)
