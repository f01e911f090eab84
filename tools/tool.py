"""A tool: one request model, one reply model, one function. Both doors are made from it, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from registry.scope import Scope
from tools import schema
from tools.detail import Told, said
from tools.principal import reading
from tools.refusal import HTTP_STATUS, Code, ErrorBody, Refused, invalid

log = logging.getLogger(__name__)

#: Asked for over HTTP by the command line and `barograph stdio`, which need the text of a reply beside its JSON.
WITH_TEXT = "application/vnd.barograph.served+json"
#: Which of our own doors passes a question on to the owner: `cli` or `mcp`.
DOOR_HEADER = "x-barograph-door"
#: Short questions are read once, this many of them: agents and dashboards put the same one over and over.
MOST_REMEMBERED, MOST_REMEMBERED_BYTES = 1_024, 512


@dataclass(frozen=True, slots=True)
class Tool:
    """What a caller may ask for by name. `answer` may raise Refused; anything else that it raises is a fault."""

    name: str
    title: str
    description: str
    request: type[BaseModel]
    reply: type[BaseModel]
    answer: Callable[[Any, str], Awaitable[Told]]
    examples: tuple[BaseModel, ...] = ()
    read_only: bool = True
    """Whether it leaves everything as it is, but for the record of what was said."""
    described: tuple[str, ...] = ()
    """Fields of the reply whose meaning is this tool's own, and so is told where the tool is listed."""
    answered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a field's choices, those that somebody answers on; the others are abstained on."""
    needs: Callable[[Any], Scope] = reading
    """Which scope a request takes, once it is valid."""


class Face(BaseModel):
    """What a caller is told of a tool before calling it."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    description: str
    read_only: bool
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]

    @staticmethod
    def of(tool: Tool) -> Face:
        return Face(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            read_only=tool.read_only,
            input_schema=schema.asked(tool.request.model_json_schema(), tool.answered),
            output_schema=schema.told(tool.reply.model_json_schema(mode="serialization"), tool.described),
        )


class Faces(BaseModel):
    """All tools of a server."""

    model_config = ConfigDict(frozen=True)

    version: str
    tools: tuple[Face, ...]


class Served(BaseModel):
    """What goes through a door: `body` is the JSON of the reply or of the error, the same bytes on both doors; `text`
    is the same for hosts that show text alone."""

    model_config = ConfigDict(frozen=True)

    body: str
    text: str
    code: Code | None
    retry_after_seconds: int | None = None
    needs: Scope | None = None
    """The scope that the caller lacks, where that is why."""

    @property
    def http_status(self) -> int:
        return 200 if self.code is None else HTTP_STATUS[self.code]


#: Answers a call whoever answers it: tool name, arguments as JSON, who asks.
Call = Callable[[str, bytes | str, str], Awaitable[Served]]


def caller(tools: Sequence[Tool]) -> Call:
    """Calls tools by name."""
    by_name = {tool.name: tool for tool in tools}

    async def call(name: str, arguments: bytes | str, asked_by: str) -> Served:
        if name not in by_name:
            return refusal(Refused(Code.UNKNOWN_TOOL, "there is no tool of this name", accepted=by_name))
        return await serve(by_name[name], arguments, asked_by)

    return call


def anything(_: object) -> None:
    """Permits it."""


async def serve(tool: Tool, arguments: bytes | str, asked_by: str, permit: Callable[[Any], None] = anything) -> Served:
    """Validates, answers, and maps whatever goes wrong, in one place for both doors. `permit` is shown the valid
    request, and may raise Refused."""
    try:
        request = asked(tool, arguments)
    except ValidationError as error:  # of the request alone: one of a reply is a fault of ours
        return refusal(invalid(error, tool.request))
    try:
        permit(request)
        reply = said(await tool.answer(request, asked_by), request)
        return Served(body=reply.body, text=reply.text, code=None)
    except Refused as refused:
        return refusal(refused)
    except Exception:  # a fault: its traceback is for the log, never for the caller
        log.exception("%s failed", tool.name)
        return refusal(FAULT)


def asked(tool: Tool, arguments: bytes | str) -> BaseModel:
    """The request that these arguments make, valid. One that changes nothing may have been read before: it is frozen,
    and the same bytes always make the same. Raises ValidationError."""
    if tool.read_only and len(arguments) <= MOST_REMEMBERED_BYTES:
        return _remembered(tool.request, arguments)
    return tool.request.model_validate_json(arguments, strict=True)


@lru_cache(maxsize=MOST_REMEMBERED, typed=True)
def _remembered(request: type[BaseModel], arguments: bytes | str) -> BaseModel:
    return request.model_validate_json(arguments, strict=True)


def refusal(refused: Refused) -> Served:
    """A refusal as it goes through a door."""
    body: ErrorBody = refused.body
    return Served(
        body=body.model_dump_json(exclude_none=True),
        text=body.line(),
        code=refused.code,
        retry_after_seconds=body.error.retry_after_seconds,
        needs=refused.needs,
    )


FAULT = Refused(Code.FAULT, "the server failed on this request; the operator finds the cause in the log")
