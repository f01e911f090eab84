"""What may be read by address: the newest answer of each instrument for a symbol, who answers, and how to read a reply.

Reading is asking: a resource is a tool with its arguments, so it says the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict

from tools.tool import Call, Served

if TYPE_CHECKING:
    from ml.capability import AnyCapability

SCHEME = "barograph://"
SYMBOL = "{symbol}"
#: Events that tell of models, and of feeds.
MODELS = ("model.promoted", "model.rolled_back", "model.retired")
FEEDS = ("feed.stale", "feed.recovered")
JSON, MARKDOWN = "application/json", "text/markdown"


class Resource(BaseModel):
    """A resource or, with `{symbol}` in its address, a template of one. It has a `text`, or is what `tool` says."""

    model_config = ConfigDict(frozen=True)

    uri: str
    name: str
    title: str
    description: str
    mime_type: str = JSON
    tool: str | None = None
    arguments: dict[str, str] = {}
    keep: tuple[str, ...] = ()
    """Fields of the reply; empty: all of it."""
    text: str = ""
    changed_by: tuple[str, ...] = ()
    """Names of the events after which it says something else."""
    timeframe: str | None = None
    """Only where the event is about these bars; None: always."""

    @property
    def template(self) -> bool:
        return self.uri.endswith(SYMBOL)


def resources(capabilities: Iterable[AnyCapability]) -> tuple[Resource, ...]:
    """All resources over a catalogue."""
    from tools.guide import guide  # pulls numpy in, which a proxy, that is told them, need not wait for

    return (
        Resource(
            uri=f"{SCHEME}guide",
            name="guide",
            title="How to read a reply",
            description="Every field that a reply may carry, and what it means.",
            mime_type=MARKDOWN,
            text=guide(),
        ),
        Resource(
            uri=f"{SCHEME}status",
            name="status",
            title="Server status",
            description="Symbols, stale series, who answers.",
            tool="get_server_status",
            changed_by=FEEDS,
        ),
        Resource(
            uri=f"{SCHEME}models",
            name="models",
            title="Who answers",
            description="Each instrument's chain of versions, and what is in force.",
            tool="get_server_status",
            arguments={"detail": "full"},
            keep=("version", "now", "instruments"),
            changed_by=MODELS,
        ),
        *(
            Resource(
                uri=f"{SCHEME}{one.name}/{SYMBOL}",
                name=one.name,
                title=one.title,
                description=f"What {one.tool} says now of a symbol, with its defaults.",
                tool=one.tool,
                changed_by=("bar.closed",),
                timeframe=str(one.question.model_fields["timeframe"].default),
            )
            for one in capabilities
        ),
    )


def found(among: Sequence[Resource], uri: str) -> tuple[Resource, str] | None:
    """The resource at an address, and the symbol that the address names. A symbol may hold `/` and `:`, as they are or
    in per cent."""
    for one in among:
        if one.template and uri.startswith(start := one.uri.removesuffix(SYMBOL)):
            return one, unquote(uri.removeprefix(start))
        if uri == one.uri:
            return one, ""
    return None


async def read(resource: Resource, symbol: str, call: Call, asked_by: str) -> Served:
    """What it says; a refusal is one here too."""
    if resource.tool is None:
        return Served(body=resource.text, text=resource.text, code=None)
    named = {"symbol": symbol} if resource.template else {}
    served = await call(resource.tool, json.dumps({**resource.arguments, **named}), asked_by)
    if served.code is not None or not resource.keep:
        return served
    told = json.loads(served.body)
    kept = json.dumps({name: told[name] for name in resource.keep if name in told}, separators=(",", ":"))
    return served.model_copy(update={"body": kept})
