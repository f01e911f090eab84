"""A tool: one request model, one reply model, one function. Both doors are made from it, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from tools.refusal import HTTP_STATUS, Code, ErrorBody, Refused, invalid

log = logging.getLogger(__name__)

#: Asked for over HTTP by the command line and `barograph stdio`, which need the text of a reply beside its JSON.
WITH_TEXT = "application/vnd.barograph.served+json"
#: Which of our own doors passes a question on to the owner: `cli` or `mcp`.
DOOR_HEADER = "x-barograph-door"


class Told(Protocol):
    """A reply can say itself in text, complete without its fields."""

    def text(self) -> str: ...

    def model_dump_json(self) -> str: ...


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


class Face(BaseModel):
    """What a caller is told of a tool before calling it."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]

    @staticmethod
    def of(tool: Tool) -> Face:
        return Face(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            input_schema=tool.request.model_json_schema(),
            output_schema=tool.reply.model_json_schema(mode="serialization"),
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


async def serve(tool: Tool, arguments: bytes | str, asked_by: str) -> Served:
    """Validates, answers, and maps whatever goes wrong, in one place for both doors."""
    try:
        request = tool.request.model_validate_json(arguments, strict=True)
        reply = await tool.answer(request, asked_by)
        return Served(body=reply.model_dump_json(), text=reply.text(), code=None)
    except ValidationError as error:
        return refusal(invalid(error, tool.request))
    except Refused as refused:
        return refusal(refused)
    except Exception:  # a fault: its traceback is for the log, never for the caller
        log.exception("%s failed", tool.name)
        return refusal(FAULT)


def refusal(refused: Refused) -> Served:
    """A refusal as it goes through a door."""
    body: ErrorBody = refused.body
    return Served(body=body.model_dump_json(), text=body.line(), code=refused.code)


FAULT = Refused(Code.FAULT, "the server failed on this request; the operator finds the cause in the log")
