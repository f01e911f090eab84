"""From a capability to its tool: the catalogue entry is all that a new instrument needs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, Field, create_model

from ml.capability import AnyCapability, Question, Symbol, Use
from registry.scope import Scope
from tools.ask import Ask
from tools.detail import Detail
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
        first = await ask.one(capability, asked.question, asked_by)
        if not asked.more_symbols:
            return first
        others = [asked.question.model_copy(update={"symbol": other}) for other in asked.more_symbols]
        return first.model_copy(update={"more": tuple(await ask.many(capability, others, asked_by))})

    return Tool(
        name=capability.tool,
        title=capability.title,
        description=capability.description,
        request=request,
        reply=capability_reply(capability),
        answer=answer,
        examples=capability.examples,
        described=("answer",),
        answered={"timeframe": tuple(capability.timeframes)},
        needs=asking,
    )


def asking(request: Question) -> Scope:
    """Advice is read. A veto is a decision on a trade: it is written down first, and a risk engine acts on it."""
    return Scope.TRADE if request.use is Use.VETO else Scope.READ


class Put(BaseModel):
    """A question as it was put. `question` is that of the first symbol: made once, as is the request of bytes that come
    over and over."""

    asks: ClassVar[type[Question]]

    @cached_property
    def question(self) -> Question:
        return self.asks.model_construct(**{name: getattr(self, name) for name in self.asks.model_fields})


def request_model(capability: AnyCapability) -> type[Question]:
    """The question of a capability as a caller may put it: for several symbols at once, in the detail that suits."""
    put = create_model(
        f"{capability.question.__name__.removesuffix('Question')}Request",
        __base__=(capability.question, Put),
        more_symbols=(
            tuple[Symbol, ...],
            Field(default=(), max_length=MOST_MORE_SYMBOLS, description="Ask the same of these too."),
        ),
        detail=(Detail, Detail.CONCISE),
    )
    put.asks = capability.question
    return put
