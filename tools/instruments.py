"""From a capability to its tool: the catalogue entry is all that a new instrument needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, create_model

from ml.capability import AnyCapability, Question, Symbol
from tools.ask import Ask
from tools.envelope import AnyReply, capability_reply
from tools.tool import Tool

#: A call may name this many symbols beside its first.
MOST_MORE_SYMBOLS = 49


def instruments(capabilities: Iterable[AnyCapability], ask: Ask) -> tuple[Tool, ...]:
    """One tool for each capability of the catalogue."""
    return tuple(instrument(capability, ask) for capability in capabilities)


def instrument(capability: AnyCapability, ask: Ask) -> Tool:
    """The tool of one capability. `more_symbols` asks the same of other symbols, in one call."""
    request = request_model(capability)

    async def answer(asked: Any, asked_by: str) -> AnyReply:  # noqa: ANN401 - an instance of `request`, validated
        fields = {name: getattr(asked, name) for name in capability.question.model_fields}
        first = await ask.one(capability, capability.question.model_construct(**fields), asked_by)
        if not asked.more_symbols:
            return first
        others = [capability.question.model_construct(**{**fields, "symbol": other}) for other in asked.more_symbols]
        return first.model_copy(update={"more": tuple(await ask.many(capability, others, asked_by))})

    return Tool(
        name=capability.tool,
        title=capability.title,
        description=capability.description,
        request=request,
        reply=capability_reply(capability),
        answer=answer,
        examples=capability.examples,
    )


def request_model(capability: AnyCapability) -> type[Question]:
    """The question of a capability as a caller may put it: for several symbols at once."""
    return create_model(
        f"{capability.question.__name__.removesuffix('Question')}Request",
        __base__=capability.question,
        more_symbols=(
            tuple[Symbol, ...],
            Field(default=(), max_length=MOST_MORE_SYMBOLS, description="Other symbols to ask the same of."),
        ),
    )
