"""What stands before every tool, whichever door a call came through: how often, whether they may, and who it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Protocol

from pydantic import ValidationError

from registry.audit import AuditFull, AuditNotDurable
from registry.audit_chain import Act
from registry.scope import Scope
from tools.principal import Principal, speaker
from tools.rate_limits import RateLimits
from tools.refusal import Code, Refused
from tools.tool import MOST_REMEMBERED, MOST_REMEMBERED_BYTES, Served, Tool, asked, refusal, serve

CALL = "call"
#: What stands in the log for a tool that there is not: its name would be the caller's words.
UNKNOWN = "unknown"

_ID = '"prediction_id":"'


class Log(Protocol):
    """Where acts are written down."""

    def record(self, act: Act) -> None: ...

    def record_now(self, act: Act) -> Future[None]: ...


class Guard:
    """Calls tools on behalf of whoever speaks. Nobody speaks: nobody is answered.

    Every call is written down: who, what, how it ended, which prediction, and a hash of the question. What may be held
    against somebody (a veto, an operator's act) is on disk before the reply.
    """

    def __init__(self, tools: Sequence[Tool], limits: RateLimits, log: Log, clock: Callable[[], int]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._limits, self._log, self._clock = limits, log, clock

    async def call(self, name: str, arguments: bytes | str, asked_by: str) -> Served:
        """What goes through a door."""
        principal = speaker()
        if principal is None:
            return refusal(Refused(Code.UNAUTHENTICATED, "nobody is known to ask", accepted=["a credential"]))
        tool = self._tools.get(name)
        needed = Scope.READ

        def permit(request: Any) -> None:  # noqa: ANN401 - of the tool's own model
            nonlocal needed
            needed = self._tools[name].needs(request)
            if needed not in principal.scopes:
                raise lacking(needed)

        if tool is None:
            served = refusal(Refused(Code.UNKNOWN_TOOL, "there is no tool of this name", accepted=self._tools))
        else:
            wait = self._limits.take(principal, name)
            served = (
                await serve(tool, arguments, asked_by, permit) if wait is None else self._later(principal, name, wait)
            )
        act = self._act(principal, name if tool else UNKNOWN, arguments, asked_by, served)
        return await self._written(act, served, urgent=needed is not Scope.READ)

    def needed(self, name: str, arguments: bytes) -> Scope | None:
        """Which scope this call takes; None where it is no call that could be answered."""
        tool = self._tools.get(name)
        try:
            return tool.needs(asked(tool, arguments)) if tool else None
        except ValidationError:
            return None

    def _later(self, principal: Principal, tool: str, wait: int) -> Served:
        rate = self._limits.rate(principal, tool)
        message = "this tool was called too often"
        return refusal(Refused(Code.RATE_LIMITED, message, accepted=[rate], retryable=True, retry_after_seconds=wait))

    def _act(self, principal: Principal, tool: str, arguments: bytes | str, door: str, served: Served) -> Act:
        code = "null" if served.code is None else f'"{served.code}"'
        at = served.body.find(_ID) + len(_ID) if served.code is None else 0
        prediction = f'"{served.body[at : at + 32]}"' if at >= len(_ID) else "null"
        question = (_sha256_again if len(arguments) <= MOST_REMEMBERED_BYTES else _sha256)(arguments)
        detail = (
            f'{{"door":{_quoted(door)},"status":{served.http_status},"code":{code},'
            f'"prediction_id":{prediction},"question_sha256":"{question}"}}'
        )
        return Act(self._clock(), principal.id, CALL, tool, detail)

    async def _written(self, act: Act, served: Served, *, urgent: bool) -> Served:
        try:
            if urgent:
                await asyncio.wrap_future(self._log.record_now(act))
            else:
                self._log.record(act)
        except AuditFull:
            return refusal(Refused(Code.OVERLOADED, "calls cannot be written down fast enough", retryable=True))
        except AuditNotDurable:
            return refusal(Refused(Code.NOT_DURABLE, "the call could not be put on disk", retryable=True))
        return served


def _sha256(arguments: bytes | str) -> str:
    said = arguments if isinstance(arguments, bytes) else arguments.encode("utf-8", "surrogatepass")
    return hashlib.sha256(said).hexdigest()


#: The same for questions that come over and over.
_sha256_again = lru_cache(maxsize=MOST_REMEMBERED, typed=True)(_sha256)


@lru_cache(maxsize=64)
def _quoted(word: str) -> str:
    return json.dumps(word)


def lacking(needed: Scope) -> Refused:
    """The refusal for a caller without this scope."""
    accepted = [f"a credential with the scope {needed}"]
    return Refused(Code.FORBIDDEN, f"this needs the scope {needed}", accepted=accepted, needs=needed)
